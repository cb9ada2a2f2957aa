"""Where a frame's seconds go: the functions that ``render_frame`` calls, and what Cycles says meanwhile."""

from __future__ import annotations

import importlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import bpy

STAGES = {
    "blender.rendering.frame.frame_scene": "layout",
    "blender.rendering.builder.build_scene": "build",
    "blender.rendering.device.use_device": "device",
    "blender.rendering.passes.render_rgb": "rgb",
    "blender.rendering.passes.render_ids": "ids",
    "blender.rendering.passes.render_arrays": "arrays",
    "blender.rendering.annotations.silhouette": "amodal",
    "blender.rendering.annotations.describe": "records",
    "blender.rendering.frame.expose": "sensor",
    "blender.rendering.frame.encode_png": "files",
    "blender.rendering.frame.commit_frame": "files",
}
"""Where ``render_frame`` and ``describe`` find each function, and the stage that its time counts for."""

RENDERING = ("rgb", "ids", "arrays")
"""The stages that call Cycles. Each is also split into "sync" (from the call of Blender's renderer to the
first sample: scene, shaders, BVH), "trace" (from there to "Finished": samples and denoising) and "read" (the
rest: Blender writes its image, we read it)."""


class Stopwatch:
    """Seconds by stage since the last ``take``."""

    def __init__(self) -> None:
        """Nothing is timed yet; see ``attached``."""
        self._seconds = defaultdict[str, float](float)
        self._stage, self._phase = "", ""
        self._since = self._inner = 0.0, 0.0

    def take(self) -> dict[str, float]:
        """Give the seconds since the last call, by stage; "rgb cpu" is the processor's, of all threads.

        "rgb sync", "rgb trace" and "rgb read" are its phases, see ``RENDERING``; "rgb trace-cpu" is again the
        processor's.
        """
        taken, self._seconds = self._seconds, defaultdict[str, float](float)
        for stage in (*RENDERING, "plain", "bare"):
            if f"{stage} sync" in taken:
                taken[f"{stage} read"] = taken[stage] - taken[f"{stage} sync"] - taken[f"{stage} trace"]
        return dict(taken)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens inside for stage ``name``; stages within it count for themselves alone."""
        outer, before = self._stage, self._inner
        began, computed = time.perf_counter(), time.process_time()
        self._stage, self._inner = name, (0.0, 0.0)
        try:
            yield
        finally:
            wall, cpu = time.perf_counter() - began, time.process_time() - computed
            self._seconds[name] += wall - self._inner[0]
            self._seconds[f"{name} cpu"] += cpu - self._inner[1]
            self._stage, self._inner = outer, (before[0] + wall, before[1] + cpu)

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Time the stages of every frame that is rendered meanwhile."""
        with ExitStack() as stack:
            for place, name in STAGES.items():
                module = importlib.import_module(place.rpartition(".")[0])
                attribute = place.rpartition(".")[2]
                function = getattr(module, attribute)
                stack.callback(setattr, module, attribute, function)
                setattr(module, attribute, self._timed(name, function))
            self._listen(stack)
            yield

    def _timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:
            with self.stage(name):
                return function(*arguments, **options)

        return timed

    def _listen(self, stack: ExitStack) -> None:
        """Follow Cycles' own status lines, which come through a handler as they are printed."""

        def began(*_: Any) -> None:
            self._since, self._phase = (time.perf_counter(), time.process_time()), "sync"

        def heard(status: Any, *_: Any) -> None:
            last = str(status).rpartition("| ")[2]
            if self._phase == "sync" and last.startswith("Sample"):
                self._lap("trace")
            elif self._phase == "trace" and last.startswith("Finished"):
                self._lap("")

        for handlers, handler in (
            (bpy.app.handlers.render_init, began),
            (bpy.app.handlers.render_stats, heard),
        ):
            bpy.app.handlers.persistent(handler)  # or a scene's clearing would take it away
            handlers.append(handler)
            stack.callback(handlers.remove, handler)

    def _lap(self, phase: str) -> None:
        now = time.perf_counter(), time.process_time()
        self._seconds[f"{self._stage} {self._phase}"] += now[0] - self._since[0]
        self._seconds[f"{self._stage} {self._phase}-cpu"] += now[1] - self._since[1]
        self._since, self._phase = now, phase
