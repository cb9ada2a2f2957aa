"""COCO's run-length encoding (RLE): decode it safely, encode masks, and measure them.

pycocotools reads beyond the end of a malformed string and does not check the sum of the runs. So a mask of
unknown origin is decoded here first, and passed to pycocotools only if it is valid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_utils

from blender.contract import RunLengths
from pipeline.data.values import is_int, short_repr


@dataclass(frozen=True)
class MeasuredMask:
    """Area and box of a segmentation, in pixels."""

    area: int
    bbox: tuple[float, float, float, float]
    """x, y, width, height."""
    exact: bool
    """True for RLE, which lists the pixels; False for polygons, whose outline is rounded to pixels."""


def decode_counts(counts: Any) -> npt.NDArray[np.int64]:
    """Decode the ``counts`` of an RLE to run lengths, background first.

    Args:
        counts: a compressed str or bytes, or a list of run lengths.

    Raises:
        ValueError: ``counts`` is malformed; the message says why.
    """
    if isinstance(counts, list):
        for count in counts:
            if not is_int(count) or not 0 <= count < 2**32:
                raise ValueError(f"a run length is {short_repr(count)}")
        return np.array(counts, np.int64)
    if isinstance(counts, str):
        try:
            counts = counts.encode("ascii")
        except UnicodeEncodeError:
            raise ValueError("a character is not ASCII") from None
    if not isinstance(counts, bytes):
        raise ValueError(f"counts is {type(counts).__name__}, not a string or a list")
    return _decompress(counts)


def as_rle(segmentation: Any, width: int, height: int) -> dict[str, Any]:
    """Convert the polygons or the RLE of a valid annotation to pycocotools' compressed RLE.

    Args:
        segmentation: polygons, or RLE with or without compression.
        width: of the image, in pixels.
        height: of the image, in pixels.
    """
    if isinstance(segmentation, list):
        return dict(mask_utils.merge(mask_utils.frPyObjects(segmentation, height, width)))
    if isinstance(segmentation["counts"], list):
        return dict(mask_utils.frPyObjects(segmentation, height, width))
    return dict(segmentation)


def sample_mask(
    segmentation: Any, size: tuple[int, int], sampled_size: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """Resize the mask of a valid segmentation by nearest neighbours, without decoding it at its full size.

    The memory that it takes depends on ``sampled_size`` and on the number of runs only.

    Args:
        segmentation: polygons, or RLE with or without compression.
        size: (width, height) of the image in pixels.
        sampled_size: (width, height) of the result.

    Returns:
        The mask (height, width) uint8, 0 or 1; each pixel is that of the image at its centre.
    """
    rle = as_rle(segmentation, *size)
    if sampled_size == size:
        return np.asarray(mask_utils.decode(rle))
    crop, top, left = _sample_crop(rle, size, sampled_size)
    mask = np.zeros(sampled_size[::-1], np.uint8)
    mask[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
    return mask


def resize_rle(rle: dict[str, Any], size: tuple[int, int], new_size: tuple[int, int]) -> dict[str, Any]:
    """Resize a mask (compressed RLE) by nearest neighbours; memory and time follow the object's size."""
    crop, top, left = _sample_crop(rle, size, new_size)
    padded = np.pad(crop, ((1, 1), (0, 0))).astype(np.int8)
    columns, rows = np.nonzero(np.diff(padded, axis=0).T)  # column by column, as COCO's runs go
    changes = (columns + left) * new_size[1] + rows + top
    # An object that ends at the bottom of a column and goes on at the top of the next is one run.
    values, counts = np.unique(changes, return_counts=True)
    end = new_size[0] * new_size[1]
    runs = np.diff(values[(counts == 1) & (values < end)], prepend=0, append=end)
    encoded = mask_utils.frPyObjects({"size": list(new_size[::-1]), "counts": runs.tolist()}, *new_size[::-1])
    return {"size": list(new_size[::-1]), "counts": encoded["counts"].decode("ascii")}


