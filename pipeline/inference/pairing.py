"""Pair the detections of two models, or of one model on two devices. This module does not use torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_utils

Boxes = npt.NDArray[np.float32]
"""(N, 4) xyxy in pixels."""
Labels = npt.NDArray[np.int64]
"""(N,)."""


def pair_boxes(
    first: tuple[Boxes, Labels], second: tuple[Boxes, Labels], max_distance: float
) -> list[tuple[int, int]]:
    """Pair each box of the first detections with the nearest free box of the same class.

    The distance of two boxes is the largest distance between their edges.

    Args:
        first: boxes and labels, in the order in which they choose.
        second: boxes and labels of the other detections; each is in one pair at most.
        max_distance: largest distance of a pair, in pixels.

    Returns:
        Pairs of an index of ``first`` and an index of ``second``.
    """
    pairs: list[tuple[int, int]] = []
    free = np.ones(len(second[1]), bool)
    for number, (box, label) in enumerate(zip(*first, strict=True)):
        if not free.any():
            break
        distances = np.abs(second[0] - box).max(axis=1)
        distances = np.where(free & (second[1] == label), distances, np.inf)
        nearest = int(distances.argmin())
        if distances[nearest] <= max_distance:
            free[nearest] = False
            pairs.append((number, nearest))
    return pairs


def mask_iou(first: dict[str, Any], second: dict[str, Any]) -> float:
    """Compute the IoU of two masks as compressed RLE; 1 if they differ by one pixel, which is rounding."""
    intersection = float(mask_utils.area(mask_utils.merge([first, second], intersect=True)))
    union = float(mask_utils.area(mask_utils.merge([first, second])))
    return 1.0 if union - intersection <= 1 else intersection / union
