"""Copies of images that an annotation tool shows as ``predict`` reads them."""

from __future__ import annotations

import io
import re
from pathlib import Path

from PIL import Image

from pipeline.data.exif import read_orientation
from pipeline.data.formats.images import encode_as_annotated
from pipeline.data.images import open_image, read_image
from pipeline.data.pixel_formats import has_16_bits

_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp"}
"""Formats that browsers show, by Pillow's name, and the extension of a copy. MPO is JPEG with previews."""
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
"""Pillow's names of the pixel formats that browsers show as ``predict`` reads them."""


def copy_name(rank: int, total: int, source: Path, suffix: str) -> str:
    """Return the unique name of a copy: its rank, from 1 to ``total``, and the safe part of the name."""
    stem = re.sub(r"[^\w.-]+", "_", source.stem)[:60]
    return f"{rank:0{max(4, len(str(total)))}d}-{stem}{suffix}"


def upright_copy(path: Path) -> tuple[bytes, str]:
    """Return the content and the extension of an image file that needs no EXIF orientation.

    A file that browsers show is copied as it is, or turned and encoded again if it has an orientation. Other
    formats, more than 8 bits per channel and animations become the PNG that ``predict`` sees.

    Raises:
        UserError: the file cannot be read.
    """
    with open_image(path) as opened:
        suffix = _SUFFIXES.get(opened.format or "")
        frames = 1 if suffix == ".jpg" else getattr(opened, "n_frames", 1)
        plain = opened.mode in _MODES and not has_16_bits(opened) and frames == 1
        upright_size = read_orientation(opened).upright_size
    if suffix and plain:
        return encode_as_annotated(path, upright_size, True) or path.read_bytes(), suffix
    stream = io.BytesIO()
    Image.fromarray(read_image(path, upright=True).pixels).save(stream, "PNG")
    return stream.getvalue(), ".png"
