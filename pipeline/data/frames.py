"""Read the files of a rendered frame and check each against its recorded SHA-256."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from blender.contract import (
    FrameRecord,
    UserError,
    array_path,
    frame_paths,
    read_record,
    sha256_bytes,
    sha256_file,
)

RENDER_AGAIN = "delete it and render again"


def read_frame(split_dir: Path, frame: int, record_hash: str) -> tuple[FrameRecord, npt.NDArray[np.uint16]]:
    """Read a frame's record and its instance mask, and check all files of the frame.

    Args:
        split_dir: folder of the split.
        frame: number of the frame.
        record_hash: SHA-256 of the record, from the manifest.

    Returns:
        The record, and the mask (H, W) with the instance id of each pixel, 0 for none.

    Raises:
        UserError: a file of the frame is missing, corrupt, or changed since it was rendered.
    """
    image_path, mask_path, record_path = frame_paths(split_dir, frame)
    record = read_record(record_path)
    if sha256_file(record_path) != record_hash:
        raise UserError(f"{record_path}: differs from the record named in manifest.json; {RENDER_AGAIN}")
    read_verified(image_path, record.image_sha256)
    for name, digest in record.arrays_sha256.items():
        read_verified(array_path(split_dir, name, frame), digest)
    mask = _decode(mask_path, read_verified(mask_path, record.mask_sha256), record)
    unknown = sorted(set(np.unique(mask).tolist()) - {i.id for i in record.instances} - {0})
    if unknown:
        raise UserError(
            f"{mask_path}: instance ids {unknown[:5]} are not in {record_path.name}; {RENDER_AGAIN}"
        )
    return record, mask


def read_verified(path: Path, sha256: str) -> bytes:
    """Read a file of a split and check its SHA-256.

    Raises:
        UserError: the file is missing, or its SHA-256 is not ``sha256``.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: missing, though the frame has a record; render again") from None
    if sha256_bytes(data) != sha256:
        raise UserError(f"{path}: corrupt or altered since it was rendered; {RENDER_AGAIN}")
    return data


def _decode(path: Path, data: bytes, record: FrameRecord) -> npt.NDArray[np.uint16]:
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as opened:
            mode, mask = opened.mode, np.asarray(opened)
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path}: corrupt PNG: {error}; {RENDER_AGAIN}") from None
    if mode not in ("I;16", "I"):
        raise UserError(f"{path}: mode {mode}, but instance masks are 16-bit grey PNG; {RENDER_AGAIN}")
    if mask.shape != (record.height, record.width):
        raise UserError(
            f"{path}: {mask.shape[1]}x{mask.shape[0]}, but its record says "
            f"{record.width}x{record.height}; {RENDER_AGAIN}"
        )
    return mask.astype(np.uint16)
