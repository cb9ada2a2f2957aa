"""A split's folder as a whole: what may be in it, and the manifest that lists what is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from blender.config.run import RENDER_VERSION, Config
from blender.contract import (
    SCHEMA_VERSION,
    Manifest,
    UserError,
    frame_paths,
    read_manifest,
    read_record,
    remove_frame,
    sha256_file,
    write_atomic,
)
from blender.rendering.frame import blender_version


def check_folder(out: Path, config: Config, fingerprint: str, update: bool) -> None:
    """Refuse a folder that holds another profile's or other settings' frames, unless told to update.

    Raises:
        UserError: names a frame that is not ours.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: not a folder; name another --out")
    for path in sorted(out.glob("frames/*.json")):
        try:
            record = read_record(path)
        except UserError:
            continue  # a fragment; it is rendered again
        if record.fingerprint == fingerprint or update:
            continue
        raise UserError(
            f"{out}: holds frames made with another profile or other settings ({path.name}); "
            "name another --out, or add --update to render them again"
        )
    if update:
        _remove_surplus(out, config)


def _remove_surplus(out: Path, config: Config) -> None:
    """Frames beyond the split's number, left by a larger setting, would be taken for this split's."""
    for path in out.glob("frames/*.json"):
        if path.stem.isdigit() and int(path.stem) >= config.frames:
            remove_frame(out, int(path.stem))


def write_manifest(out: Path, config: Config, fingerprint: str, devices: Iterable[str]) -> None:
    """List the split's frames as they are now; rewritten only if its bytes change.

    Args:
        devices: what this run's frames were computed on, beside what the manifest notes already.
    """
    frames = {}
    for frame in range(config.frames):
        path = frame_paths(out, frame)[2]
        with contextlib.suppress(UserError):
            if read_record(path).fingerprint == fingerprint:
                frames[path.stem] = sha256_file(path)
    before = None
    with contextlib.suppress(UserError):
        before = read_manifest(out)
    same = before is not None and before.fingerprint == fingerprint
    noted = set(before.notes.get("devices", ())) if before is not None and same else set()
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
        total=config.frames,
        notes={"devices": sorted(noted | set(devices))},
    )
    if manifest != before:
        write_atomic(out / "manifest.json", manifest.to_bytes())
