"""The EXIF orientation of an image file: how its stored pixels must be turned for viewing.

Annotations can refer to the stored pixels or to the upright (turned) image. The size in the annotation file
decides between them if the orientation swaps width and height. It cannot decide for orientations 2 to 4, nor
for 5 to 8 if width and height are equal: then the user's choice applies (``--exif``).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from PIL import Image

Size = tuple[int, int]
"""(width, height) in pixels."""

ORIENTATION_TAG = 0x0112
"""Number of the EXIF tag for how an image must be turned."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Orientation -> the transposition that makes the stored pixels upright."""
_INVERSE = {6: 8, 8: 6}
"""Orientation -> that of the inverse transposition; all others are their own inverse."""


@dataclass(frozen=True)
class Orientation:
    """The orientation of an image file and its size before and after it is applied."""

    number: int
    """EXIF's number, 1 to 8; 1: the stored pixels are upright."""
    stored_size: Size
    upright_size: Size

    @property
    def is_turned(self) -> bool:
        """Whether the stored pixels are not upright."""
        return self.number != 1

    def is_ambiguous(self, size: Size) -> bool:
        """Return whether an annotated ``size`` fits both the stored and the upright image, which differ."""
        return self.is_turned and size == self.stored_size == self.upright_size

    def reads_upright(self, size: Size | None, upright: bool) -> bool:
        """Return whether the upright image is the one that annotations refer to, or else the stored one.

        Args:
            size: from the annotation file; None: there are no annotations.
            upright: the answer where the size does not decide.
        """
        if size is None or self.stored_size == self.upright_size:
            return upright
        return size == self.upright_size


def read_orientation(image: Image.Image) -> Orientation:
    """Read the orientation of an opened image whose pixels are not loaded yet.

    An orientation that is not one of EXIF's eight, or that cannot be read, counts as 1, as in viewers.
    """
    try:
        number = image.getexif().get(ORIENTATION_TAG, 1)
    except (SyntaxError, ValueError, KeyError, TypeError, struct.error):  # malformed EXIF data
        number = 1
    if not isinstance(number, int) or number not in _TURNS:
        number = 1
    swapped = (image.size[1], image.size[0]) if number >= 5 else image.size
    # Pillow reports the upright size of a TIFF file, and the stored size of any other.
    stored, upright = (swapped, image.size) if image.format == "TIFF" else (image.size, swapped)
    return Orientation(number, stored, upright)


def orient(image: Image.Image, orientation: Orientation, upright: bool) -> Image.Image:
    """Return the stored or the upright image.

    Args:
        image: an opened image, which is loaded.
        orientation: its orientation, read before it was loaded.
        upright: which of the two.
    """
    image.load()
    is_upright = image.format == "TIFF"  # Pillow turns a TIFF file while it loads
    if upright == is_upright or not orientation.is_turned:
        return image
    number = orientation.number if upright else _INVERSE.get(orientation.number, orientation.number)
    return image.transpose(_TURNS[number])
