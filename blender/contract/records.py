"""Frame records and split manifests: the JSON files of a split."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from blender.contract.errors import UserError
from blender.contract.files import canonical_json, sha256_bytes
from blender.contract.table_reader import from_table

T = TypeVar("T")

SCHEMA_VERSION = 1
"""Version of the file formats that the package's docstring describes."""

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

ARRAYS = ("depth", "normals", "light")
"""Names of the optional arrays of a frame; each name is also the name of a folder."""

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Box3d:
    """The pose of a labelled object and its 3D bounding box, along the object's own axes; metres.

    The hall's frame has z up; the camera's frame has x right, y down, z ahead. The columns of a rotation are
    the object's axes: ``rotation @ p + position`` transforms a point of the object to the frame.
    """

    size: Triple
    """Extent of the box along the object's x, y and z."""
    position: Triple
    """The object's origin in the hall's frame."""
    centre: Triple
    """The centre of the box in the hall's frame."""
    rotation: tuple[Triple, Triple, Triple]
    """Rows of the rotation from the object's frame to the hall's."""
    camera_position: Triple
    """The object's origin in the camera's frame."""
    camera_centre: Triple
    """The centre of the box in the camera's frame."""
    camera_rotation: tuple[Triple, Triple, Triple]
    """Rows of the rotation from the object's frame to the camera's."""


@dataclass(frozen=True)
class RunLengths:
    """A mask in COCO's uncompressed RLE: runs of 0 and 1 in turn, column by column, starting with 0."""

    size: tuple[int, int]
    """Height, width."""
    counts: tuple[int, ...]
    """Lengths of the runs."""


@dataclass(frozen=True)
class Clip:
    """The place of a frame in a clip: frames that show one scene at successive times."""

    number: int
    """Number of the clip in its split, from 0."""
    frame: int
    """Number of the frame in the clip, from 0."""
    rate: float
    """Frames per second."""

    def track_id(self, instance: int) -> int:
        """Return the id of an object over all frames of the clip, unique in the split.

        Args:
            instance: its id in the masks, which has 16 bits and is the same in all frames of the clip.
        """
        return (self.number << 16) + instance


@dataclass(frozen=True)
class Instance:
    """One labelled object of a frame."""

    id: int
    """Value of the object's pixels in the mask, from 1."""
    category: str
    """Class of the object."""
    parameters: dict[str, Any]
    """The object's kind and the parameters that it was built from: variant, colours, pose, load, ..."""
    distance: float
    """Metres from the camera to the nearest point of the object."""
    visible_pixels: int
    """Pixels of the object in the mask."""
    amodal_pixels: int
    """Pixels of the image that the object would cover if nothing occluded it."""
    visible_fraction: float
    """visible_pixels / amodal_pixels; 0 if the object is outside the image."""
    truncated: bool
    """Whether the object extends beyond the image."""
    keypoints: tuple[tuple[float, float, int], ...] = ()
    """COCO keypoints of pedestrians as (x, y, v): v 0 outside the image, 1 occluded, 2 visible."""
    box3d: Box3d | None = None
    """Only with the pass "boxes3d"; otherwise the record has no such key."""
    amodal: RunLengths | None = None
    """The mask of the ``amodal_pixels``. None if there are none; then the record has no such key."""
    track_id: int | None = None
    """Id of the object in all frames of a clip; without clips the record has no such key."""


@dataclass(frozen=True)
class FrameRecord:
    """One frame: its settings, its scene and its labelled objects. The file is written last."""

    schema: int
    """SCHEMA_VERSION."""
    frame: int
    """Number of the frame in its split, from 0."""
    seed: int
    """The profile's seed."""
    split: str
    """Name of the split."""
    fingerprint: str
    """Hash of everything that determines the frame: see ``blender.config.profile.Config``."""
    width: int
    """Width of the image in pixels."""
    height: int
    """Height of the image in pixels."""
    camera: dict[str, Any]
    """Lens, mount, position and rotation of the camera."""
    lights: dict[str, Any]
    """Lamps and ambient light."""
    layout: str
    """Layout of the hall."""
    image_sha256: str
    """SHA-256 of the image's file."""
    mask_sha256: str
    """SHA-256 of the mask's file."""
    instances: tuple[Instance, ...] = field(default=())
    """The labelled objects."""
    arrays_sha256: dict[str, str] = field(default_factory=dict)
    """SHA-256 of each array's file, by its name in ARRAYS; without arrays the record has no such key."""

    clip: Clip | None = None
    """The frame's place in its clip; without clips the record has no such key."""

    def __post_init__(self) -> None:
        for name in self.arrays_sha256:
            if name not in ARRAYS:
                raise ValueError(f"unknown array '{name}'; known: {', '.join(ARRAYS)}")

    def to_bytes(self) -> bytes:
        """Encode the record as canonical JSON, without the keys of passes that the profile does not have."""
        table = _fields(self)
        table["instances"] = [_fields(instance) for instance in self.instances]
        if not self.arrays_sha256:
            del table["arrays_sha256"]
        if self.clip is None:
            del table["clip"]
        else:
            table["clip"] = _fields(self.clip)
        for instance in table["instances"]:
            for key in ("box3d", "amodal"):
                if instance[key] is None:
                    del instance[key]
                else:
                    instance[key] = _fields(instance[key])
            if instance["track_id"] is None:
                del instance["track_id"]
        return canonical_json(table)


def _fields(record: Any) -> dict[str, Any]:
    """Return the fields of a dataclass without copies: ``dataclasses.asdict`` would copy every run length."""
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


@dataclass(frozen=True)
class Manifest:
    """One split: the settings that made it, and one hash per frame. It holds no time, host name or path."""

    schema: int
    """SCHEMA_VERSION."""
    profile: str
    """Name of the profile."""
    split: str
    """Name of the split."""
    seed: int
    """The profile's seed."""
    categories: tuple[str, ...]
    """The profile's classes in its order, then its auxiliary classes: category ids are 1..N."""
    blender: str
    """Blender's version."""
    render_version: int
    """``blender.config.profile.RENDER_VERSION``."""
    fingerprint: str
    """The frames' fingerprint."""
    frames: dict[str, str]
    """Frame name ("000042") to the SHA-256 of its record."""
    total: int = 0
    """Number of frames of the complete split, also if this is a shard; 0: unknown."""
    auxiliary: tuple[str, ...] = ()
    """Those of the categories that are auxiliary classes; without any the manifest has no such key."""
    kinds: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Kinds of object that a class has, by its name. A class with the name of its only kind is left out;
    without other classes the manifest has no such key."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Information that no hash includes: ``devices``, the devices that rendered the frames."""

    def digest(self) -> str:
        """Return the SHA-256 of the manifest without the notes."""
        return sha256_bytes(dataclasses.replace(self, notes={}).to_bytes())

    def to_bytes(self) -> bytes:
        """Encode the manifest as canonical JSON."""
        table = dataclasses.asdict(self)
        for key in ("auxiliary", "kinds"):
            if not table[key]:
                del table[key]
        return canonical_json(table)


def read_record(path: Path) -> FrameRecord:
    """Read one frame's record.

    Raises:
        UserError: the file is missing, not JSON, or not a record of this schema.
    """
    return _read(FrameRecord, path, "frame record")


def read_manifest(split_dir: Path) -> Manifest:
    """Read a split's manifest.

    Raises:
        UserError: the file is missing (not rendered yet), not JSON, or of another schema.
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
