"""Copy-paste of objects between samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from blender.contract import KEYPOINTS
from pipeline.models.samples import MIN_OBJECT_PIXELS, Sample, boxes_from_masks
from pipeline.training.augment.copy_paste import paste, paste_random_objects
from tests.pipeline.training.augment.test_augmentation import MAX_LABEL


def rectangles(*places: tuple[int, int, int, int], first_label: int = 1, size: int = 64) -> Sample:
    """Return a sample with rectangles x, y, w, h, each with a visible keypoint in its upper left pixel."""
    masks = torch.zeros(len(places), size, size, dtype=torch.uint8)
    keypoints = torch.zeros(len(places), len(KEYPOINTS), 3)
    for i, (x, y, w, h) in enumerate(places):
        masks[i, y : y + h, x : x + w] = 1
        keypoints[i, 0] = torch.tensor([x + 0.5, y + 0.5, 2])
    labels = torch.arange(first_label, first_label + len(places))
    image = (masks * (labels / MAX_LABEL)[:, None, None]).sum(0).expand(3, -1, -1)
    target = {"boxes": boxes_from_masks(masks), "labels": labels, "masks": masks, "keypoints": keypoints}
    return image, target | {"ignore": torch.zeros(0, 4), "image_id": torch.tensor(0)}


def test_pasted_objects_hide_objects_below() -> None:
    below = rectangles((0, 0, 20, 20), (30, 30, 10, 10), (40, 0, 20, 20), (0, 40, 20, 20))
    # They cover the right half of the first, all of the second, and all but a twentieth of the third.
    above = rectangles((10, 0, 10, 20), (28, 28, 14, 14), (41, 0, 20, 20), first_label=11)
    image, target = paste(below, above, torch.ones(3, dtype=torch.bool))
    assert target["labels"].tolist() == [1, 4, 11, 12, 13]
    assert target["boxes"][:2].tolist() == [[0, 0, 10, 20], [0, 40, 20, 60]]
    assert target["ignore"].tolist() == [[40, 0, 41, 20]], "the rest of the third"
    assert int(target["masks"].sum(0).max()) == 1
    assert image[0, 5, [5, 15]].tolist() == pytest.approx([1 / MAX_LABEL, 11 / MAX_LABEL])
    assert target["keypoints"][:, 0, 2].tolist() == [2, 2, 2, 2, 2]


def test_pasted_objects_hide_keypoints() -> None:
    below = rectangles((0, 0, 20, 20), (30, 30, 10, 10), (40, 0, 20, 20), (0, 40, 20, 20))
    target = paste(below, rectangles((0, 0, 5, 5), first_label=11), torch.tensor([True]))[1]
    assert target["keypoints"][:, 0, 2].tolist() == [1, 2, 2, 2, 2]


def test_only_chosen_objects_are_pasted() -> None:
    below, above = (
        rectangles((0, 0, 20, 20)),
        rectangles((30, 0, 10, 10), (30, 30, 10, 10), first_label=11),
    )
    image, target = paste(below, above, torch.tensor([False, True]))
    assert target["labels"].tolist() == [1, 12] and float(image[0, 5, 35]) == 0


def test_at_least_one_object_is_pasted() -> None:
    below, above = (
        rectangles((0, 0, 20, 20)),
        rectangles((30, 0, 10, 10), (30, 30, 10, 10), first_label=11),
    )
    drawn = {
        tuple(paste_random_objects(below, above, np.random.default_rng(i))[1]["labels"].tolist())
        for i in range(40)
    }
    assert drawn == {(1, 11), (1, 12), (1, 11, 12)}
    empty = rectangles(size=64)
    assert paste_random_objects(below, empty, np.random.default_rng(0)) is below
    assert paste_random_objects(empty, above, np.random.default_rng(0))[1]["labels"].min() > 10


def test_a_donor_of_another_size_is_cut_or_padded() -> None:
    below = rectangles((0, 0, 20, 20))
    larger = rectangles((50, 50, 30, 30), (70, 0, 9, 9), first_label=11, size=100)
    image, target = paste(below, larger, torch.ones(2) > 0)
    assert image.shape == (3, 64, 64)
    assert target["labels"].tolist() == [1, 11] and target["boxes"][1].tolist() == [50, 50, 64, 64]
    smaller = rectangles((0, 30, 9, 9), first_label=11, size=40)
    image, target = paste(below, smaller, torch.ones(1) > 0)
    assert image.shape == (3, 64, 64) and target["boxes"][1].tolist() == [0, 30, 9, 39]


def test_an_object_with_too_few_pixels_left_is_not_pasted() -> None:
    cut_off = rectangles((62, 0, 30, 7), first_label=11, size=100)  # 2 x 7 pixels within 64
    image, target = paste(rectangles((0, 0, 20, 20)), cut_off, torch.ones(1) > 0)
    assert MIN_OBJECT_PIXELS > 14 and target["labels"].tolist() == [1] and float(image[0, 3, 63]) == 0
