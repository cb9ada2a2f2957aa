"""Name and write the drawings of predicted images."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

from PIL import Image

from blender.contract import UserError, write_atomic
from pipeline.inference.sources import Source

JPEG_QUALITY = 92
"""JPEG quality of drawings, on Pillow's scale from 1 to 95."""
_SUFFIXES = {".jpg": ".jpg", ".jpeg": ".jpeg", ".jpe": ".jpg", ".jfif": ".jpg"}
"""Extension of an image -> extension of its drawing; all others are drawn as .png."""
_LONGEST_NAME = 255
"""Bytes of the longest file name on common file systems."""
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def name_drawings(sources: list[Source], out: Path) -> list[str]:
    """Choose a file name in ``out`` for the drawing of each source; all names differ, even if case is
    ignored.

    Raises:
        UserError: a drawing would replace the image that it is drawn from.
    """
    names: list[str] = []
    used: set[str] = set()
    copies: dict[str, int] = {}
    for source in sources:
        stem = source.path.stem
        suffix = ".mp4" if source.is_video else _SUFFIXES.get(source.path.suffix.lower(), ".png")
        plain = name = _shorten(stem, suffix)
        while name.lower() in used:
            copies[plain.lower()] = copies.get(plain.lower(), 1) + 1
            name = _shorten(stem, f"-{copies[plain.lower()]}{suffix}")
        names.append(name)
        used.add(name.lower())
    inputs = {os.path.realpath(source.path) for source in sources}
    clash = next((name for name in names if os.path.realpath(out / name) in inputs), None)
    if clash:
        raise UserError(f"{out / clash}: the drawing would replace the image itself; give another --out")
    return names


def write_drawing(path: Path, image: Image.Image) -> str:
    """Write a drawing as JPEG or PNG.

    Returns:
        Why it could not be written, or "".

    Raises:
        OSError: the disk is full. Every other problem concerns this drawing alone.
    """
    stream = io.BytesIO()
    try:
        if path.suffix in _SUFFIXES:
            image.save(stream, format="JPEG", quality=JPEG_QUALITY)
        else:
            image.save(stream, format="PNG")
        write_atomic(path, stream.getvalue())
    except OSError as error:
        return drawing_problem(path, error)
    return ""


def drawing_problem(path: Path, error: OSError) -> str:
    """Return a message for a drawing that could not be written; raise the error if the disk is full."""
    if error.errno in _DISK_FULL:
        raise error
    return f"{path}: the drawing cannot be written: {error.strerror or error}"


def _shorten(stem: str, suffix: str) -> str:
    """Join a stem and a suffix, and cut the stem if the name would be too long for a file system."""
    room = _LONGEST_NAME - len(os.fsencode(suffix))
    encoded = os.fsencode(stem)
    if len(encoded) > room:
        stem = encoded[:room].decode(errors="ignore")
    return stem + suffix
