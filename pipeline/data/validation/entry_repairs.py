"""Cures for the categories and images of a COCO file, by the rule they broke.

A cure takes the entry and returns it mended, or None: it can only be removed. What a cure would
have to guess (which of two classes an id means) is not here: such a file stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from pipeline.data.images import bad_file_name
from pipeline.data.values import is_int, is_size

Entry = dict[str, Any]


def whole_number(value: Any) -> int | None:
    """The integer that ``value`` means: 3, 3.0 or "3"; None if it means none."""
    if is_int(value):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value) else None


def _remove(entry: Entry, images: Path | None) -> None:
    return None


def _image_id(image: Entry, images: Path | None) -> Entry | None:
    number = whole_number(image.get("id"))
    return None if number is None else image | {"id": number}


def _image_size(image: Entry, images: Path | None) -> Entry | None:
    """The numbers that were meant, else those of the file."""
    said = {key: whole_number(image.get(key)) for key in ("width", "height")}
    if is_size(said):
        return image | said
    name = image.get("file_name")
    if images is None or not isinstance(name, str) or bad_file_name(name):
        return None
    try:
        with Image.open(images / name) as picture:
            return image | dict(zip(("width", "height"), picture.size, strict=True))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def _file_name_path(image: Entry, images: Path | None) -> Entry | None:
    """The longest tail of the path that is a file below ``images``; without that folder, the
    whole path if it is a relative one, else its last part."""
    parts = PurePosixPath(image["file_name"].replace("\\", "/")).parts
    tails = [str(PurePosixPath(*parts[start:])) for start in range(len(parts))]
    safe = [tail for tail in tails if not bad_file_name(tail)]
    if images is None:
        found = safe[0 if safe == tails else -1] if safe else None
    else:
        found = next((tail for tail in safe if (images / tail).is_file()), None)
    return image | {"file_name": found} if found else None


IMAGE_REPAIRS: dict[str, Callable[[Entry, Path | None], Entry | None]] = {
    "image-id": _image_id,
    "file-name": _remove,
    "file-name-path": _file_name_path,
    "image-size": _image_size,
    "file-missing": _remove,
    "file-outside": _remove,
    "file-unreadable": _remove,
    "file-size": _remove,
}
"""In the order in which they are applied."""


def _category_id(category: Entry, fresh: int) -> Entry:
    number = whole_number(category.get("id"))
    return category | {"id": number if number else fresh}


def _category_name(category: Entry, fresh: int) -> Entry:
    return category | {"name": f"category {category.get('id')}"}


CATEGORY_REPAIRS: dict[str, Callable[[Entry, int], Entry | None]] = {
    "category-id": _category_id,
    "category-id-zero": lambda category, fresh: category | {"id": fresh},
    "category-name": _category_name,
}
"""A cure here is also given an id that no category has."""
