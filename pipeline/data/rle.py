"""COCO's run-length encoding, read without trust.

pycocotools reads beyond the end of a malformed string and believes any sum, so a foreign mask
is decoded here first and handed to pycocotools only when it is whole.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_utils

from blender.contract import RunLengths
from pipeline.data.values import is_int, short


def read_counts(counts: Any) -> npt.NDArray[np.int64]:
    """Run lengths (background first) of an RLE's ``counts``: a compressed str or bytes, or a list.

    Raises:
        ValueError: says what is wrong.
    """
    if isinstance(counts, list):
        for count in counts:
            if not is_int(count) or not 0 <= count < 2**32:
                raise ValueError(f"a run length is {short(count)}")
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
    """Polygons or RLE, compressed or not, of a sound annotation as the RLE that pycocotools works on."""
    if isinstance(segmentation, list):
        return dict(mask_utils.merge(mask_utils.frPyObjects(segmentation, height, width)))
    if isinstance(segmentation["counts"], list):
        return dict(mask_utils.frPyObjects(segmentation, height, width))
    return dict(segmentation)


@lru_cache(maxsize=1)  # each rule of a mask asks anew
def _decompress(counts: bytes) -> npt.NDArray[np.int64]:
    # cocoapi's rleFrString: five bits a character, the low ones first; from the fourth on, a run
    # is the difference to the run two before it.
    codes = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    if not len(codes):
        return codes
    if codes.min() < 0 or codes.max() > 63:
        raise ValueError("a character is none of the 64 that are used")
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
    """Encode a mask (H, W), anything but 0 being inside, as COCO's compressed RLE with ``counts`` a str."""
    rle = mask_utils.encode(np.asfortranarray(mask != 0, dtype=np.uint8))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def compressed(runs: RunLengths) -> dict[str, Any]:
    """Run lengths as pycocotools compresses them, ``counts`` a str."""
    height, width = runs.size
    rle = mask_utils.frPyObjects({"size": [height, width], "counts": [*runs.counts]}, height, width)
    return rle | {"counts": rle["counts"].decode()}
