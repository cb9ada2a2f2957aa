"""Command line: render a split of a profile, in processes of this machine or on a Dask cluster.

``python -m blender.render ARGS``, or ``blender -b --factory-startup --disable-autoexec
--python-exit-code 3 -P blender/render.py -- ARGS``: both give the same bytes. If a render is interrupted,
repeat the command: finished frames stay, the missing ones are rendered.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

if __package__ in (None, ""):  # run as a file: the repository is not on the path
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from blender.assets import Assets, load_assets
from blender.config.profile import Config, load_config
from blender.contract import (
    UserError,
    exit_on_user_error,
    explain_temporary_errors,
    frame_is_complete,
    print_note,
    print_warning,
    remove_fragments,
    split_folder,
    temporary_root,
)
from blender.contract.render_options import add_render_options
from blender.contract.scheduler import check_address
from blender.rendering.frame import RenderJob, blender_version, frame_scene
from blender.scene.checks import Placements, add_placements, placement_warnings, scene_warnings
from blender.workers.dask_backend import open_dask_backend
from blender.workers.dispatch import Backend, FrameResult, dispatch, failure_summary
from blender.workers.manifest import check_folder, write_manifest
from blender.workers.pool import open_local_backend
from blender.workers.progress import Progress


def main() -> None:
    """Parse the arguments and render.

    Exit status: 0 if all frames are done, 1 if frames failed, 2 for a user's mistake (one line on standard
    error), 130 after Ctrl-C.
    """
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    options = _parser().parse_args(arguments)
    try:
        with exit_on_user_error():
            failed = run(options)
    except KeyboardInterrupt:
        print("interrupted; repeat the command to continue", file=sys.stderr)
        sys.exit(130)
    if failed:
        print(f"error: {options.out}: {failure_summary(failed)}", file=sys.stderr)
        sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m blender.render",
        description="Render one split of a profile. Finished frames stay; only missing ones are rendered.",
    )
    add_render_options(parser)
    return parser


def run(options: argparse.Namespace) -> dict[int, str]:
    """Render the frames that the command line selects, or save one scene as a .blend file.

    Returns:
        The reason of each frame that failed twice.

    Raises:
        UserError: a mistake in the profile or the options, missing people, a folder with other content, or no
            such device.
    """
    if options.scheduler is not None:
        check_address(options.scheduler)
    config = load_config(options.profile, options.split)
    with _silence_stdout():
        assets = load_assets(options.people, config.folder, config.files())
    for line in scene_warnings(config, assets):
        print_warning(line)
    if options.save_blend:
        _save_blend(options, config, assets)
        return {}
    if options.out is None:
        raise UserError("--out is missing; name the folder for the split's frames")
    out = split_folder(options.out)
    fingerprint = config.fingerprint(blender_version(), assets.digest)
    selected = _select_frames(options, config)
    check_folder(out, config, fingerprint, options.update)
    remove_fragments(out)
    todo = [frame for frame in selected if not frame_is_complete(out, frame, fingerprint)]
    devices, placements = set[str](), Placements()
    failed: dict[int, str] = {}
    if todo:
        for note in () if options.quiet else config.notes:
            print_note(note)
        job = RenderJob(
            profile=str(options.profile.absolute()),
            split=config.split,
            people=str(options.people.absolute()),
            out=str(out),
            fingerprint=fingerprint,
            device=options.device,
            recycle=options.recycle,
        )
        out.mkdir(parents=True, exist_ok=True)
        done = len(selected) - len(todo)
        progress = Progress(f"render {config.split}", len(selected), done, options.quiet)
        failed = _render(options, job, todo, progress, devices, placements)
        remove_fragments(out)  # a process that died may have left an incomplete file
    elif not options.quiet:
        print(f"render {config.split}: up to date", flush=True)
    counts = write_manifest(out, config, fingerprint, devices)
    for line in placement_warnings(placements, len(todo) - len(failed)) + counts.warnings(config):
        print_warning(line)
    return failed


def _select_frames(options: argparse.Namespace, config: Config) -> list[int]:
    """Return the frames that ``--frames`` and ``--shard`` select; check the numeric options.

    Raises:
        UserError: the value of an option is wrong, or two options exclude each other.
    """
    try:
        frames = _frame_list(options.frames, config.frames)
        index, count = (int(text) for text in options.shard.split("/"))
        if not 0 <= index < count:
            raise ValueError
    except ValueError:
        raise UserError(
            f"--frames {options.frames} --shard {options.shard}: expected A:B, or frames such as 3,17,40:44, "
            "and i/n with 0 <= i < n"
        ) from None
    if options.workers < 0 or options.threads < 0:
        raise UserError("--workers and --threads must be 0 (automatic) or more")
    if options.recycle < 1:
        raise UserError("--recycle must be at least 1 frame")
    if options.scheduler and options.workers:
        raise UserError(
            "--workers is for this machine; leave it out with --scheduler: the cluster sets the number"
        )
    return frames[index::count]


def _frame_list(text: str, count: int) -> list[int]:
    """Return the frames that ``text`` names: parts with commas between them, each a frame or a range A:B.

    Args:
        text: the value of ``--frames``.
        count: number of frames of the split.

    Raises:
        UserError: the split has no such frame.
        ValueError: the text has another form.
    """
    if "," not in text and ":" in text:
        start, stop = (int(part) if part else None for part in text.split(":"))
        return list(range(count))[start:stop]
    frames: set[int] = set()
    for part in text.split(","):
        first, colon, last = part.partition(":")
        frames.update(range(int(first), int(last)) if colon else [int(first)])
    if outside := sorted(frames - set(range(count))):
        raise UserError(f"--frames {text}: the split has {count} frames, from 0: no frame {outside[0]}")
    return sorted(frames)


def _render(
    options: argparse.Namespace,
    job: RenderJob,
    todo: list[int],
    progress: Progress,
    devices: set[str],
    placements: Placements,
) -> dict[int, str]:
    """Render the frames ``todo``; return the reason of each failure.

    The devices of the frames and the counts of their objects are added to ``devices`` and ``placements``.
    """

    def on_done(frame: int, result: FrameResult) -> None:
        if result.device not in devices:
            devices.add(result.device)
            progress.message(f"on {result.device}")
        add_placements(placements, result.placements)
        progress.advance()

    with _open_backend(options, job, len(todo)) as backend:
        progress.message(f"{len(todo)} of {progress.total} images to do, {backend.label}")
        failed = dispatch(backend, todo, on_done)
    progress.close()
    return failed


def _open_backend(
    options: argparse.Namespace, job: RenderJob, frames: int
) -> contextlib.AbstractContextManager[Backend]:
    if options.scheduler:
        return open_dask_backend(options.scheduler, job, options.threads)
    return open_local_backend(job, options.workers, options.threads, frames)


def _save_blend(options: argparse.Namespace, config: Config, assets: Assets) -> None:
    """Build the scene of ``--frame`` and write it as a .blend file."""
    # Imported here for start-up time: bpy takes seconds to load, and the parent process does not need it.
    import bpy

    from blender.rendering.builder import build_scene

    with _silence_stdout(), explain_temporary_errors(temporary_root()):
        build_scene(frame_scene(config, assets, options.frame), config, assets)
        bpy.ops.wm.save_as_mainfile(filepath=str(options.save_blend.resolve()), check_existing=False)
    print(f"{options.save_blend}: frame {options.frame} of {config.split}")


@contextlib.contextmanager
def _silence_stdout() -> Iterator[None]:
    """Discard the messages that Blender's C code prints to standard output."""
    sys.stdout.flush()
    saved, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)
        os.close(null)


if __name__ == "__main__":
    main()
