"""Flips, zooms and crops of samples."""

from __future__ import annotations

import numpy as np
import torch

from blender.contract import KEYPOINTS
from pipeline.models.samples import boxes_from_masks
from pipeline.training.augment.geometry import FLIPPED_KEYPOINTS, flip, random_object_centre, zoom
from tests.pipeline.training.augment.test_augmentation import paint


def test_a_flip_swaps_left_and_right_keypoints() -> None:
    assert [KEYPOINTS[i] for i in FLIPPED_KEYPOINTS[:3]] == ["nose", "right_eye", "left_eye"]
    assert [FLIPPED_KEYPOINTS[i] for i in FLIPPED_KEYPOINTS] == list(range(17)), "twice is the identity"
    sample = paint(np.random.default_rng(3), (64, 80), 1, 3)
    sample[1]["keypoints"][0] = 0
    sample[1]["keypoints"][0, KEYPOINTS.index("left_wrist")] = torch.tensor([10.25, 20.0, 1])
    flipped = flip(sample)[1]["keypoints"][0]
    assert flipped[KEYPOINTS.index("right_wrist")].tolist() == [69.75, 20, 1]
    assert int((flipped[:, 2] > 0).sum()) == 1


def test_an_object_with_too_few_pixels_left_becomes_an_ignore_region() -> None:
    masks = torch.zeros(2, 96, 96, dtype=torch.uint8)
    masks[0, 40:43, 40:43] = 1
    masks[1, 10:80, 10:80] = 1
    ignore = torch.tensor([[0.0, 0, 48, 48]])
    target = {
        "boxes": boxes_from_masks(masks),
        "labels": torch.tensor([1, 2]),
        "masks": masks,
        "ignore": ignore,
    }
    _, zoomed = zoom((torch.rand(3, 96, 96), target), 0.5, np.random.default_rng(0))
    assert zoomed["labels"].tolist() == [2] and len(zoomed["ignore"]) == 2
    assert (zoomed["ignore"][0, 2:] - zoomed["ignore"][0, :2]).tolist() == [24, 24]


def test_the_object_in_focus_is_drawn_by_class_first() -> None:
    masks = torch.zeros(10, 20, 20, dtype=torch.uint8)
    for i in range(10):
        masks[i, i : i + 3, 2 * i : 2 * i + 2] = 1
    labels = torch.tensor([1] * 9 + [2])
    sample = (torch.zeros(3, 20, 20), {"boxes": boxes_from_masks(masks), "labels": labels, "masks": masks})
    rng = np.random.default_rng(0)
    centres = [random_object_centre(sample, rng) for _ in range(200)]
    assert 70 < centres.count((19.0, 10.5)) < 130, "half of the draws, though one object of ten"
    others = (sample[0], {**sample[1], "labels": torch.tensor([1] * 8 + [2, 3])})
    centres = [random_object_centre(others, rng, classes=1) for _ in range(200)]
    assert 70 < sum(centres.count(c) for c in ((17.0, 9.5), (19.0, 10.5))) < 130, "two classes count as one"
    without_objects = (sample[0], {**sample[1], "labels": labels[:0]})
    assert random_object_centre(without_objects, rng) is None