def _sample_crop(
    rle: dict[str, Any], size: tuple[int, int], sampled_size: tuple[int, int]
) -> tuple[npt.NDArray[np.uint8], int, int]:
    """Resize a mask by nearest neighbours.

    Returns:
        The part (h, w) of the result that the object's box covers, and its first row and column.
    """
    x, y, w, h = (int(value) for value in mask_utils.toBbox(rle))
    columns, rows = (
        ((np.arange(sampled) + 0.5) * full / sampled).astype(np.int64)
        for sampled, full in zip(sampled_size, size, strict=True)
    )
    first_column, last_column = np.searchsorted(columns, (x, x + w))
    first_row, last_row = np.searchsorted(rows, (y, y + h))
    ends = np.cumsum(decode_counts(rle["counts"]))
    # COCO's runs go down the columns; every second run is inside, from the second on.
    pixels = columns[first_column:last_column] * size[1] + rows[first_row:last_row, None]
    crop = (np.searchsorted(ends, pixels, side="right") % 2).astype(np.uint8)
    return crop, int(first_row), int(first_column)


def measure_mask(segmentation: Any, width: int, height: int) -> MeasuredMask:
    """Measure a valid segmentation: polygons or RLE of an image of ``width`` x ``height`` pixels."""
    rle = as_rle(segmentation, width, height)
    x, y, w, h = (float(value) for value in mask_utils.toBbox(rle))
    return MeasuredMask(int(mask_utils.area(rle)), (x, y, w, h), isinstance(segmentation, dict))


def clip_box(box: Sequence[float] | None, width: int, height: int) -> list[float] | None:
    """Clip a box (x, y, width, height) to an image; None if there is no box or no part of it is inside."""
    if box is None:
        return None
    x, y = max(box[0], 0.0), max(box[1], 0.0)
    w, h = min(box[0] + box[2], width) - x, min(box[1] + box[3], height) - y
    return [x, y, w, h] if w > 0 and h > 0 else None


def box_rle(box: Sequence[float], width: int, height: int) -> dict[str, Any]:
    """Return the pixels that a box (x, y, width, height) touches as compressed RLE."""
    x, y, w, h = clip_box(box, width, height) or (0.0, 0.0, 0.0, 0.0)
    left, top, right, bottom = math.floor(x), math.floor(y), math.ceil(x + w), math.ceil(y + h)
    rows = bottom - top
    if not rows:
        return compress_runs(RunLengths((height, width), (width * height,)))
    ends = (width - right) * height + height - bottom
    counts = [left * height + top, *[rows, height - rows] * (right - left - 1), rows, ends]
    return compress_runs(RunLengths((height, width), tuple(counts)))


@lru_cache(maxsize=1)  # several validation rules decode the same mask, one after the other
def _decompress(counts: bytes) -> npt.NDArray[np.int64]:
    # The format of cocoapi's rleFrString: five bits per character, the low bits first. From the fourth run
    # on, a number is the difference to the run two before.
    codes = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    if not len(codes):
        return codes
    if codes.min() < 0 or codes.max() > 63:
        raise ValueError("a character is not one of the 64 allowed")
    last = (codes & 32) == 0
    if not last[-1]:
        raise ValueError("the last number is cut off")
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 7:
        raise ValueError("a number is too long")
    places = np.arange(len(codes)) - np.repeat(starts, lengths)
    values = np.add.reduceat((codes & 31) << (5 * places), starts)
    negative = (codes[ends] & 16) != 0
    values -= np.where(negative, np.int64(1) << (5 * lengths), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    if values.min() < 0:
        raise ValueError("a run length is negative")
    values.flags.writeable = False
    return values


def encode_mask(mask: npt.NDArray[Any]) -> dict[str, Any]:
    """Encode a mask (H, W), nonzero inside, as COCO's compressed RLE with ``counts`` a str."""
    rle = mask_utils.encode(np.asfortranarray(mask != 0, dtype=np.uint8))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def compress_runs(runs: RunLengths) -> dict[str, Any]:
    """Encode run lengths as COCO's compressed RLE with ``counts`` a str."""
    height, width = runs.size
    rle = mask_utils.frPyObjects({"size": [height, width], "counts": [*runs.counts]}, height, width)
    return rle | {"counts": rle["counts"].decode()}
