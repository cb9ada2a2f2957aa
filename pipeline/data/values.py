"""Check and convert JSON values from files of unknown origin."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from itertools import count
from typing import Any, TypeGuard


def is_int(value: Any) -> TypeGuard[int]:
    """Return True for an integer; False for True and False."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_id(value: Any) -> TypeGuard[int]:
    """Return True for an integer of 64 bits with a sign, which every tool can store."""
    return is_int(value) and -(2**63) <= value < 2**63


def free_ids(used: Collection[int]) -> Iterator[int]:
    """Yield integers from 1 upwards that are not in ``used``: those above all of it if there is room."""
    above = max(used, default=0) + 1
    yield from (
        number for number in count(max(above, 1) if is_id(above + 2**32) else 1) if number not in used
    )


def is_number(value: Any) -> TypeGuard[float]:
    """Return True for a finite number; False for NaN, infinity, True and False."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def are_numbers(values: list[Any]) -> bool:
    """Return whether all values are finite numbers; fast for long lists."""
    if not set(map(type, values)) <= {int, float}:
        return all(is_number(value) for value in values)
    try:
        return all(map(math.isfinite, values))
    except OverflowError:
        return False


def without_non_finite(value: Any) -> Any:
    """Return a JSON value with null in place of NaN and infinity; the same object if it contains none."""
    if isinstance(value, dict):
        items = {key: without_non_finite(item) for key, item in value.items()}
        return items if any(item is not value[key] for key, item in items.items()) else value
    if isinstance(value, list) and not are_numbers(value):
        entries = [without_non_finite(item) for item in value]
        return entries if any(new is not old for new, old in zip(entries, value, strict=True)) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_int(value: Any) -> int | None:
    """Convert 3, 3.0 or "3" to 3; return None for anything else."""
    if is_int(value):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,40}", value) else None


def has_valid_size(image: dict[str, Any]) -> bool:
    """Return whether ``width`` and ``height`` are integers of a plausible image size."""
    width, height = image.get("width"), image.get("height")
    if not is_int(width) or not is_int(height):
        return False
    return 0 < width <= 100_000 and 0 < height <= 100_000 and width * height < 2**31


def read_box(annotation: dict[str, Any]) -> list[float] | None:
    """Return the ``bbox`` (x, y, width, height) of an annotation or COCO result; None if it is malformed."""
    box = annotation.get("bbox")
    if isinstance(box, (list, tuple)) and len(box) == 4 and all(is_number(v) for v in box):
        return [float(value) for value in box]
    return None


def has_mask(entry: dict[str, Any]) -> bool:
    """Return whether an annotation or COCO result has a mask, valid or not.

    Tools that draw boxes leave ``segmentation`` out, or write null, [], [[]], {} or "".
    """
    segmentation = entry.get("segmentation")
    if isinstance(segmentation, list):
        return any(polygon != [] for polygon in segmentation)
    return segmentation not in (None, {}, "")


def short_repr(value: Any) -> str:
    """Return ``repr(value)``, cut to 60 characters for messages."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
