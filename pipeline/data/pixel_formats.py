"""Convert opened images of any pixel format to RGB with 8 bits per channel.

Greys and colours with more than 8 bits are scaled by the range that the file uses, because cameras write 10,
12 or 14 bits into files of 16 bits, and floats in many units. Ordinary images of 8 bits are never scaled.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from blender.contract import UserError
from pipeline.common.optional import import_optional

_HIGH_DEPTH_GREY = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")
"""Pillow's modes of one channel with more than 8 bits."""
_FAR_BELOW = 4
"""An image whose values fill less than this part of their type's range is scaled."""
_LARGEST_SHARE = 16.0
"""Floats up to this are shares of 1, lamps above 1 included; beyond it they are levels from 0 to 255 or
more."""
_NO_VALUE = 1e30
"""Floats beyond this mark pixels without a value."""


def to_rgb8(image: Image.Image, is_deep: bool = False, path: Path | None = None) -> tuple[Image.Image, str]:
    """Convert an opened image of any mode to RGB with 8 bits per channel; alpha is dropped.

    Args:
        image: the image; its pixels may be loaded or not.
        is_deep: its file ``has_16_bits``.
        path: the file, which is read again if Pillow dropped bits that are needed; None: it is not.

    Returns:
        The image, and how its values were scaled ("12 of 16 bits"), or "".
    """
    if image.mode in _HIGH_DEPTH_GREY:
        levels, scaling = scale_to_8_bits(np.asarray(image))
        return Image.fromarray(levels).convert("RGB"), scaling
    image.load()
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    if not is_deep:
        return rgb, ""
    highest = max(high for _, high in rgb.getextrema())  # type: ignore[misc]  # RGB has three pairs
    if highest >= 256 // _FAR_BELOW:
        return rgb, ""
    # Pillow keeps the upper 8 of 16 bits. Here they are nearly empty.
    levels, scaling = scale_to_8_bits(_read_16_bits(path, rgb))
    return Image.fromarray(levels), scaling


def scale_to_8_bits(values: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint8], str]:
    """Scale integers or floats of any range to 0..255.

    Black is 0. White is the highest value of the type, or of fewer bits (8, 10, 12, 14) if the image uses no
    more. Values below 0, and values that fill a small part of this range, are stretched from the lowest to
    the highest.

    Args:
        values: an array of any shape, with more than 8 bits. NaN and infinities become 0.

    Returns:
        The levels, and how they were scaled ("12 of 16 bits"), or "".
    """
    numbers = np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0)
    numbers[np.abs(numbers) > _NO_VALUE] = 0
    low, high = (float(numbers.min()), float(numbers.max())) if numbers.size else (0.0, 0.0)
    is_float = values.dtype.kind == "f"
    # The step between two levels of 16 bits, for floats that are shares of 1.
    step = max(high, 1.0) / 65535 if is_float and high <= _LARGEST_SHARE else 1.0
    bits = _even_bits(high / step)
    white = max(high, step * (2**bits - 1))
    if low < 0 or (bits > 8 and 0 < (high - low) * _FAR_BELOW < white):
        black, white, scaling = low, high, f"{low:g} to {high:g} as black to white"
    elif is_float:
        black, scaling = (
            0.0,
            "" if high == 0 or white in (1.0, 255.0) else f"0 to {white:g} as black to white",
        )
    else:
        full = 8 * values.dtype.itemsize if high > 65535 or values.dtype.itemsize <= 2 else 16
        black, scaling = 0.0, f"{bits} of {full} bits" if high > 0 and bits < full else ""
    numbers -= black
    numbers *= 255 / ((white - black) or 1.0)
    return np.clip(numbers, 0, 255, out=numbers).round().astype(np.uint8), scaling


def _even_bits(high: float) -> int:
    """Return the number of bits (8, 10, 12, ...) that hold values up to ``high``."""
    bits = math.ceil(math.log2(high)) if high > 1 else 0
    return max(8, bits + bits % 2)


def has_16_bits(image: Image.Image) -> bool:
    """Return whether a file has 16 bits per channel, of which Pillow reads 8. Ask before it is loaded."""
    tiles = getattr(image, "tile", None) or []
    words = tiles[0][3] if tiles else ""
    return ";16" in str(words[0] if isinstance(words, tuple) and words else words)


def _read_16_bits(path: Path | None, rgb: Image.Image) -> npt.NDArray[Any]:
    """Read all 16 bits with PyAV; without it, or a path, return the upper 8 bits of ``rgb`` as 16."""
    coarse = np.asarray(rgb).astype(np.uint16) * 257
    if path is None:
        return coarse
    try:
        av = import_optional("av", "video", str(path))
        with av.open(str(path)) as container:
            values = next(container.decode(video=0)).to_ndarray(format="rgb48le")
    except (UserError, OSError, ValueError, IndexError, StopIteration):
        return coarse
    return np.asarray(values) if values.shape == coarse.shape else coarse
