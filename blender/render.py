"""Render a split: sample, build, trace, commit, frame by frame.

``python -m blender.render ARGS``, or ``blender -b --factory-startup --disable-autoexec
--python-exit-code 3 -P blender/render.py -- ARGS``: the same arguments give the same bytes. A
render killed at any instant goes on when the command is repeated.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import os
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

if __package__ in (None, ""):  # run as a file, by Blender or by hand: the repository is not on the path
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from blender.config import RENDER_VERSION, Config, load_config
from blender.contract import (
    SCHEMA_VERSION,
    FrameRecord,
    Manifest,
    UserError,
    commit_frame,
    frame_is_complete,
    frame_paths,
    read_manifest,
    read_record,
    remove_fragments,
    remove_frame,
    sha256_bytes,
    sha256_file,
    write_atomic,
)
from blender.layout import sample_scene
from blender.lens import intrinsics
from blender.objects import Assets, load_assets
from blender.png import encode_png
from blender.progress import Progress
from blender.scene import SceneSpec
from blender.sensor import expose
from blender.workers import is_committed, run_workers

DEVICES = ("auto", "cpu", "optix", "cuda", "hip", "oneapi", "metal")


def main() -> None:
    """Parse, render, and end a user's mistake in one line and exit status 2."""
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    options = _parser().parse_args(arguments)
    try:
        run(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"error: {error.filename or 'file'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; repeat the command to go on", file=sys.stderr)
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m blender.render", description="Render one split of a profile."
    )
    parser.add_argument("--profile", type=Path, required=True, help="the TOML file that describes the run")
    parser.add_argument("--split", required=True, help="a name under the profile's [splits]")
    parser.add_argument("--people", type=Path, required=True, help="folder written by `transpalette people`")
    parser.add_argument("--out", type=Path, help="the split's folder")
    parser.add_argument("--frames", default=":", help="only frames A:B, B excluded")
    parser.add_argument("--shard", default="0/1", help="only every n-th frame, starting at i: i/n")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0: what suits the machine")
    parser.add_argument("--threads", type=int, default=0, help="threads a process; 0: all cores shared out")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="what Cycles computes on")
    parser.add_argument(
        "--update", action="store_true", help="render again what was made with other settings"
    )
    parser.add_argument("--save-blend", type=Path, help="write the scene of --frame as a .blend, and stop")
    parser.add_argument("--frame", type=int, default=0, help="the frame for --save-blend")
    parser.add_argument("--quiet", action="store_true", help="no progress, no summary")
    parser.add_argument("--member", action="store_true", help=argparse.SUPPRESS)  # one of ``run_workers``
    return parser


def run(options: argparse.Namespace) -> None:
    """Do what the command line says.

    Raises:
        UserError: a wrong profile, missing people, or a folder that holds something else.
    """
    config = load_config(options.profile, options.split)
    with _silent():
        assets = load_assets(options.people, config.folder, config.files())
    if options.save_blend:
        _save_blend(options, config, assets)
        return
    if options.out is None:
        raise UserError("--out is missing: name the folder for the split's frames")
    fingerprint = config.fingerprint(blender_version(), assets.digest)
    mine = _frames(options, config)
    _check_folder(options, config, fingerprint)
    remove_fragments(options.out)
    todo = [frame for frame in mine if not frame_is_complete(options.out, frame, fingerprint)]
    if todo:
        _render_all(options, config, assets, fingerprint, todo, len(mine))
    elif not options.quiet:
        print(f"render {config.split}: up to date", flush=True)
    if not options.member:
        _write_manifest(options.out, config, fingerprint)


def blender_version() -> str:
    """Version of the Blender that runs, or of the bpy package that would."""
    bpy = sys.modules.get("bpy")
    if bpy is not None and hasattr(bpy, "app"):
        return ".".join(str(n) for n in bpy.app.version)
    try:
        return importlib.metadata.version("bpy")
    except importlib.metadata.PackageNotFoundError:
        raise UserError("Blender's Python module 'bpy' is missing; run `make setup`") from None


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
    if options.workers < 0:
        raise UserError("--workers must be 0 (what suits the machine) or more")
    return list(range(config.frames))[start:stop][index::count]


def _check_folder(options: argparse.Namespace, config: Config, fingerprint: str) -> None:
    """Refuse a folder that holds another profile's or other settings' frames, unless told to update."""
    if options.out.exists() and not options.out.is_dir():
        raise UserError(f"{options.out}: not a folder; name another --out")
    for path in sorted(options.out.glob("frames/*.json")):
        try:
            record = read_record(path)
        except UserError:
            continue  # a fragment; it is rendered again
        if record.fingerprint == fingerprint or options.update:
            continue
        raise UserError(
            f"{options.out}: holds frames made with another profile or other settings ({path.name}); "
            "name another --out, or add --update to render them again"
        )
    if options.update:
        _remove_surplus(options.out, config)


