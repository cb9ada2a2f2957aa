"""Resolve image paths safely, check image files, and read any of them as RGB."""

from __future__ import annotations

import importlib
import importlib.util
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from blender.contract import UserError
from pipeline.data.exif import orient, read_orientation
from pipeline.data.pixel_formats import has_16_bits, to_rgb8

MAX_PIXELS = 500_000_000
"""Pixels of the largest image that is read; a larger one may be a small file made to exhaust the memory."""
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
RAW_SUFFIXES = (
    ".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".orf", ".rw2", ".raf", ".pef", ".srw",
    ".raw", ".rwl",
)  # fmt: skip
"""Extensions of cameras' raw files. Many are TIFF files, in which Pillow finds only a preview."""
_DRAFT = 2
"""Least size at which a JPEG file is decoded to be shrunk, as a factor on the size it is shrunk to. On a
mosaic of photographs the result differs from that of the full size by 0.3 of 255 on average, by 3 at most."""
_PAGED_FORMATS = ("GIF", "PNG", "WEBP", "TIFF", "AVIF")
"""Formats whose files can have several frames or pages of one kind. (Phones hide small images in JPEG.)"""
HEIC_ADVICE = "install pillow-heif or export as JPEG"

Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow refuses images of more than twice this
READS_HEIC = importlib.util.find_spec("pillow_heif") is not None
"""Whether HEIC images can be read. The package is the user's choice: its libraries are under the LGPL and
GPL."""
if READS_HEIC:
    importlib.import_module("pillow_heif").register_heif_opener()
HEIC_SUFFIXES = (".heic", ".heif", ".hif")
IMAGE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif", ".apng",
    ".avif", ".jp2", ".j2k", ".jpx", ".jpf", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".tga", ".qoi",
    *(HEIC_SUFFIXES if READS_HEIC else ()),
)  # fmt: skip
"""Extensions of image files that can be read."""


@dataclass(frozen=True)
class ReadImage:
    """An image file as RGB, and what a user may not expect of how it was read."""

    pixels: npt.NDArray[np.uint8]
    """(height, width, 3)."""
    size: tuple[int, int]
    """(width, height) before the image was reduced; after its EXIF orientation, if that was applied."""
    notes: tuple[tuple[str, str], ...] = ()
    """What was done, and for this image how: ("only the first frame is read", "1 of 3 frames")."""


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


@contextmanager
def open_image(path: Path, formats: tuple[str, ...] | None = None) -> Iterator[Image.Image]:
    """Open an image file without Pillow's warnings.

    Args:
        path: the file.
        formats: Pillow's names of the formats to try; None: all.

    Raises:
        UserError: the file cannot be opened, or the block raises an error, as decoders do on damaged files;
            the message names the file.
    """
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=formats) as image:
            yield image
    except UserError:
        raise
    except Exception as error:  # decoders raise errors of many types on damaged files
        raise UserError(f"{path}: not a readable image: {_reason(path, error)}") from None


def read_rgb(
    path: Path,
    size: tuple[int, int] | None = None,
    upright: bool = False,
    shrink_to: tuple[int, int] | None = None,
) -> npt.NDArray[np.uint8]:
    """Read an image file of any pixel format as (height, width, 3) uint8; see ``read_image``."""
    return read_image(path, size, upright, shrink_to).pixels


