"""Pairs of detections: the nearest free box of the same class, and the IoU of masks."""

from __future__ import annotations

import numpy as np
from pycocotools import mask as mask_utils

from pipeline.inference.pairing import mask_iou, pair_boxes


def boxes(*left: float) -> np.ndarray:
    return np.array([[x, 0, x + 10, 10] for x in left], np.float32).reshape(-1, 4)


def test_each_box_is_paired_once_with_the_nearest_of_its_class() -> None:
    first = boxes(0, 0.2, 50, 80), np.array([1, 1, 2, 1])
    second = boxes(50.5, 0.3, 0.4, 50), np.array([2, 1, 1, 1])
    assert pair_boxes(first, second, 1.0) == [(0, 1), (1, 2), (2, 0)]


def test_no_pair_without_boxes_on_one_side() -> None:
    none, one = (boxes(), np.zeros(0, int)), (boxes(0), np.array([1]))
    assert pair_boxes(none, one, 1.0) == pair_boxes(one, none, 1.0) == []


def test_masks_that_differ_by_one_pixel_are_equal() -> None:
    masks = np.zeros((20, 20, 3), np.uint8, order="F")
    masks[:4, :5] = 1
    masks[0, 0, 1] = 0
    masks[:2, :, 2] = 0
    first, second, half = mask_utils.encode(masks)
    assert mask_iou(first, second) == 1.0
    assert mask_iou(first, half) == 0.5
