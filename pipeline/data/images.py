"""Resolve image paths safely, check image files, and read any of them as RGB."""

from __future__ import annotations

import importlib
import importlib.util
import math
import warnings
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from blender.contract import UserError
from pipeline.data.pixel_formats import has_16_bits, to_rgb8

EXIF_ORIENTATION = 0x0112
"""Number of the EXIF tag for how an image must be rotated or mirrored."""
MAX_PIXELS = 500_000_000
"""Pixels of the largest image that is read; a larger one may be a small file made to exhaust the memory."""
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
RAW_SUFFIXES = (
    ".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".orf", ".rw2", ".raf", ".pef", ".srw",
    ".raw", ".rwl",
)  # fmt: skip
"""Endings of cameras' raw files. Many are TIFF files, in which Pillow finds only a preview."""
_PAGED_FORMATS = ("GIF", "PNG", "WEBP", "TIFF", "AVIF")
"""Formats whose files can have several frames or pages of one kind. (Phones hide small images in JPEG.)"""
HEIC_ADVICE = "install pillow-heif or export as JPEG"

Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow refuses images of more than twice this
READS_HEIC = importlib.util.find_spec("pillow_heif") is not None
"""Whether HEIC images can be read. The package is the user's choice: its libraries are under the LGPL and
GPL."""
if READS_HEIC:
    importlib.import_module("pillow_heif").register_heif_opener()


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


def read_rgb(path: Path, size: tuple[int, int] | None = None, upright: bool = False) -> npt.NDArray[np.uint8]:
    """Read an image file of any pixel format as (height, width, 3) uint8; see ``read_image``."""
    return read_image(path, size, upright).pixels


def read_image(
    path: Path, size: tuple[int, int] | None = None, upright: bool = False, max_pixels: int | None = None
) -> ReadImage:
    """Read an image file of any pixel format as RGB with 8 bits per channel.

    Deep greys are scaled by their range (see ``scale_to_8_bits``), palettes and CMYK are converted, alpha is
    dropped.

    Args:
        path: the file.
        size: (width, height) from an annotation file. The image is returned as stored, unless only the
            image rotated by its EXIF orientation has this size.
        upright: apply the EXIF orientation in any case.
        max_pixels: reduce a larger image by a whole number while it is read, to at most this many pixels.

    Raises:
        UserError: the file is missing, corrupt, truncated, of another size, or has over ``MAX_PIXELS``.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as opened:
            warnings.simplefilter("ignore")
            deep_path = path if has_16_bits(opened) else None
            stored, turned = opened.size, upright_size(opened)
            upright = upright or (size is not None and stored != size and turned == size)
            full_size = turned if upright else stored
            if size is not None and full_size != size:
                raise UserError(f"{path}: {format_size(stored)}, but the annotations say {format_size(size)}")
            factor = _reduction(opened, max_pixels)
            if factor > 1 and opened.mode in ("RGB", "L"):
                # A JPEG is then decoded at a half, a quarter or an eighth of its size.
                opened.draft(opened.mode, (math.ceil(stored[0] / factor), math.ceil(stored[1] / factor)))
            notes = _frame_notes(opened, path)
            image, scaling = to_rgb8(opened, deep_path)
            rest = _reduction(image, max_pixels)
            image = image.reduce(rest) if rest > 1 else image
            if upright:
                image = _apply_orientation(image, opened)
            if scaling:
                notes += (("values are scaled to the range that they use", scaling),)
            if factor > 1:
                reading = f"{format_size(full_size)} at {format_size(image.size)}"
                notes += (("large images are read at a smaller size", reading),)
            return ReadImage(np.asarray(image, np.uint8).copy(), full_size, notes)
    except UserError:
        raise
    except Exception as error:  # decoders raise errors of many types on damaged files
        raise UserError(f"{path}: not a readable image: {_reason(path, error)}") from None


def to_rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Convert an opened image of any mode to (height, width, 3) uint8; apply its EXIF orientation."""
    return np.asarray(to_rgb8(ImageOps.exif_transpose(image))[0], np.uint8).copy()


def identify_image(path: Path, formats: tuple[str, ...] | None = None) -> bool:
    """Return whether Pillow knows the format of a file, by its first bytes.

    Args:
        path: the file.
        formats: Pillow's names of the formats to look for; None: all.
    """
    try:
        with warnings.catch_warnings(), Image.open(path, formats=formats):
            return True
    except Exception:  # decoders raise errors of many types on damaged files
        return False


def is_heic(path: Path) -> bool:
    """Return whether a file is an HEIC image, by its first bytes."""
    try:
        with path.open("rb") as stream:
            head = stream.read(12)
    except OSError:
        return False
    return head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS


def _reduction(image: Image.Image, max_pixels: int | None) -> int:
    """Return the smallest whole number by which to reduce both sides to get at most ``max_pixels``."""
    pixels = image.size[0] * image.size[1]
    return 1 if not max_pixels or pixels <= max_pixels else math.ceil(math.sqrt(pixels / max_pixels))


def _apply_orientation(image: Image.Image, source: Image.Image) -> Image.Image:
    """Rotate and mirror ``image`` by the EXIF orientation of ``source``."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = source.getexif().get(EXIF_ORIENTATION, 1)
    image.info["exif"] = exif.tobytes()
    return ImageOps.exif_transpose(image)


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
    return str(error) or type(error).__name__


def check_image(path: Path, size: tuple[int, int]) -> None:
    """Check an image file by its header only.

    Args:
        path: the file.
        size: (width, height) from the annotation file.

    Raises:
        UserError: the file is unreadable, or has another size, both as stored and after its EXIF orientation.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")
            sizes = (image.size, upright_size(image))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: not a readable image: {error}") from None
    if size not in sizes:
        raise UserError(f"{path}: {format_size(sizes[0])}, but the annotations say {format_size(size)}")


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return the width and height of an opened image after its EXIF orientation is applied."""
    orientation = image.getexif().get(EXIF_ORIENTATION, 1)
    return (image.size[1], image.size[0]) if orientation in (5, 6, 7, 8) else image.size


def format_size(size: tuple[int, int]) -> str:
    """Format ``(640, 480)`` as "640x480"."""
    return f"{size[0]}x{size[1]}"
