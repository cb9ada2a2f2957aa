"""Rules for the image files that a COCO file names."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.data.images import ORIENTATION, bad_file_name, by_size, is_file, stays_in, turned_size
from pipeline.data.validation.rules import ERROR, WARNING, Fault


def image_file_faults(image: dict[str, Any], folder: Path) -> Iterator[Fault]:
    """Yield the faults of the file of one entry of ``images`` (its ``file_name`` being a str)."""

    def fault(rule: str, message: str, cure: str, severity: str = ERROR) -> Fault:
        return Fault(rule, message, image.get("id"), None, cure, severity)

    name = image["file_name"]
    if bad_file_name(name):
        return
    path = folder / name
    if not stays_in(folder, path):
        yield fault(
            "file-outside", f"{path} is a symlink out of the folder", "copy the image into the folder"
        )
        return
    if not is_file(path):
        yield fault("file-missing", f"no file {path}", "copy it there, or remove the image")
        return
    try:
        with warnings.catch_warnings(), Image.open(path) as picture:
            warnings.simplefilter("ignore")
            stored, turned, mode = picture.size, turned_size(picture), picture.mode
            rotated = picture.getexif().get(ORIENTATION, 1) not in (0, 1)
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
            "file-size", f"{path} is {by_size(stored)}, not {said[0]}x{said[1]}", "correct width and height"
        )
    if rotated:
        text = "turn the pixels themselves (exiftran, mogrify -auto-orient) and check the masks"
        yield fault("file-exif-rotated", f"{path} is shown turned, as EXIF says", text, WARNING)
    if mode != "RGB":
        yield fault("file-mode", f"{path} is of mode {mode}, not RGB", "convert it to RGB", WARNING)
