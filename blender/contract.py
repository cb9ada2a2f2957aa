"""What the renderer and the training pipeline agree on: profiles, files, frame records.

Standard library only, because it runs inside Blender's Python as well as beside torch.

A split lies in one folder::

    images/000042.png    RGB, 8 bits a channel
    masks/000042.png     16-bit grey; the pixel is the instance id, 0 = background or unlabelled
    frames/000042.json   the frame's record, written last: a frame exists iff its record
                         exists and the hashes in it match
    manifest.json        schema, categories, profile, Blender version, one hash per frame

and, for a profile that asks for them (numpy arrays, top row first)::

    depth/000042.npy     (H, W) float32, metres along the pixel's ray; 0 where it meets nothing
    normals/000042.npy   (H, W, 3) float16, unit normals of the faces, turned to the camera, in its
                         frame: x right, y down, z ahead; 0 where the ray meets nothing

The folder is a ``Path``, or a ``UPath`` of fsspec's (see ``split_folder``) where the frames lie in an
object store.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import platform
import tomllib
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

SCHEMA_VERSION = 1
"""Version of the layout on disk described above."""

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

PROFILE_KEYS = (
    "name",
    "seed",
    "classes",
    "splits",
    "people",
    "render",
    "scene",
    "coco",
    "model",
    "train",
    "evaluate",
)
"""Top level of a profile. ``blender.config`` reads the first seven, ``pipeline.config`` the
first four and the last four."""


class UserError(Exception):
    """A mistake of the user's: one line that names the thing and the cure; exit status 2."""


# ------------------------------------------------------------------------------ files


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that the file is whole or, on any failure, as it was before.

    Raises:
        OSError: the disk is full, the folder is not writable, ...; nothing is left behind.
    """
    with open_atomic(path) as stream:
        stream.write(data)


@contextlib.contextmanager
def open_atomic(path: Path) -> Iterator[typing.BinaryIO]:
    """Open ``path`` to be written bit by bit: it appears whole at the end, or stays as it was before.

    Raises:
        OSError: the disk is full, the folder is not writable, ...; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if fs := getattr(path, "fs", None):  # a store of fsspec's: what a transaction opens appears at its end
        with fs.transaction, fs.open(str(path), "wb") as stream:
            yield stream
        return
    fragment = path.with_name(f".{path.name}.{_host()}.{os.getpid()}.tmp")
    try:
        with fragment.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        fragment.replace(path)
    except BaseException as error:
        fragment.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(fragment)):
            error.filename = str(path)  # a write that fails does not say where, and a fragment is no help
        raise


def remove_fragments(folder: Path) -> None:
    """Delete what killed processes of this machine left behind in ``write_atomic``, at any depth."""
    if hasattr(folder, "fs"):
        return  # a store shows nothing of what was not committed
    for path in folder.rglob(f".*.{_host()}.*.tmp"):
        owner = path.name.split(".")[-2]
        if owner.isdigit() and not _is_alive(int(owner)):
            path.unlink(missing_ok=True)


def _host() -> str:
    return platform.node().replace(".", "-") or "localhost"


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def canonical_json(value: Any) -> bytes:
    """Encode as JSON with one spelling: sorted keys, no spaces to choose, a final newline."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode() + b"\n"


def sha256_bytes(data: bytes) -> str:
    """SHA-256 of ``data``, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# ------------------------------------------------------------------------------ profiles


def load_profile(path: Path) -> dict[str, Any]:
    """Read a profile, a TOML file that describes one whole run.

    Raises:
        UserError: no such file, not TOML, or an unknown or missing top-level key.
    """
    try:
        profile = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such profile; see assets/profiles/") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not valid TOML: {error}") from None
    for key in profile:
        if key not in PROFILE_KEYS:
            raise UserError(
                f"{path}: unknown key '{key}'; known: {', '.join(PROFILE_KEYS)}{_closest(key, PROFILE_KEYS)}"
            )
    for key in PROFILE_KEYS[:4]:
        if key not in profile:
            raise UserError(f"{path}: key '{key}' is missing")
    return profile


def from_table(cls: type[T], table: Any, where: str) -> T:
    """Build the dataclass ``cls`` from a profile's table; unknown keys and wrong types are errors.

    Handles bool, int, float, str, ``X | None``, ``tuple[X, ...]``, ``tuple[X, Y]``,
    ``dict[str, X]`` and nested dataclasses. An int is accepted where a float is wanted. A
    dataclass checks its own values in ``__post_init__`` with a ValueError, which is passed on.

    Args:
        where: the table's place, for messages: ``"default.toml: [render]"``.

    Raises:
        UserError: names the key and what was expected.
    """
    if not isinstance(table, dict):
        raise UserError(f"{where}: expected a table, not {table!r}")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in table:
        if key not in fields:
            raise UserError(
                f"{where}: unknown key '{key}'; known: {', '.join(fields)}{_closest(key, fields)}"
            )
    for name, f in fields.items():
        if name not in table and f.default is f.default_factory is dataclasses.MISSING:
            raise UserError(f"{where}: key '{name}' is missing")
    values = {key: _convert(hints[key], value, f"{where}: {key}") for key, value in table.items()}
    try:
        return cls(**values)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None


