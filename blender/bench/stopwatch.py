"""Time the stages of a frame: the functions that ``render_frame`` calls, and the phases of Cycles."""

from __future__ import annotations

import importlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import bpy

STAGES = {
    "blender.rendering.frame.frame_scene": "scene",
    "blender.rendering.builder.build_scene": "build",
    "blender.rendering.device.use_device": "device",
    "blender.rendering.passes.render_rgb": "rgb",
    "blender.rendering.passes.render_ids": "ids",
    "blender.rendering.passes.render_arrays": "arrays",
    "blender.rendering.instance_records.amodal_mask": "amodal",
    "blender.rendering.instance_records.instance_records": "annotations",
    "blender.rendering.frame.expose": "sensor",
    "blender.rendering.frame.encode_png": "files",
    "blender.rendering.frame.commit_frame": "files",
}
"""Timed function, named by the module that calls it -> stage."""

CYCLES_STAGES = ("rgb", "ids", "arrays")
"""Stages that call Cycles. Each is also split into the phases "sync" (from the start of Blender's renderer
to the first sample: scene, shaders, BVH), "trace" (until "Finished": samples and denoising) and "read" (the
remaining time: Blender writes its image, the image is read)."""


class Stopwatch:
    """Accumulates wall-clock and CPU seconds by stage."""

    def __init__(self) -> None:
        """Create a stopwatch; ``attached`` starts the timing."""
        self._seconds = defaultdict[str, float](float)
        self._stage, self._phase = "", ""
        self._phase_start = self._inner = 0.0, 0.0

    def take(self) -> dict[str, float]:
        """Return the seconds since the last call and start again.

        Returns:
            For each stage, such as "rgb": the wall-clock seconds "rgb" and the CPU seconds of all threads
            "rgb cpu". For a stage that calls Cycles also its phases "rgb sync", "rgb trace" and "rgb read"
            (see ``CYCLES_STAGES``), and their CPU seconds as "rgb trace-cpu".
        """
        seconds, self._seconds = self._seconds, defaultdict[str, float](float)
        for stage in (*CYCLES_STAGES, "plain", "undenoised"):
            if f"{stage} sync" in seconds:
                seconds[f"{stage} read"] = (
                    seconds[stage] - seconds[f"{stage} sync"] - seconds[f"{stage} trace"]
                )
        return dict(seconds)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of the block for a stage; the time of nested stages is not included."""
        outer, outer_inner = self._stage, self._inner
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        self._stage, self._inner = name, (0.0, 0.0)
        try:
            yield
        finally:
            wall, cpu = time.perf_counter() - wall_start, time.process_time() - cpu_start
            self._seconds[name] += wall - self._inner[0]
            self._seconds[f"{name} cpu"] += cpu - self._inner[1]
            self._stage, self._inner = outer, (outer_inner[0] + wall, outer_inner[1] + cpu)

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Time the stages of every frame that is rendered in the block."""
        with ExitStack() as stack:
            for path, stage in STAGES.items():
                module = importlib.import_module(path.rpartition(".")[0])
                attribute = path.rpartition(".")[2]
                function = getattr(module, attribute)
                stack.callback(setattr, module, attribute, function)
                setattr(module, attribute, self._timed(stage, function))
            self._watch_cycles(stack)
            yield

    def _timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:
            with self.stage(stage):
                return function(*arguments, **options)

        return timed

    def _watch_cycles(self, stack: ExitStack) -> None:
        """Register handlers that follow the status lines of Cycles."""

        def on_start(*_: Any) -> None:
            self._phase_start, self._phase = (time.perf_counter(), time.process_time()), "sync"

        def on_status(status: Any, *_: Any) -> None:
            last = str(status).rpartition("| ")[2]
            if self._phase == "sync" and last.startswith("Sample"):
                self._end_phase("trace")
            elif self._phase == "trace" and last.startswith("Finished"):
                self._end_phase("")

        for handlers, handler in (
            (bpy.app.handlers.render_init, on_start),
            (bpy.app.handlers.render_stats, on_status),
        ):
            bpy.app.handlers.persistent(handler)  # otherwise loading a scene removes the handler
            handlers.append(handler)
            stack.callback(handlers.remove, handler)

    def _end_phase(self, next_phase: str) -> None:
        now = time.perf_counter(), time.process_time()
        self._seconds[f"{self._stage} {self._phase}"] += now[0] - self._phase_start[0]
        self._seconds[f"{self._stage} {self._phase}-cpu"] += now[1] - self._phase_start[1]
        self._phase_start, self._phase = now, next_phase
