"""Image files as they come: found safely, checked, and read as RGB whatever they hold."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from blender.contract import UserError
from pipeline.faults import ERROR, WARNING, Fault

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm")
_ORIENTATION = 0x0112
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
    if not _stays_in(folder, path):
        raise UserError(f"{path}: refused: a symlink leads out of the folder; copy the image into it")
    if not _is_file(path):
        raise UserError(f"{path}: no such image; is --images the right folder?")
    return path


def _stays_in(folder: Path, path: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # too long, not encodable, a loop of symlinks
        return not path.is_symlink()


def _is_file(path: Path) -> bool:
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
            turned = size is not None and opened.size != size and _turned_size(opened) == size
            picture = ImageOps.exif_transpose(opened) if upright or turned else opened
            if size is not None and picture.size != size:
                raise UserError(f"{path}: {_by(picture.size)}, but the annotations say {_by(size)}")
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
            sizes = (picture.size, _turned_size(picture))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: not a readable image: {error}") from None
    if size not in sizes:
        raise UserError(f"{path}: {_by(sizes[0])}, but the annotations say {_by(size)}")


def image_file_faults(image: dict[str, Any], folder: Path) -> Iterator[Fault]:
    """Yield the faults of the file of one entry of ``images`` (its ``file_name`` being a str)."""

    def fault(rule: str, message: str, cure: str, severity: str = ERROR) -> Fault:
        return Fault(rule, message, image.get("id"), None, cure, severity)

    name = image["file_name"]
    if bad_file_name(name):
        return
    path = folder / name
    if not _stays_in(folder, path):
        yield fault(
            "file-outside", f"{path} is a symlink out of the folder", "copy the image into the folder"
        )
        return
    if not _is_file(path):
        yield fault("file-missing", f"no file {path}", "copy it there, or remove the image")
        return
    try:
        with warnings.catch_warnings(), Image.open(path) as picture:
            warnings.simplefilter("ignore")
            stored, turned, mode = picture.size, _turned_size(picture), picture.mode
            rotated = picture.getexif().get(_ORIENTATION, 1) not in (0, 1)
            picture.draft("L", (1, 1))  # a JPEG is read to its end, but at an eighth of its size
            picture.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, MemoryError) as error:
        yield fault(
            "file-unreadable", f"{path}: {str(error) or type(error).__name__}", "fetch or export it anew"
        )
        return
    said = (image.get("width"), image.get("height"))
    if said not in (stored, turned):
        yield fault(
            "file-size", f"{path} is {_by(stored)}, not {said[0]}x{said[1]}", "correct width and height"
        )
    if rotated:
        text = "turn the pixels themselves (exiftran, mogrify -auto-orient) and check the masks"
        yield fault("file-exif-rotated", f"{path} is shown turned, as EXIF says", text, WARNING)
    if mode != "RGB":
        yield fault("file-mode", f"{path} is of mode {mode}, not RGB", "convert it to RGB", WARNING)


def _turned_size(picture: Image.Image) -> tuple[int, int]:
    orientation = picture.getexif().get(_ORIENTATION, 1)
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


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
