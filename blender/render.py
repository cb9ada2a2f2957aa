"""Render a split: which frames, in which processes, on which machines.

``python -m blender.render ARGS``, or ``blender -b --factory-startup --disable-autoexec
--python-exit-code 3 -P blender/render.py -- ARGS``: the same arguments give the same bytes. A
render killed at any instant goes on when the command is repeated.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

if __package__ in (None, ""):  # run as a file, by Blender or by hand: the repository is not on the path
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from blender.assets import Assets, load_assets
from blender.config.run import Config, load_config
from blender.contract import (
    UserError,
    exit_on_user_error,
    frame_is_complete,
    remove_fragments,
    split_folder,
)
from blender.rendering.frame import Job, blender_version, frame_scene
from blender.workers.dispatch import Reply, Team, dispatch, failures
from blender.workers.manifest import check_folder, write_manifest
from blender.workers.pool import local_team
from blender.workers.progress import Progress

DEVICES = ("auto", "cpu", "cuda", "optix", "hip", "oneapi", "metal")


def main() -> None:
    """Parse, render, and end a user's mistake in one line and exit status 2; 1 if some frames failed."""
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    options = _parser().parse_args(arguments)
    try:
        with exit_on_user_error():
            failed = run(options)
    except KeyboardInterrupt:
        print("interrupted; repeat the command to go on", file=sys.stderr)
        sys.exit(130)
    if failed:
        print(f"error: {options.out}: {failures(failed)}", file=sys.stderr)
        sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m blender.render", description="Render one split of a profile."
    )
    parser.add_argument("--profile", type=Path, required=True, help="the TOML file that describes the run")
    parser.add_argument("--split", required=True, help="a name under the profile's [splits]")
    parser.add_argument("--people", type=Path, required=True, help="folder written by `transpalette people`")
    parser.add_argument("--out", help="the split's folder, or an object store's URL, as s3://bucket/train")
    parser.add_argument("--frames", default=":", help="only frames A:B, B excluded")
    parser.add_argument("--shard", default="0/1", help="only every n-th frame, starting at i: i/n")
    parser.add_argument(
        "--workers", type=int, default=0, help="processes; 0: one a core (8 at most), or one a GPU"
    )
    parser.add_argument("--threads", type=int, default=0, help="threads a process; 0: all cores shared out")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="render on this Dask scheduler's workers")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="what Cycles computes on")
    parser.add_argument(
        "--recycle", type=int, default=500, help="frames after which a fresh process takes over"
    )
    parser.add_argument(
        "--update", action="store_true", help="render again what was made with other settings"
    )
    parser.add_argument("--save-blend", type=Path, help="write the scene of --frame as a .blend, and stop")
    parser.add_argument("--frame", type=int, default=0, help="the frame for --save-blend")
    parser.add_argument("--quiet", action="store_true", help="no progress, no summary")
    return parser


def run(options: argparse.Namespace) -> dict[int, str]:
    """Do what the command line says; returns the frames that failed twice, each with the reason.

    Raises:
        UserError: a wrong profile, missing people, a folder that holds something else, no such device.
    """
    config = load_config(options.profile, options.split)
    with _silent():
        assets = load_assets(options.people, config.folder, config.files())
    if options.save_blend:
        _save_blend(options, config, assets)
        return {}
    if options.out is None:
        raise UserError("--out is missing: name the folder for the split's frames")
    out = split_folder(options.out)
    fingerprint = config.fingerprint(blender_version(), assets.digest)
    mine = _frames(options, config)
    check_folder(out, config, fingerprint, options.update)
    remove_fragments(out)
    todo = [frame for frame in mine if not frame_is_complete(out, frame, fingerprint)]
    devices: set[str] = set()
    failed: dict[int, str] = {}
    if todo:
        job = Job(
            profile=str(options.profile.absolute()),
            split=config.split,
            people=str(options.people.absolute()),
            out=str(out),
            fingerprint=fingerprint,
            device=options.device,
            recycle=options.recycle,
        )
        out.mkdir(parents=True, exist_ok=True)
        progress = Progress(f"render {config.split}", len(mine), len(mine) - len(todo), options.quiet)
        failed = _render(options, job, todo, progress, devices)
        remove_fragments(out)  # a process that died amid a file was replaced
    elif not options.quiet:
        print(f"render {config.split}: up to date", flush=True)
    write_manifest(out, config, fingerprint, devices)
    return failed


def _frames(options: argparse.Namespace, config: Config) -> list[int]:
    try:
        start, stop = (int(text) if text else None for text in options.frames.split(":"))
        index, count = (int(text) for text in options.shard.split("/"))
        if not 0 <= index < count:
            raise ValueError
    except ValueError:
        raise UserError(
            f"--frames {options.frames} --shard {options.shard}: expected A:B and i/n with 0 <= i < n"
        ) from None
    if options.workers < 0 or options.threads < 0:
        raise UserError("--workers and --threads must be 0 (what suits the machine) or more")
    if options.recycle < 1:
        raise UserError("--recycle must be at least 1 frame")
    if options.scheduler and options.workers:
        raise UserError("--workers is for this machine; with --scheduler, the cluster says how many")
    return list(range(config.frames))[start:stop][index::count]


def _render(
    options: argparse.Namespace, job: Job, todo: list[int], progress: Progress, devices: set[str]
) -> dict[int, str]:
    """Have the frames rendered; adds to ``devices`` what they were computed on."""

    def on_done(frame: int, reply: Reply) -> None:
        if reply["device"] not in devices:
            devices.add(reply["device"])
            progress.say(f"on {reply['device']}")
        progress.advance()

    with _team(options, job, len(todo)) as team:
        progress.say(f"{len(todo)} of {progress.total} images to do, {team.label}")
        failed = dispatch(team, todo, on_done)
    progress.close()
    return failed


def _team(options: argparse.Namespace, job: Job, frames: int) -> contextlib.AbstractContextManager[Team]:
    if options.scheduler:
        from blender.workers.dask_backend import remote_team

        return remote_team(options.scheduler, job, options.threads)
    return local_team(job, options.workers, options.threads, frames)


def _save_blend(options: argparse.Namespace, config: Config, assets: Assets) -> None:
    import bpy

    from blender.rendering.builder import build_scene

    with _silent():
        build_scene(frame_scene(config, assets, options.frame), config, assets)
        bpy.ops.wm.save_as_mainfile(filepath=str(options.save_blend.resolve()), check_existing=False)
    print(f"{options.save_blend}: frame {options.frame} of {config.split}")


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Blender's C code talks on standard output; send that nowhere."""
    sys.stdout.flush()
    saved, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)
        os.close(nowhere)


if __name__ == "__main__":
    main()