def read_image(
    path: Path,
    size: tuple[int, int] | None = None,
    upright: bool = False,
    shrink_to: tuple[int, int] | None = None,
    max_pixels: int | None = None,
) -> ReadImage:
    """Read an image file of any pixel format as RGB with 8 bits per channel.

    More than 8 bits per channel are scaled by the range of the values (see ``scale_to_8_bits``), palettes and
    CMYK are converted, alpha is dropped.

    Args:
        path: the file.
        size: (width, height) from an annotation file. It decides whether the EXIF orientation is applied,
            if width and height differ before and after.
        upright: apply the EXIF orientation where ``size`` does not decide.
        shrink_to: (width, height) to which the image is resized, with antialiasing. A large JPEG file is then
            not decoded at its full size, which saves memory and time.
        max_pixels: shrink the image, if it is larger, by a whole number to at most this many pixels.

    Raises:
        UserError: the file is missing, corrupt, truncated, of another size, or has over ``MAX_PIXELS``.
    """
    with open_image(path) as opened:
        is_deep = has_16_bits(opened)
        orientation = read_orientation(opened)
        turn = orientation.reads_upright(size, upright)
        actual = orientation.upright_size if turn else orientation.stored_size
        if size is not None and actual != size:
            raise UserError(f"{path}: {format_size(actual)}, but the annotations say {format_size(size)}")
        notes = _frame_notes(opened, path)
        target = shrink_to or _fit(actual, max_pixels)
        if target != actual:
            swapped = turn and orientation.upright_size != orientation.stored_size
            width, height = target[::-1] if swapped else target
            opened.draft(None, (_DRAFT * width, _DRAFT * height))
        image = orient(opened, orientation, turn)
        image, scaling = to_rgb8(image, is_deep, None if orientation.is_turned else path)
        if scaling:
            notes += (("values are scaled to the range that they use", scaling),)
        if target != actual:
            image = image.resize(target, Image.Resampling.BILINEAR)
            if max_pixels:
                sizes = f"{format_size(actual)} at {format_size(target)}"
                notes += (("large images are read at a smaller size", sizes),)
        return ReadImage(np.array(image, np.uint8), actual, notes)


def to_rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Convert an opened image of any mode to (height, width, 3) uint8; apply its EXIF orientation."""
    return np.array(to_rgb8(ImageOps.exif_transpose(image))[0], np.uint8)


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
    with open_image(path) as image:
        orientation = read_orientation(image)
    stored = orientation.stored_size
    if size not in (stored, orientation.upright_size):
        raise UserError(f"{path}: {format_size(stored)}, but the annotations say {format_size(size)}")
    return orientation.is_ambiguous(size)


def identify_image(path: Path, formats: tuple[str, ...] | None = None) -> bool:
    """Return whether Pillow knows the format of a file, by its first bytes.

    Args:
        path: the file.
        formats: Pillow's names of the formats to look for; None: all.
    """
    try:
        with open_image(path, formats):
            return True
    except UserError:
        return False


def is_heic(path: Path) -> bool:
    """Return whether a file is an HEIC image, by its first bytes."""
    try:
        with path.open("rb") as stream:
            head = stream.read(12)
    except OSError:
        return False
    return head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS


def format_size(size: tuple[int, int]) -> str:
    """Format ``(640, 480)`` as "640x480"."""
    return f"{size[0]}x{size[1]}"


def _fit(size: tuple[int, int], max_pixels: int | None) -> tuple[int, int]:
    """Divide a size by the smallest whole number that gives at most ``max_pixels``; sides stay above 0."""
    if not max_pixels or size[0] * size[1] <= max_pixels:
        return size
    divisor = math.ceil(math.sqrt(size[0] * size[1] / max_pixels))
    return max(1, size[0] // divisor), max(1, size[1] // divisor)


def _frame_notes(image: Image.Image, path: Path) -> tuple[tuple[str, str], ...]:
    """Return a note if a file has more than is read: other frames or pages, or a raw image."""
    if path.suffix.lower() in RAW_SUFFIXES:
        return (("only the preview of a raw file is read (export as JPEG)", format_size(image.size)),)
    if image.format not in _PAGED_FORMATS:
        return ()
    count = getattr(image, "n_frames", 1)
    if count <= 1:
        return ()
    image.seek(0)
    what = "pages" if image.format == "TIFF" else "frames"
    return (("only the first frame or page is read", f"1 of {count} {what}"),)


def _reason(path: Path, error: Exception) -> str:
    """Return why an image cannot be read."""
    if is_heic(path):
        return f"HEIC; {HEIC_ADVICE}"
    if isinstance(error, UnidentifiedImageError):
        return "its content is not that of an image" if path.stat().st_size else "the file is empty"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
