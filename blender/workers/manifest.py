"""Check the folder of a split and write the manifest that lists its frames."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from blender.config.profile import RENDER_VERSION, Config
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
    """Refuse a folder with frames of another profile or other settings, unless ``update`` is set.

    With ``update``, frames beyond the split's number of frames are removed.

    Raises:
        UserError: the folder holds such a frame, or is not a folder.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: not a folder; name another --out")
    for path in sorted(out.glob("frames/*.json")):
        try:
            record = read_record(path)
        except UserError:
            continue  # the record is incomplete, so the frame is rendered again
        if record.fingerprint == fingerprint or update:
            continue
        raise UserError(
            f"{out}: holds frames made with another profile or other settings ({path.name}); "
            "name another --out, or add --update to render them again"
        )
    if update:
        _remove_surplus_frames(out, config)


def _remove_surplus_frames(out: Path, config: Config) -> None:
    """Remove frames beyond the split's number of frames, left by a run with a larger number."""
    for path in out.glob("frames/*.json"):
        if path.stem.isdigit() and int(path.stem) >= config.frames:
            remove_frame(out, int(path.stem))


def write_manifest(out: Path, config: Config, fingerprint: str, devices: Iterable[str]) -> None:
    """Write the manifest of the frames that exist now; the file is rewritten only if its content changes.

    Args:
        out: folder of the split.
        config: the profile and the split.
        fingerprint: fingerprint of the split's frames.
        devices: devices that rendered frames in this run; they are added to those of the existing manifest.
    """
    frames = {}
    for frame in range(config.frames):
        path = frame_paths(out, frame)[2]
        with contextlib.suppress(UserError):
            if read_record(path).fingerprint == fingerprint:
                frames[path.stem] = sha256_file(path)
    existing = None
    with contextlib.suppress(UserError):
        existing = read_manifest(out)
    same = existing is not None and existing.fingerprint == fingerprint
    noted = set(existing.notes.get("devices", ())) if existing is not None and same else set()
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
        kinds=config.kinds(),
        notes={"devices": sorted(noted | set(devices))},
    )
    if manifest != existing:
        write_atomic(out / "manifest.json", manifest.to_bytes())
