"""Label Studio's run-length encoding of brush strokes.

The source of the format: label_studio_sdk.converter.brush and the package rle-pack of thi.ng/umbrella. The
values are the bytes of an RGBA image, row by row; alpha above 0 is inside. They are a stream of bits, the
highest first::

    32 bits    number of values
     5 bits    bits of a value, minus 1
  4 x 4 bits   four lengths, minus 1: the bits of a count
  and blocks:
     1 bit     1: one value that is repeated; 0: as many values as the count says
     2 bits    which of the four lengths the count has
     n bits    the count, minus 1
               the value or the values
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_VALUE_BITS = 8
_COUNT_BITS = (3, 4, 8, 16)
_CHANNELS = 4
_INSIDE, _OUTSIDE = 255, 0


def encode_brush(mask: npt.NDArray[Any]) -> list[int]:
    """Encode a mask (H, W), nonzero inside, as the bytes of Label Studio's ``rle``.

    All four channels of a pixel inside are 255.
    """
    inside = np.asarray(mask).ravel() != 0
    starts = np.flatnonzero(np.diff(inside, prepend=~inside[:1]))
    lengths = np.diff(starts, append=len(inside)) * _CHANNELS
    parts = [f"{len(inside) * _CHANNELS:032b}", f"{_VALUE_BITS - 1:05b}"]
    parts += [f"{bits - 1:04b}" for bits in _COUNT_BITS]
    longest = 1 << _COUNT_BITS[-1]
    for value, length in zip(inside[starts].tolist(), lengths.tolist(), strict=True):
        byte = f"{_INSIDE if value else _OUTSIDE:08b}"
        whole, rest = divmod(length, longest)
        parts += [_repeat(longest, byte)] * whole
        if rest:
            parts.append(_repeat(rest, byte))
    bits = "".join(parts)
    size = -(-len(bits) // 8)
    return list(int(bits.ljust(8 * size, "0"), 2).to_bytes(size, "big"))


def _repeat(count: int, byte: str) -> str:
    """Return the bits of a block that repeats a value ``count`` times."""
    index = next(index for index, bits in enumerate(_COUNT_BITS) if count <= 1 << bits)
    return f"1{index:02b}{count - 1:0{_COUNT_BITS[index]}b}{byte}"


def decode_brush(rle: Any, width: int, height: int) -> npt.NDArray[np.bool_]:
    """Decode Label Studio's ``rle`` to a mask (height, width).

    A pixel is inside if its alpha is more than half of the largest alpha of the stroke. Label Studio's own
    strokes have soft edges up to 255; predictions of other programs have 1, 100 or 255 throughout.

    Args:
        rle: a list of bytes.
        width: of the image in pixels.
        height: of the image in pixels.

    Raises:
        ValueError: the list is malformed, or is of an image of another size.
    """
    if not isinstance(rle, list) or not all(type(value) is int and 0 <= value < 256 for value in rle):
        raise ValueError("its rle is not a list of bytes")
    values, counts = _read_blocks(_Bits(bytes(rle)), width * height * _CHANNELS)
    # Byte 4 p + 3 is the alpha of pixel p, so the first n bytes have that of n // 4 pixels.
    pixels = np.diff(np.cumsum(counts) // _CHANNELS, prepend=0)
    visible = values[pixels > 0]
    inside = 2 * values > (visible.max() if len(visible) else 0)
    return np.repeat(inside, pixels).reshape(height, width)


class _Bits:
    """A stream of bits."""

    def __init__(self, data: bytes) -> None:
        self.text = "".join(f"{byte:08b}" for byte in data)
        self.at = 0

    def read(self, size: int) -> int:
        """Read the next ``size`` bits as a number."""
        if self.at + size > len(self.text):
            raise ValueError("its rle is cut off")
        self.at += size
        return int(self.text[self.at - size : self.at], 2)


def _read_blocks(bits: _Bits, total: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the values of the blocks, and how often each is repeated.

    Args:
        bits: the stream.
        total: the number of values that it must have.
    """
    number = bits.read(32)
    if number != total:
        raise ValueError(f"its rle has {number} values, but the image needs {total}")
    value_bits = bits.read(5) + 1
    count_bits = [bits.read(4) + 1 for _ in range(4)]
    values: list[int] = []
    counts: list[int] = []
    done = 0
    while done < total:
        is_repeated = bits.read(1)
        count = bits.read(count_bits[bits.read(2)]) + 1
        values += [bits.read(value_bits) for _ in range(1 if is_repeated else count)]
        counts += [count] if is_repeated else [1] * count
        done += count
    if done > total:
        raise ValueError("its rle has more values than it says")
    return np.array(values, np.int64), np.array(counts, np.int64)
