"""Image files whose stored pixels are not upright, with the EXIF orientation that says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

ORIENTATIONS = (1, 2, 3, 4, 5, 6, 7, 8)


def stored_pixels(upright: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Return the pixels (H, W, 3) that a camera stores with this orientation for an upright image.

    Written from the EXIF standard: where the first row and the first column of the stored image are seen.
    """
    if orientation >= 5:  # the first row is seen at the left (5, 8) or at the right (6, 7)
        upright = upright.transpose(1, 0, 2)
        orientation = {5: 1, 6: 4, 7: 3, 8: 2}[orientation]
    if orientation in (3, 4):
        upright = upright[::-1]
    return upright[:, ::-1] if orientation in (2, 3) else upright


def save_turned(path: Path, upright: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Write an image file that viewers show as ``upright`` (H, W, 3); return its stored pixels.

    The suffix of ``path`` chooses the format: .jpg (lossy), .png, .webp or .tif.
    """
    stored = np.ascontiguousarray(stored_pixels(upright, orientation))
    exif = Image.Exif()
    exif[0x0112] = orientation
    # Each format ignores the options of the others.
    Image.fromarray(stored).save(path, exif=exif, quality=95, subsampling=0, lossless=True)
    return stored


def turn_split(folder: Path, orientation: int, suffix: str = ".png") -> None:
    """Store the images of a split turned, with EXIF data, and leave the annotations as they are seen."""
    path = folder / "annotations.json"
    table = json.loads(path.read_bytes())
    for image in table["images"]:
        old = folder / "images" / image["file_name"]
        pixels = np.asarray(Image.open(old).convert("RGB"))
        old.unlink()
        save_turned(old.with_suffix(suffix), pixels, orientation)
        image["file_name"] = old.with_suffix(suffix).name
    path.write_text(json.dumps(table))
