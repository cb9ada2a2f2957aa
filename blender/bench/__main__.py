"""How fast are frames rendered, by stage, and beside what Cycles alone needs? Writes one JSON file.

``python -m blender.bench --profile FILE --people DIR --out bench.json``; ``make bench`` runs it and puts its
figures beside the others. Times are wall clock; on a busy machine, the processor's own seconds say more.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from blender.assets import load_assets
from blender.bench.sweeps import (
    REPEATS,
    VARIANTS,
    Row,
    Seconds,
    fastest,
    mean,
    peak_megabytes,
    sweep,
    workers,
)
from blender.config.run import Config, load_config
from blender.contract import UserError, exit_on_user_error, write_atomic
from blender.rendering.frame import Job, Workshop, blender_version, frame_scene, render_frame
from blender.workers.cpu import ONE_BLAS_THREAD, core_count, one_core_seen
from blender.workers.pool import MOST
from blender.workers.progress import Progress
from blender.workers.worker_main import resident_megabytes

SWEEPS = (*VARIANTS, "images", "workers")
"""What the cost is followed along."""
EARLY = 50
"""Frames that a process has rendered when its cost is first measured, to be compared with a later one."""


def main() -> None:
    """Parse, measure, write; a user's mistake is one line and exit status 2."""
    options = _parser().parse_args()
    if not ONE_BLAS_THREAD.keys() <= os.environ.keys():  # as the processes of `render` are started
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **ONE_BLAS_THREAD})
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Blender's C code talks on standard output
    with exit_on_user_error():
        with tempfile.TemporaryDirectory(prefix="transpalette-bench-") as folder:
            figures = measure(options, Path(folder))
        write_atomic(options.out, json.dumps(figures, indent=1).encode())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m blender.bench", description="Time the stages of rendering."
    )
    parser.add_argument("--profile", type=Path, required=True, help="the TOML file that describes the run")
    parser.add_argument("--people", type=Path, required=True, help="folder written by `transpalette people`")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--frames", type=int, default=8, help="frames timed by stage and beside Cycles alone")
    parser.add_argument("--sweep-frames", type=int, default=2, help="frames for each value of a sweep")
    parser.add_argument(
        "--until", type=int, default=1000, help="frames rendered when the cost is measured again (images)"
    )
    parser.add_argument("--sweeps", default=",".join(SWEEPS), help="which; empty: none")
    parser.add_argument(
        "--threads", type=int, default=0, help="of the CPU; 0: what `render` gives each of its processes"
    )
    parser.add_argument("--device", default="auto", help="what Cycles computes on")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    return parser


