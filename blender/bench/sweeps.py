"""Sweeps: the time of a frame by image size, samples, objects and number of processes."""

from __future__ import annotations

import math
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from blender.config.profile import Config
from blender.contract import UserError
from blender.rendering.frame import RenderContext, RenderJob, frame_scene
from blender.workers.dispatch import FrameResult, dispatch
from blender.workers.memory import peak_megabytes
from blender.workers.pool import open_local_backend

REPEATS = 2
"""Number of renders of each frame and setting."""
Seconds = dict[str, float]
"""Seconds by stage, as ``Stopwatch.take`` returns them."""
Row = dict[str, Any]
"""Figures of a setting for the JSON file."""


def _resolutions(config: Config) -> dict[str, Config]:
    variants = {}
    for factor in (0.5, 1.0, 2.0):
        width, height = (
            round(side * math.sqrt(factor)) for side in (config.render.width, config.render.height)
        )
        render = replace(config.render, width=width, height=height)
        variants[f"{width} x {height}"] = replace(config, render=render)
    return variants


def _samples(config: Config) -> dict[str, Config]:
    return {str(n): replace(config, render=replace(config.render, samples=n)) for n in (1, 4, 16)}


def _objects(config: Config) -> dict[str, Config]:
    variants = {}
    for factor in (0, 1, 3):
        tables = {
            name: replace(table, count=(factor * table.count[0], factor * table.count[1]))
            for name, table in config.scene.objects.items()
        }
        variants[f"{factor} x the profile's"] = replace(config, scene=replace(config.scene, objects=tables))
    return variants


VARIANTS: dict[str, Callable[[Config], dict[str, Config]]] = {
    "resolution": _resolutions,
    "samples": _samples,
    "objects": _objects,
}
"""Sweep -> function that returns its settings: label in the table -> configuration."""


def fastest_runs(tasks: Sequence[tuple[Sequence[str], Callable[[], Seconds]]]) -> list[Seconds]:
    """Run each task ``REPEATS`` times and select the fastest run, because other work only adds time.

    The order of the tasks alternates between forwards and backwards.

    Args:
        tasks: for each task the names of the compared figures and the function that measures. The first
            figure selects the run. Figures that begin with the name of a further figure come from the run in
            which that further figure is smallest.

    Returns:
        The seconds of each task's fastest run.
    """
    runs: list[list[Seconds]] = [[] for _ in tasks]
    for turn in range(REPEATS):
        for number in range(len(tasks))[:: 1 if turn % 2 == 0 else -1]:
            runs[number].append(tasks[number][1]())
    best = []
    for (figures, _), task_runs in zip(tasks, runs, strict=True):
        first, *others = figures
        row = dict(min(task_runs, key=lambda run: run[first]))
        for name in others:
            fastest = min(task_runs, key=lambda run: run[name])
            row |= {figure: value for figure, value in fastest.items() if figure.startswith(name)}
        best.append(row)
    return best


def measure_sweep(
    context: RenderContext,
    configs: dict[str, Config],
    frames: Iterable[int],
    time_frame: Callable[[int, Config], Seconds],
) -> list[Row]:
    """Measure each setting of a sweep; the settings are rendered in turns.

    Args:
        context: the job with its profile and assets.
        configs: the settings by label.
        frames: numbers of the frames.
        time_frame: renders a frame and returns the seconds of its stages.

    Returns:
        Means over the frames for each setting.
    """
    rows: dict[str, list[Seconds]] = {name: [] for name in configs}
    for frame in frames:
        fastest = fastest_runs(
            [(["total"], partial(time_frame, frame, config)) for config in configs.values()]
        )
        for (name, config), seconds in zip(configs.items(), fastest, strict=True):
            spec = frame_scene(config, context.assets, frame)
            labelled = sum(bool(item.category) for item in spec.objects)
            rows[name].append(seconds | {"objects": len(spec.objects), "labelled": labelled})
    return [{"setting": name, "frames": len(of_name), **mean(of_name)} for name, of_name in rows.items()]


def measure_processes(job: RenderJob, count: int, frames: int) -> Row:
    """Measure the rate of several processes once all of them render, and the time until the first image.

    Args:
        job: the split to render; the frames go to a temporary folder.
        count: number of processes.
        frames: number of frames.
    """
    start, ends = time.perf_counter(), list[float]()

    def on_done(frame: int, result: FrameResult) -> None:
        ends.append(time.perf_counter() - start)

    with tempfile.TemporaryDirectory(prefix="transpalette-bench-") as out:
        with open_local_backend(replace(job, out=out), count, 0, frames) as backend:
            failed = dispatch(backend, range(frames), on_done)
        if failed:
            raise UserError(f"frame {min(failed)} failed: {failed[min(failed)]}; render it to see the reason")
    return {
        "setting": str(count),
        "frames": frames - count,
        "images_per_minute": 60 * (frames - count) / (ends[-1] - ends[count - 1]),
        "start_seconds": ends[0],
        "peak_mb_each": round(peak_megabytes(resource.RUSAGE_CHILDREN)),
    }


def mean(rows: list[Seconds]) -> Seconds:
    """Average each figure over the rows; a missing figure counts as 0."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: sum(row.get(name, 0.0) for row in rows) / len(rows) for name in names}
