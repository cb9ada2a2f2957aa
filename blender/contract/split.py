"""The folder of a split: the paths of a frame's files, writing, deleting and checking them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, cast

from blender.contract.errors import UserError
from blender.contract.files import sha256_file, write_atomic
from blender.contract.records import ARRAYS, FrameRecord, read_record


def split_folder(name: str) -> Path:
    """Return an absolute path for ``name``, or a ``UPath`` for a URL such as ``s3://bucket/train``.

    Raises:
        UserError: the URL is wrong, or the packages for it are not installed.
    """
    if "://" not in name:
        return Path(name).absolute()
    try:
        from upath import UPath  # an optional package
    except ImportError:
        raise UserError(
            f"{name}: a URL needs the package universal-pathlib; pip install 'transpalette[cluster]'"
        ) from None
    try:
        path: Any = UPath(name)
        _ = path.fs  # imports the packages for the URL now, not after the first frame is rendered
    except (ImportError, ValueError) as error:
        raise UserError(f"{name}: {error}") from None
    return cast(Path, path)


def frame_paths(split_dir: Path, frame: int) -> tuple[Path, Path, Path]:
    """Return the paths of the image, the mask and the record of a frame."""
    name = f"{frame:06d}"
    return (
        split_dir / "images" / f"{name}.png",
        split_dir / "masks" / f"{name}.png",
        split_dir / "frames" / f"{name}.json",
    )


def array_path(split_dir: Path, name: str, frame: int) -> Path:
    """Return the path of one of a frame's arrays; ``name`` is an element of ARRAYS."""
    return split_dir / name / f"{frame:06d}.npy"


def commit_frame(
    split_dir: Path, record: FrameRecord, image: bytes, mask: bytes, arrays: dict[str, bytes]
) -> None:
    """Write a frame's files, the record last; delete arrays that the frame no longer has.

    If another process has committed the same frame, its record stays, because a third process may be reading
    it. The files that are written again are equal to those of the other process.

    Args:
        image, mask: encoded PNG files.
        arrays: array name -> encoded file.

    Raises:
        OSError: a file cannot be written, for example on a full disk. The frame then does not exist, or stays
            as it was.
    """
    image_path, mask_path, record_path = frame_paths(split_dir, record.frame)
    with contextlib.suppress(FileNotFoundError):
        if record_path.read_bytes() != record.to_bytes():
            record_path.unlink()
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


def frame_is_complete(split_dir: Path, frame: int, fingerprint: str) -> bool:
    """Whether the frame exists (see the package's docstring) and was rendered with ``fingerprint``."""
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
