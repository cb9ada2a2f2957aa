"""Check the folder of a split and write the manifest that lists its frames."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from blender.config.profile import RENDER_VERSION, Config
from blender.contract import (
    SCHEMA_VERSION,
    FrameRecord,
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


@dataclass
class ObjectCounts:
    """The labelled objects of some frames, counted by class."""

    frames: int = 0
    placed: Counter[str] = field(default_factory=Counter)
    """Objects in the scenes."""
    visible: Counter[str] = field(default_factory=Counter)
    """Objects with at least one pixel in the mask."""

    def add(self, record: FrameRecord) -> None:
        """Count the objects of a frame."""
        self.frames += 1
        self.placed.update(instance.category for instance in record.instances)
        self.visible.update(i.category for i in record.instances if i.visible_pixels)

    def warnings(self, config: Config) -> list[str]:
        """Describe each class without a visible object, one line each."""
        if not self.frames:
            return []
        lines, frames = [], f"{self.frames} {'frame' if self.frames == 1 else 'frames'}"
        for name in config.classes:
            if self.visible[name]:
                continue
            tables = [(key, t) for key, t in config.scene.objects.items() if t.category == name]
            names = ", ".join(f"[scene.objects.{key}]" for key, _ in tables)
            reason = f"check count, distance and size of {names}"
            if all(table.count[1] == 0 for _, table in tables):
                reason = f"count = [0, 0] in {names}"
            elif config.scene.negatives == 1:
                reason = "[scene] negatives = 1: no frame has a labelled object"
            elif self.placed[name]:
                reason = f"{self.placed[name]} placed, none with a visible pixel; {reason}"
            lines.append(f"class '{name}': 0 objects in {frames}; {reason}")
        return lines


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


def write_manifest(out: Path, config: Config, fingerprint: str, devices: Iterable[str]) -> ObjectCounts:
    """Write the manifest of the frames that exist now; the file is rewritten only if its content changes.

    Args:
        out: folder of the split.
        config: the profile and the split.
        fingerprint: fingerprint of the split's frames.
        devices: devices that rendered frames in this run; they are added to those of the existing manifest.

    Returns:
        The labelled objects of these frames.
    """
    frames, counts = {}, ObjectCounts()
    for frame in range(config.frames):
        path = frame_paths(out, frame)[2]
        with contextlib.suppress(UserError):
            record = read_record(path)
            if record.fingerprint == fingerprint:
                frames[path.stem] = sha256_file(path)
                counts.add(record)
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
        categories=config.categories(),
        auxiliary=config.auxiliary,
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
    return counts
