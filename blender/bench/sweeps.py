"""How the cost of a frame grows: with its size, its samples, its objects, and the processes that render."""

from __future__ import annotations

import math
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from blender.config.run import Config
from blender.contract import UserError
from blender.rendering.frame import Job, Workshop, frame_scene
from blender.workers.dispatch import Reply, dispatch
from blender.workers.pool import local_team

REPEATS = 2
"""Renders of each frame and setting."""
Seconds = dict[str, float]
Row = dict[str, Any]


def _resolutions(config: Config) -> dict[str, Config]:
    found = {}
    for factor in (0.5, 1.0, 2.0):
        width, height = (
            round(side * math.sqrt(factor)) for side in (config.render.width, config.render.height)
        )
        render = replace(config.render, width=width, height=height)
        found[f"{width} x {height}"] = replace(config, render=render)
    return found


def _samples(config: Config) -> dict[str, Config]:
    return {str(n): replace(config, render=replace(config.render, samples=n)) for n in (1, 4, 16)}


def _objects(config: Config) -> dict[str, Config]:
    found = {}
    for factor in (0, 1, 3):
        tables = {
            name: replace(table, count=(factor * table.count[0], factor * table.count[1]))
            for name, table in config.scene.objects.items()
        }
        found[f"{factor} x the profile's"] = replace(config, scene=replace(config.scene, objects=tables))
    return found


VARIANTS: dict[str, Callable[[Config], dict[str, Config]]] = {
    "resolution": _resolutions,
    "samples": _samples,
    "objects": _objects,
}
"""Sweep to its settings, by what a table calls them."""


def fastest(ways: Sequence[tuple[str, Callable[[], Seconds]]]) -> list[Seconds]:
    """Do each way ``REPEATS`` times, in turns, there and back; keep its fastest: other work only ever adds.

    Args:
        ways: the figures to go by, and what gives them. With several figures, those that begin like the
            second, third, ... are taken from the run in which that one was least.
    """
    taken: list[list[Seconds]] = [[] for _ in ways]
    for turn in range(REPEATS):
        for number in range(len(ways))[:: 1 if turn % 2 == 0 else -1]:
            taken[number].append(ways[number][1]())
    best = []
    for (figures, _), runs in zip(ways, taken, strict=True):
        first, *others = figures.split()
        row = dict(min(runs, key=lambda run: run[first]))
        for name in others:
            least = min(runs, key=lambda run: run[name])
            row |= {figure: value for figure, value in least.items() if figure.startswith(name)}
        best.append(row)
    return best


def sweep(
    workshop: Workshop,
    configs: dict[str, Config],
    frames: Iterable[int],
    ours: Callable[[int, Config], Seconds],
) -> list[Row]:
    """A row for each setting: means over the frames, which are rendered in turns."""
    taken: dict[str, list[Seconds]] = {name: [] for name in configs}
    for frame in frames:
        found = fastest([("whole", partial(ours, frame, config)) for config in configs.values()])
        for (name, config), seconds in zip(configs.items(), found, strict=True):
            spec = frame_scene(config, workshop.assets, frame)
            labelled = sum(bool(item.category) for item in spec.objects)
            taken[name].append(seconds | {"objects": len(spec.objects), "labelled": labelled})
    return [{"value": name, "frames": len(rows), **mean(rows)} for name, rows in taken.items()]


def workers(job: Job, count: int, frames: int) -> Row:
    """The rate of a team of processes once all of them are at work, and the seconds until then."""
    began, ends = time.perf_counter(), list[float]()

    def on_done(frame: int, reply: Reply) -> None:
        ends.append(time.perf_counter() - began)

    with tempfile.TemporaryDirectory(prefix="transpalette-bench-") as out:
        with local_team(replace(job, out=out), count, 0, frames) as team:
            failed = dispatch(team, range(frames), on_done)
        if failed:
            raise UserError(f"frame {min(failed)} failed: {failed[min(failed)]}; render it to see why")
    return {
        "value": str(count),
        "frames": frames - count,
        "images_per_minute": 60 * (frames - count) / (ends[-1] - ends[count - 1]),
        "start_seconds": ends[0],
        "peak_mb_each": round(peak_megabytes(resource.RUSAGE_CHILDREN)),
    }


def mean(rows: list[Seconds]) -> Seconds:
    """Mean of each figure over the rows; one that a row lacks is 0 there."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: sum(row.get(name, 0.0) for row in rows) / len(rows) for name in names}


def peak_megabytes(who: int = resource.RUSAGE_SELF) -> float:
    """The most that this process, or the largest of those it has seen end, ever held."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(who).ru_maxrss * unit / 2**20