def measure(options: argparse.Namespace, folder: Path) -> Row:
    """All figures of a command line; ``folder`` is for what is rendered.

    Raises:
        UserError: a wrong profile, missing people, no such device or sweep.
    """
    sweeps = [name for name in options.sweeps.split(",") if name]
    if unknown := sorted(set(sweeps) - set(SWEEPS)):
        raise UserError(f"--sweeps {unknown[0]}: unknown; known: {', '.join(SWEEPS)}")
    if options.frames < 2 or options.sweep_frames < 1:
        raise UserError("--frames must be at least 2, and --sweep-frames at least 1")
    if options.until < 2:
        raise UserError("--until must be at least 2 frames")
    config = load_config(options.profile)
    assets = load_assets(options.people, config.folder, config.files())
    job = Job(
        profile=str(options.profile.absolute()),
        split=config.split,
        people=str(options.people.absolute()),
        out=str(folder / "frames"),
        fingerprint=config.fingerprint(blender_version(), assets.digest),
        device=options.device,
    )
    options.threads = options.threads or max(1, core_count() // min(core_count(), MOST))
    figures: Row = {"profile": config.profile, "threads": options.threads, "blender": blender_version()}
    if "workers" in sweeps:  # while no Blender of ours holds memory beside them
        Progress("bench render", 0, quiet=options.quiet).say("one process, then two")
        figures["workers"] = [workers(job, count, 2 + 2 * options.sweep_frames) for count in (1, 2)]
    workshop = Workshop(job, config, assets, folder / "frames")
    return figures | _in_this_process(workshop, options, sweeps, folder)


def _in_this_process(workshop: Workshop, options: argparse.Namespace, sweeps: list[str], folder: Path) -> Row:
    with one_core_seen():  # as the processes of `render` do
        from blender.rendering.device import choose_device, use_device
    from blender.bench.stopwatch import Stopwatch

    device, watch = choose_device(options.device, 0, folder), Stopwatch()
    few = range(1, 1 + options.sweep_frames)
    variants = {name: VARIANTS[name](workshop.config) for name in sweeps if name in VARIANTS}
    between = REPEATS * (2 * options.frames + sum(map(len, variants.values())) * len(few))
    begin, end, total = min(EARLY, options.until // 2), options.until, between
    if "images" in sweeps:  # twice the same frames, and small ones up to each time
        total += begin - 1 + 2 * REPEATS * options.frames
        total += max(0, end - begin - between - REPEATS * options.frames)
    progress = Progress("bench render", total, quiet=options.quiet)
    small = replace(workshop.config.render, width=64, height=48, samples=1)
    rendered = 0

    def ours(frame: int, config: Config) -> Seconds:
        nonlocal rendered
        rendered += 1
        with watch.stage("rest"):  # what no other stage counts
            render_frame(replace(workshop, config=config), frame, device, options.threads, folder)
        if frame:
            progress.advance()
        taken = watch.take()
        whole = sum(seconds for name, seconds in taken.items() if " " not in name)
        cpu = sum(seconds for name, seconds in taken.items() if name.endswith(" cpu"))
        return {**taken, "whole": whole, "whole cpu": cpu}

    def cycles(frame: int) -> Seconds:
        nonlocal rendered
        rendered += 1
        _cycles_alone(workshop, frame, watch, lambda: use_device(device, options.threads))
        progress.advance()
        return watch.take()

    def again(after: int) -> Row:
        """The first frames' cost once ``after`` frames are rendered; small ones fill up."""
        while rendered < after:
            ours(rendered, replace(workshop.config, render=small))
        on = rendered
        rows = []
        for n in range(1, 1 + options.frames):
            runs = [ours(n, workshop.config) for _ in range(REPEATS)]
            rows.append(min(runs, key=lambda run: run["whole cpu"]) | {"resident_mb": resident_megabytes()})
        name = f"the first {len(rows)}, {on} frames on"
        return {"value": name, "after": on, "frames": len(rows), **mean(rows)}

    with watch.attached():
        ours(0, workshop.config)  # warms up: nothing is said of the first frame
        images = [again(begin)] if "images" in sweeps else []
        pairs = []
        for frame in range(1, 1 + options.frames):
            ways = [("whole", partial(ours, frame, workshop.config)), ("plain bare", partial(cycles, frame))]
            pairs.append(fastest(ways))
        peak = round(peak_megabytes())
        found = {name: sweep(workshop, configs, few, ours) for name, configs in variants.items()}
        images += [again(end)] if images else []
    progress.close()
    if images:
        found["images"] = images
    return {"device": device.note, **_summary(pairs), "peak_mb": peak, "sweeps": found}


# ------------------------------------------------------------------------------ ours and Cycles alone


def _cycles_alone(workshop: Workshop, frame: int, watch: Any, set_device: Callable[[], None]) -> None:
    """Time Blender's own render of the frame's scene, "plain", and again without its denoiser, "bare".

    Building the scene and leaving an image behind are not in it.
    """
    import bpy

    from blender.rendering.builder import build_scene

    build_scene(frame_scene(workshop.config, workshop.assets, frame), workshop.config, workshop.assets)
    set_device()
    watch.take()
    with watch.stage("plain"):
        bpy.ops.render.render()
    bpy.context.scene.cycles.use_denoising = False
    with watch.stage("bare"):
        bpy.ops.render.render()


def _summary(pairs: list[list[Seconds]]) -> Row:
    """Means over the frames, each ours and Cycles alone; ``ratio`` is the sum of ours over that of Cycles."""
    stages, plain = mean([mine for mine, _ in pairs]), mean([theirs for _, theirs in pairs])
    # By the processor's clock, because the two were not rendered at the same time.
    samples = min(1.0, plain["bare trace-cpu"] / plain["plain trace-cpu"])
    whole = stages["whole"]
    return {
        "frames": len(pairs),
        "seconds": stages,
        "cycles": {
            "whole": plain["plain"],
            "whole cpu": plain["plain cpu"],
            "sync": plain["plain sync"],
            "trace": samples * plain["plain trace"],
            "denoise": (1 - samples) * plain["plain trace"],
            "read": plain["plain read"],
        },
        "images_per_minute": 60 / whole,
        "traced_share": samples * stages["rgb trace"] / whole,
        "traced_and_denoised_share": stages["rgb trace"] / whole,
        "ratio": whole / plain["plain"],
        "ratio_cpu": stages["whole cpu"] / plain["plain cpu"],
        "ratio_median": median(mine["whole"] / theirs["plain"] for mine, theirs in pairs),
        "ratios": [mine["whole"] / theirs["plain"] for mine, theirs in pairs],
    }


if __name__ == "__main__":
    main()
