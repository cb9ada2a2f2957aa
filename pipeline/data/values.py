"""Check and convert JSON values from files of unknown origin."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator
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
    return _map_leaves(value, lambda leaf: None if isinstance(leaf, float) and leaf - leaf != 0 else leaf)


def as_strict_json(value: Any) -> Any:
    """Return a value that any JSON reader accepts; the same object if it is one already.

    NaN and infinity become null, lone surrogates in text U+FFFD.
    """

    def strict(leaf: Any) -> Any:
        if isinstance(leaf, str):
            return leaf if is_text(leaf) else printable(leaf)
        return None if isinstance(leaf, float) and leaf - leaf != 0 else leaf

    return _map_leaves(value, strict)


def _map_leaves(value: Any, function: Callable[[Any], Any]) -> Any:
    """Apply ``function`` to the keys and the values of nested objects and lists, but not to lists of numbers.

    An object or a list of which nothing changes is returned itself.
    """
    if isinstance(value, dict):
        items = {function(key): _map_leaves(item, function) for key, item in value.items()}
        return items if any(items.get(key) is not item for key, item in value.items()) else value
    if isinstance(value, list):
        if are_numbers(value):
            return value
        entries = [_map_leaves(item, function) for item in value]
        return entries if any(new is not old for new, old in zip(entries, value, strict=True)) else value
    return function(value)


def printable(text: str) -> str:
    """Return the text with U+FFFD in place of lone surrogates."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def is_nested_deeper(value: Any, levels: int) -> bool:
    """Return whether objects and lists are nested in each other deeper than this, without recursion."""
    containers = [value]
    for _ in range(levels + 1):
        containers = [
            item
            for outer in containers
            if isinstance(outer, (dict, list))
            for item in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(item, (dict, list))
        ]
    return bool(containers)


def is_text(value: Any) -> TypeGuard[str]:
    """Return True for a string that can be printed: one without lone surrogates."""
    if not isinstance(value, str) or value.isascii():
        return isinstance(value, str)
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


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

    Tools that draw boxes leave ``segmentation`` out, or write null, [], [[]], [null], {} or "".
    """
    return not _is_blank(entry.get("segmentation"), 2)


def _is_blank(value: Any, levels: int) -> bool:
    """Return whether a value has no content, nor any item of its lists down to ``levels`` of nesting."""
    if isinstance(value, list) and levels:
        return all(_is_blank(item, levels - 1) for item in value)
    return value is None or value in ([], {}, "")


def short_repr(value: Any) -> str:
    """Return ``repr(value)``, cut to 60 characters for messages."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
