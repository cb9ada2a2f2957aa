"""Resolve image paths safely, check image files, and read any of them as RGB."""

from __future__ import annotations

import warnings
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from blender.contract import UserError
from pipeline.data.exif import orient, read_orientation

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm")
_WIDE_GREY = ("I", "I;16", "I;16B", "I;16L", "I;16N")


def unsafe_path_reason(name: str) -> str | None:
    """Return why a COCO ``file_name`` must not be opened; None if it is a path within its folder."""
    if "\0" in name:
        return "it contains a NUL"
    if "\\" in name:
        return "it contains a backslash"
    if name.startswith("/") or name[1:2] == ":":
        return "it is absolute"
    if ".." in PurePosixPath(name).parts:
        return "it leaves the folder with '..'"
    return None


def find_image(folder: Path, name: str) -> Path:
    """Return the path of the image ``name`` in ``folder``.

    Raises:
        UserError: the name or a symlink leads out of the folder, or the file does not exist.
    """
    reason = unsafe_path_reason(name)
    if reason:
        raise UserError(f"file_name {name!r} is refused: {reason}; name files relative to {folder}")
    path = folder / name
    if not is_inside(folder, path):
        raise UserError(f"{path}: refused: a symlink leads out of the folder; copy the image into it")
    if not is_file(path):
        raise UserError(f"{path}: no such image; is --images the right folder?")
    return path


def is_inside(folder: Path, path: Path) -> bool:
    """Return whether the path lies in the folder after its symlinks are resolved."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # too long, not encodable, a loop of symlinks
        return not path.is_symlink()


def is_file(path: Path) -> bool:
    """Return ``path.is_file()``, but False for a name that the file system refuses."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def read_rgb(path: Path, size: tuple[int, int] | None = None, upright: bool = False) -> npt.NDArray[np.uint8]:
    """Read an image file of any pixel format as (height, width, 3) uint8.

    16-bit grey is scaled to 8 bits, palettes and CMYK are converted, alpha is dropped.

    Args:
        path: the file.
        size: (width, height) from an annotation file. It decides whether the EXIF orientation is applied,
            if width and height differ before and after.
        upright: apply the EXIF orientation where ``size`` does not decide.

    Raises:
        UserError: the file is missing, corrupt, truncated, or of another size.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as opened:
            warnings.simplefilter("ignore")
            orientation = read_orientation(opened)
            image = orient(opened, orientation, orientation.reads_upright(size, upright))
            if size is not None and image.size != size:
                raise UserError(
                    f"{path}: {format_size(image.size)}, but the annotations say {format_size(size)}"
                )
            return _to_rgb(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, MemoryError) as error:
        raise UserError(f"{path}: not a readable image: {str(error) or type(error).__name__}") from None


def to_rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Convert an opened image of any mode to (height, width, 3) uint8; apply its EXIF orientation."""
    return _to_rgb(ImageOps.exif_transpose(image))


def check_image(path: Path, size: tuple[int, int]) -> bool:
    """Check an image file by its header only.

    Args:
        path: the file.
        size: (width, height) from the annotation file.

    Returns:
        Whether the file has an EXIF orientation, and the size cannot decide whether the annotations refer to
        the stored or to the upright image.

    Raises:
        UserError: the file is unreadable, or has another size, both as stored and after its EXIF orientation.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")
            orientation = read_orientation(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: not a readable image: {error}") from None
    stored = orientation.stored_size
    if size not in (stored, orientation.upright_size):
        raise UserError(f"{path}: {format_size(stored)}, but the annotations say {format_size(size)}")
    return orientation.is_open(size)


def _to_rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    if image.mode in _WIDE_GREY:
        grey = np.asarray(image).astype(np.float64)
        scale = 255 / 65535 if grey.max(initial=0) > 255 or image.mode != "I" else 1.0
        return np.repeat(np.clip(grey * scale, 0, 255).round().astype(np.uint8)[..., None], 3, axis=2)
    if image.mode == "F":
        grey = np.nan_to_num(np.asarray(image))
        scale = 255.0 if grey.max(initial=0) <= 1 else 1.0
        return np.repeat(np.clip(grey * scale, 0, 255).round().astype(np.uint8)[..., None], 3, axis=2)
    return np.asarray(image.convert("RGB"), np.uint8).copy()


def format_size(size: tuple[int, int]) -> str:
    """Format ``(640, 480)`` as "640x480"."""
    return f"{size[0]}x{size[1]}"
