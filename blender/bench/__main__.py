"""Command line of the rendering benchmark: measure and write one JSON file.

``python -m blender.bench --profile FILE --people DIR --out bench.json``. ``make bench`` runs it and
combines its figures with those of the pipeline. Times are wall-clock times and CPU times; on a busy machine
the CPU times are more reliable.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from blender.assets import load_assets
from blender.bench.stages import measure_stages
from blender.bench.sweeps import VARIANTS, Row, measure_processes
from blender.config.profile import load_config
from blender.contract import UserError, exit_on_user_error, find_profile, write_atomic
from blender.rendering.frame import RenderContext, RenderJob, blender_version
from blender.workers.cpu import SINGLE_THREADED_BLAS, core_count
from blender.workers.pool import MAX_PROCESSES
from blender.workers.progress import Progress

SWEEPS = (*VARIANTS, "images", "workers")
"""Names of the sweeps: quantities whose effect on the time of a frame is measured."""


def main() -> None:
    """Parse the arguments, measure, write the file. A user's mistake is one line and exit status 2."""
    options = _parser().parse_args()
    if not SINGLE_THREADED_BLAS.keys() <= os.environ.keys():  # the environment of rendering processes
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **SINGLE_THREADED_BLAS})
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # discard messages of Blender's C code
    with exit_on_user_error():
        with tempfile.TemporaryDirectory(prefix="transpalette-bench-") as folder:
            figures = measure(options, Path(folder))
        write_atomic(options.out, json.dumps(figures, indent=1).encode())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m blender.bench", description="Measure the time of each rendering stage."
    )
    parser.add_argument("--profile", type=find_profile, required=True, help="TOML file of the profile")
    parser.add_argument(
        "--people", type=Path, required=True, help="folder with the posed body meshes (transpalette people)"
    )
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument(
        "--frames", type=int, default=8, help="frames that are timed by stage and compared with Cycles alone"
    )
    parser.add_argument("--sweep-frames", type=int, default=2, help="frames for each setting of a sweep")
    parser.add_argument(
        "--until", type=int, default=1000, help="frames to render before the second timing (sweep images)"
    )
    parser.add_argument(
        "--sweeps", default=",".join(SWEEPS), help="sweeps to measure, separated by commas; empty: none"
    )
    parser.add_argument(
        "--threads", type=int, default=0, help="CPU threads; 0: as many as `render` gives to each process"
    )
    parser.add_argument("--device", default="auto", help="device that Cycles renders on")
    parser.add_argument("--quiet", action="store_true", help="print no progress")
    return parser


def measure(options: argparse.Namespace, folder: Path) -> Row:
    """Measure everything that the command line requests.

    Args:
        options: the parsed command line.
        folder: temporary folder for the rendered frames.

    Raises:
        UserError: a mistake in the profile or the options, missing people, no such device.
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
    job = RenderJob(
        profile=str(options.profile.absolute()),
        split=config.split,
        people=str(options.people.absolute()),
        out=str(folder / "frames"),
        fingerprint=config.fingerprint(blender_version(), assets.digest),
        device=options.device,
    )
    options.threads = options.threads or max(1, core_count() // min(core_count(), MAX_PROCESSES))
    figures: Row = {"profile": config.profile, "threads": options.threads, "blender": blender_version()}
    if "workers" in sweeps:  # first, while this process has not loaded bpy and uses little memory
        Progress("bench render", 0, quiet=options.quiet).message("one process, then two")
        frames = 2 + 2 * options.sweep_frames
        figures["workers"] = [measure_processes(job, count, frames) for count in (1, 2)]
    context = RenderContext(job, config, assets, folder / "frames")
    return figures | measure_stages(context, options, sweeps, folder)


if __name__ == "__main__":
    main()