def _closest(key: str, known: typing.Iterable[str]) -> str:
    import difflib

    match = difflib.get_close_matches(key, list(known), n=1)
    return f"; did you mean '{match[0]}'?" if match else ""


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        (hint,) = [a for a in args if a is not type(None)]
        return _convert(hint, value, where)
    if dataclasses.is_dataclass(hint):
        return from_table(typing.cast(type, hint), value, where)
    if origin is dict and isinstance(value, dict):
        return {k: _convert(args[1], v, f"{where}.{k}") for k, v in value.items()}
    if origin is tuple and isinstance(value, list):
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        if len(kinds) != len(value):
            raise UserError(f"{where}: expected {len(kinds)} values, not {value!r}")
        return tuple(_convert(k, v, where) for k, v in zip(kinds, value, strict=True))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and type(value) is hint:
        return value
    name = hint.__name__ if isinstance(hint, type) and origin is None else str(hint)
    raise UserError(f"{where}: expected {name}, not {value!r}")


# ------------------------------------------------------------------------------ records


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
        table = dataclasses.asdict(self)
        if not table["arrays_sha256"]:
            del table["arrays_sha256"]
        for instance in table["instances"]:
            if instance["box3d"] is None:
                del instance["box3d"]
        return canonical_json(table)


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


def split_folder(name: str) -> Path:
    """The folder ``name``, absolute; for a URL (``s3://bucket/train``) a ``UPath``, which acts like a Path.

    Raises:
        UserError: the packages for such a URL are missing, or it is not one.
    """
    if "://" not in name:
        return Path(name).absolute()
    try:
        from upath import UPath
    except ImportError:
        raise UserError(
            f"{name}: a URL needs the package universal-pathlib; pip install 'transpalette[cluster]'"
        ) from None
    try:
        path: Any = UPath(name)
        _ = path.fs  # what the scheme needs is imported now, not after the first frame
    except (ImportError, ValueError) as error:
        raise UserError(f"{name}: {error}") from None
    return typing.cast(Path, path)


def frame_paths(split_dir: Path, frame: int) -> tuple[Path, Path, Path]:
    """Image, mask and record of a frame."""
    name = f"{frame:06d}"
    return (
        split_dir / "images" / f"{name}.png",
        split_dir / "masks" / f"{name}.png",
        split_dir / "frames" / f"{name}.json",
    )


def array_path(split_dir: Path, name: str, frame: int) -> Path:
    """One of a frame's arrays; ``name`` is a member of ARRAYS."""
    return split_dir / name / f"{frame:06d}.npy"


def commit_frame(
    split_dir: Path, record: FrameRecord, image: bytes, mask: bytes, arrays: dict[str, bytes]
) -> None:
    """Write a frame's files, the record last; arrays of earlier settings go.

    Raises:
        OSError: the disk is full, ...; the frame then does not exist.
    """
    image_path, mask_path, record_path = frame_paths(split_dir, record.frame)
    record_path.unlink(missing_ok=True)
    for name in ARRAYS:
        if name in arrays:
            write_atomic(array_path(split_dir, name, record.frame), arrays[name])
        else:
            array_path(split_dir, name, record.frame).unlink(missing_ok=True)
    write_atomic(image_path, image)
    write_atomic(mask_path, mask)
    write_atomic(record_path, record.to_bytes())


def remove_frame(split_dir: Path, frame: int) -> None:
    """Delete a frame's files, the record first."""
    arrays = [array_path(split_dir, name, frame) for name in ARRAYS]
    for path in (*reversed(frame_paths(split_dir, frame)), *arrays):
        path.unlink(missing_ok=True)


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


def frame_is_complete(split_dir: Path, frame: int, fingerprint: str) -> bool:
    """Does the frame exist as described in the module's head, made with ``fingerprint``?"""
    image, mask, record_path = frame_paths(split_dir, frame)
    try:
        record = read_record(record_path)
        return (
            record.fingerprint == fingerprint
            and sha256_file(image) == record.image_sha256
            and sha256_file(mask) == record.mask_sha256
            and all(
                sha256_file(array_path(split_dir, name, frame)) == digest
                for name, digest in record.arrays_sha256.items()
            )
        )
    except (UserError, OSError):
        return False