def _remove_surplus(out: Path, config: Config) -> None:
    """Frames beyond the split's number, left by a larger setting, would be taken for this split's."""
    for path in out.glob("frames/*.json"):
        if path.stem.isdigit() and int(path.stem) >= config.frames:
            remove_frame(out, int(path.stem))


def _render_all(
    options: argparse.Namespace, config: Config, assets: Assets, fingerprint: str, todo: list[int], total: int
) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    # Building a scene keeps one core busy and tracing keeps all: on a CPU a process a core is fastest.
    suits = 1 if options.device not in ("auto", "cpu") else min(os.cpu_count() or 1, 8)
    workers = min(options.workers or suits, len(todo))
    progress = Progress(f"render {config.split}", total, total - len(todo), options.quiet)
    if workers > 1:
        run_workers(options, fingerprint, todo, progress, workers)
        progress.close()
        return
    device = _choose_device(options)
    progress.say(f"on {device}")
    with tempfile.TemporaryDirectory(prefix="transpalette-") as scratch, _silent():
        for frame in todo:
            _render_frame(options, config, assets, fingerprint, frame, Path(scratch))
            progress.advance()
    progress.close()


def frame_rng(config: Config, frame: int, stream: int) -> np.random.Generator:
    """The frame's own generator: no other frame, order, worker or shard can change what it draws."""
    return np.random.default_rng([config.seed, zlib.crc32(config.split.encode()), frame, stream])


def frame_scene(config: Config, assets: Assets, frame: int) -> SceneSpec:
    """The scene of a frame."""
    return sample_scene(config, frame_rng(config, frame, 0), assets)


def _render_frame(
    options: argparse.Namespace, config: Config, assets: Assets, fingerprint: str, frame: int, scratch: Path
) -> None:
    """Render one frame and commit it: image, mask, and the record last."""
    from blender import passes, records
    from blender.device import use_device
    from blender.stage import build_scene

    spec = frame_scene(config, assets, frame)
    placed = build_scene(spec, config, assets)
    use_device(options.device, options.threads)
    light = passes.render_rgb(scratch)
    ids, distance = passes.render_ids(scratch)
    height, width = ids.shape
    wanted = records.candidates(placed, spec.camera, width, height)
    amodal = passes.render_amodal(scratch, placed, wanted)
    image = encode_png(expose(light, distance, spec.sensor, frame_rng(config, frame, 1)))
    mask = encode_png(ids)
    arrays = passes.render_arrays(config.render.passes, scratch, distance, spec.camera)
    record = FrameRecord(
        schema=SCHEMA_VERSION,
        frame=frame,
        seed=config.seed,
        split=config.split,
        fingerprint=fingerprint,
        width=width,
        height=height,
        camera=intrinsics(spec.camera, width, height),
        lights={
            "lamps": len(spec.lamps),
            "temperature": spec.temperature,
            "ambient": spec.ambient,
            "environment": spec.environment,
            **spec.sensor,
        },
        layout=spec.layout,
        image_sha256=sha256_bytes(image),
        mask_sha256=sha256_bytes(mask),
        instances=records.describe(
            placed, ids, amodal, spec.camera, assets, "boxes3d" in config.render.passes
        ),
        arrays_sha256={name: sha256_bytes(data) for name, data in arrays.items()},
    )
    commit_frame(options.out, record, image, mask, arrays)


def _choose_device(options: argparse.Namespace) -> str:
    """Import bpy and choose the device; returns its name."""
    try:
        import bpy  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"Blender's Python module cannot be loaded: {error}; see `transpalette doctor`"
        ) from None
    from blender.device import choose_device

    return choose_device(options.device)


def _save_blend(options: argparse.Namespace, config: Config, assets: Assets) -> None:
    import bpy

    from blender.stage import build_scene

    with _silent():
        build_scene(frame_scene(config, assets, options.frame), config, assets)
        bpy.ops.wm.save_as_mainfile(filepath=str(options.save_blend.resolve()), check_existing=False)
    print(f"{options.save_blend}: frame {options.frame} of {config.split}")


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Blender's C code reports every render on standard output; send that nowhere."""
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


def _write_manifest(out: Path, config: Config, fingerprint: str) -> None:
    """List the split's frames as they are now; rewritten only if its bytes change."""
    frames = {}
    for frame in range(config.frames):
        path = frame_paths(out, frame)[2]
        if path.is_file() and is_committed(out, frame, fingerprint):
            frames[path.stem] = sha256_file(path)
    manifest = Manifest(
        schema=SCHEMA_VERSION,
        profile=config.profile,
        split=config.split,
        seed=config.seed,
        categories=config.classes,
        blender=blender_version(),
        render_version=RENDER_VERSION,
        fingerprint=fingerprint,
        frames=frames,
    )
    with contextlib.suppress(UserError):
        if read_manifest(out) == manifest:
            return
    write_atomic(out / "manifest.json", manifest.to_bytes())


if __name__ == "__main__":
    main()
