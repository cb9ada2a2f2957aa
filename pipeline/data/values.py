"""Type checks of JSON values that come from files of unknown origin."""

from __future__ import annotations

import math
from typing import Any, TypeGuard


def is_int(value: Any) -> TypeGuard[int]:
    """Is it an integer? True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> TypeGuard[float]:
    """Is it a finite number? NaN, infinity, True and False are not."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def are_numbers(values: list[Any]) -> bool:
    """Are all of them finite numbers?"""
    if not set(map(type, values)) <= {int, float}:
        return all(is_number(value) for value in values)
    try:
        return all(map(math.isfinite, values))
    except OverflowError:
        return False


def is_size(image: dict[str, Any] | None) -> bool:
    """Does the image say how large it is, with numbers that can be true?"""
    if image is None:
        return False
    width, height = image.get("width"), image.get("height")
    if not is_int(width) or not is_int(height):
        return False
    return 0 < width <= 100_000 and 0 < height <= 100_000 and width * height < 2**31


def short(value: Any) -> str:
    """The value as Python writes it, cut to a length that fits a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
