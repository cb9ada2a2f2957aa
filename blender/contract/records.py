"""What is known of a frame, and of a split: the JSON files beside the pictures."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from blender.contract.errors import UserError
from blender.contract.files import canonical_json, sha256_bytes
from blender.contract.tables import from_table

T = TypeVar("T")

SCHEMA_VERSION = 1
"""Version of the layout on disk described in the package's head."""

KEYPOINTS = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
"""The 17 COCO body keypoints, in COCO's order."""

ARRAYS = ("depth", "normals")
"""What a profile may ask to have beside each image and mask; each has a folder of its own."""

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Box3d:
    """Where a labelled object is and the box around the whole of it, along the object's own axes; metres.

    The hall's frame has z up; the camera's has x right, y down, z ahead. A rotation's columns are
    the object's axes: ``rotation @ p + position`` carries a point of the object to the frame.
    """

    size: Triple
    position: Triple
    """The object's origin in the hall."""
    centre: Triple
    """The box's middle in the hall."""
    rotation: tuple[Triple, Triple, Triple]
    camera_position: Triple
    """The same three in the camera's frame."""
    camera_centre: Triple
    camera_rotation: tuple[Triple, Triple, Triple]


@dataclass(frozen=True)
class RunLengths:
    """A mask as COCO's uncompressed RLE: column by column, runs of 0 and 1 in turn, a run of 0 first."""

    size: tuple[int, int]
    """H, W."""
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Instance:
    """One labelled object of a frame."""

    id: int
    """The value of its pixels in the mask, from 1."""
    category: str
    parameters: dict[str, Any]
    """What the builder was given: variant, colours, pose, load, ..."""
    distance: float
    """Metres from the camera to the nearest point of the object."""
    visible_pixels: int
    amodal_pixels: int
    """Pixels the object would cover if nothing stood before it, within the frame."""
    visible_fraction: float
    """visible_pixels / amodal_pixels; 0 if it lies outside the frame."""
    truncated: bool
    """Does it reach beyond the frame?"""
    keypoints: tuple[tuple[float, float, int], ...] = ()
    """For pedestrians, the COCO keypoints as (x, y, v): v 0 outside, 1 hidden, 2 visible."""
    box3d: Box3d | None = None
    """Only if the profile asks for it; else the record has no such key."""
    amodal: RunLengths | None = None
    """The ``amodal_pixels``; None, and no such key, for an object that has none in the frame."""


@dataclass(frozen=True)
class FrameRecord:
    """Everything known about one frame; its JSON is the frame's commit."""

    schema: int
    frame: int
    seed: int
    split: str
    fingerprint: str
    width: int
    height: int
    camera: dict[str, Any]
    lights: dict[str, Any]
    layout: str
    image_sha256: str
    mask_sha256: str
    instances: tuple[Instance, ...] = field(default=())
    arrays_sha256: dict[str, str] = field(default_factory=dict)
    """A member of ARRAYS to its file's SHA-256; the record has no such key if there are none."""

    def __post_init__(self) -> None:
        for name in self.arrays_sha256:
            if name not in ARRAYS:
                raise ValueError(f"unknown array '{name}'; known: {', '.join(ARRAYS)}")

    def to_bytes(self) -> bytes:
        """The record as canonical JSON, without a word on what the profile did not ask for."""
        table = _fields(self)
        table["instances"] = [_fields(instance) for instance in self.instances]
        if not self.arrays_sha256:
            del table["arrays_sha256"]
        for instance in table["instances"]:
            for key in ("box3d", "amodal"):
                if instance[key] is None:
                    del instance[key]
                else:
                    instance[key] = _fields(instance[key])
        return canonical_json(table)


def _fields(record: Any) -> dict[str, Any]:
    """A dataclass's fields as they are: ``dataclasses.asdict`` would copy every run of every mask."""
    return {one.name: getattr(record, one.name) for one in dataclasses.fields(record)}


@dataclass(frozen=True)
class Manifest:
    """One split: what made it and one hash per frame. No clock, host name or path."""

    schema: int
    profile: str
    split: str
    seed: int
    categories: tuple[str, ...]
    """In profile order: category ids are 1..N."""
    blender: str
    render_version: int
    fingerprint: str
    frames: dict[str, str]
    """Frame name ("000042") to the SHA-256 of its record."""
    total: int = 0
    """Frames that the whole split is to have, of which these may be a shard; 0: unknown."""
    notes: dict[str, Any] = field(default_factory=dict)
    """What is worth knowing and part of no hash: ``devices``, what the frames were computed on."""

    def digest(self) -> str:
        """SHA-256 of everything but the notes."""
        return sha256_bytes(dataclasses.replace(self, notes={}).to_bytes())

    def to_bytes(self) -> bytes:
        """The manifest as canonical JSON."""
        return canonical_json(dataclasses.asdict(self))


def read_record(path: Path) -> FrameRecord:
    """Read one frame's record.

    Raises:
        UserError: missing, not JSON, or not a record of this schema.
    """
    return _read(FrameRecord, path, "frame record")


def read_manifest(split_dir: Path) -> Manifest:
    """Read a split's manifest.

    Raises:
        UserError: missing (not rendered yet), not JSON, or of another schema.
    """
    return _read(Manifest, split_dir / "manifest.json", "manifest")


def _read(cls: type[T], path: Path, what: str) -> T:
    try:
        table = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such {what}; render the split first (make render)") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable {what}: {error}; delete it and render again") from None
    if not isinstance(table, dict) or table.get("schema") != SCHEMA_VERSION:
        raise UserError(f"{path}: not a {what} of schema {SCHEMA_VERSION}; render again")
    return from_table(cls, table, str(path))
