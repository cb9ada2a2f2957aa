"""Image files as they come: found safely, checked, and read as RGB whatever they hold."""

from __future__ import annotations

import warnings
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from blender.contract import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm")
ORIENTATION = 0x0112
"""The EXIF tag that says how a picture is turned."""
_WIDE_GREY = ("I", "I;16", "I;16B", "I;16L", "I;16N")


def bad_file_name(name: str) -> str | None:
    """Why a COCO ``file_name`` must not be opened; None if it stays in its folder."""
    if "\0" in name:
        return "it holds a NUL"
    if "\\" in name:
        return "it holds a backslash"
    if name.startswith("/") or name[1:2] == ":":
        return "it is absolute"
    if ".." in PurePosixPath(name).parts:
        return "it climbs out with '..'"
    return None


def find_image(folder: Path, name: str) -> Path:
    """The path of ``name`` in ``folder``.

    Raises:
        UserError: the name or a symlink leads out of the folder, or there is no such file.
    """
    reason = bad_file_name(name)
    if reason:
        raise UserError(f"file_name {name!r} is refused: {reason}; name files relative to {folder}")
    path = folder / name
    if not stays_in(folder, path):
        raise UserError(f"{path}: refused: a symlink leads out of the folder; copy the image into it")
    if not is_file(path):
        raise UserError(f"{path}: no such image; is --images the right folder?")
    return path


def stays_in(folder: Path, path: Path) -> bool:
    """Does the path, with its symlinks resolved, stay in the folder?"""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # too long, not encodable, a loop of symlinks
        return not path.is_symlink()


def is_file(path: Path) -> bool:
    """Is it a file? A name that the file system refuses is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def read_rgb(path: Path, size: tuple[int, int] | None = None, upright: bool = False) -> npt.NDArray[np.uint8]:
    """Read an image of any kind as (height, width, 3) uint8.

    16-bit grey is scaled to 8 bits, palettes are looked up, alpha is dropped, CMYK converted.

    Args:
        size: what an annotation file says, (width, height). Its coordinates mean the stored
            pixels, unless only the picture turned as EXIF says has this size.
        upright: turn as EXIF says in any case.

    Raises:
        UserError: missing, corrupt, truncated, or of another size.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as opened:
            warnings.simplefilter("ignore")
            opened.load()
            turned = size is not None and opened.size != size and turned_size(opened) == size
            picture = ImageOps.exif_transpose(opened) if upright or turned else opened
            if size is not None and picture.size != size:
                raise UserError(f"{path}: {by_size(picture.size)}, but the annotations say {by_size(size)}")
            return _to_rgb(picture)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, MemoryError) as error:
        raise UserError(f"{path}: not a readable image: {str(error) or type(error).__name__}") from None


def rgb_of(picture: Image.Image) -> npt.NDArray[np.uint8]:
    """The pixels of an opened picture of any mode as (height, width, 3) uint8, turned as EXIF says."""
    return _to_rgb(ImageOps.exif_transpose(picture))


def check_image(path: Path, size: tuple[int, int]) -> None:
    """Look at an image's header: can it be opened, and has it the ``size`` (width, height) said?

    Raises:
        UserError: no, or neither as stored nor turned as EXIF says.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as picture:
            warnings.simplefilter("ignore")
            sizes = (picture.size, turned_size(picture))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: not a readable image: {error}") from None
    if size not in sizes:
        raise UserError(f"{path}: {by_size(sizes[0])}, but the annotations say {by_size(size)}")


def turned_size(picture: Image.Image) -> tuple[int, int]:
    """Width and height of an opened image after its EXIF orientation is applied."""
    orientation = picture.getexif().get(ORIENTATION, 1)
    return (picture.size[1], picture.size[0]) if orientation in (5, 6, 7, 8) else picture.size


def _to_rgb(picture: Image.Image) -> npt.NDArray[np.uint8]:
    if picture.mode in _WIDE_GREY:
        grey = np.asarray(picture).astype(np.float64)
        scale = 255 / 65535 if grey.max(initial=0) > 255 or picture.mode != "I" else 1.0
        return np.repeat(np.clip(grey * scale, 0, 255).round().astype(np.uint8)[..., None], 3, axis=2)
    if picture.mode == "F":
        grey = np.nan_to_num(np.asarray(picture))
        scale = 255.0 if grey.max(initial=0) <= 1 else 1.0
        return np.repeat(np.clip(grey * scale, 0, 255).round().astype(np.uint8)[..., None], 3, axis=2)
    return np.asarray(picture.convert("RGB"), np.uint8).copy()


def by_size(size: tuple[int, int]) -> str:
    """``(640, 480)`` as "640x480"."""
    return f"{size[0]}x{size[1]}"
