"""Augmentation keeps masks, boxes and keypoints consistent with the image, and is reproducible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from blender.contract import KEYPOINTS
from pipeline.config import TrainConfig
from pipeline.models.samples import Sample, boxes_from_masks, check_sample
from pipeline.training.augment.augmentation import augment, augmentation
from pipeline.training.dataset import CocoDataset
from tests.helpers.shapes import CLASSES, write_split

MAX_LABEL = 20
"""The red of an object with label k is k / MAX_LABEL, and its green is 1."""
GEOMETRY_ONLY: dict[str, Any] = {"photometric": 0, "blur": 0, "noise": 0, "jpeg": 0}
ALL_EFFECTS = TrainConfig(flip=0.5, scale_jitter=(0.4, 2.5), photometric=1.0, blur=0.5, noise=0.5, jpeg=0.5)


def paint(rng: np.random.Generator, size: tuple[int, int], first_label: int, count: int) -> Sample:
    """Paint rectangles that hide one another on black, each with a label and a colour of its own.

    Each one whose visible part is large enough has a visible keypoint in it.
    """
    image, ids = torch.zeros(3, *size), torch.zeros(size, dtype=torch.int64)
    for label in range(first_label, first_label + count):
        h, w = rng.integers(6, 40, 2)
        y, x = rng.integers(0, size[0] - 5), rng.integers(0, size[1] - 5)
        ids[y : y + h, x : x + w] = label
    labels = ids.unique()
    labels = labels[labels > 0]
    masks = (ids == labels[:, None, None]).to(torch.uint8)
    image[0], image[1] = ids / MAX_LABEL, (ids > 0).float()
    keypoints = torch.zeros(len(labels), len(KEYPOINTS), 3)
    for row, mask in zip(keypoints, eroded(masks, 4), strict=True):
        places = mask.nonzero()
        if len(places):
            y, x = places[int(rng.integers(len(places)))].tolist()
            row[int(rng.integers(len(KEYPOINTS)))] = torch.tensor([x + rng.random(), y + rng.random(), 2])
    target = {
        "boxes": boxes_from_masks(masks), "labels": labels, "masks": masks, "ignore": torch.zeros(0, 4),
        "keypoints": keypoints, "image_id": torch.tensor(1),
    }  # fmt: skip
    return image, target


def eroded(masks: Tensor, margin: int) -> Tensor:
    """Return the pixels of masks (N, H, W) at least ``margin`` pixels from a mask's and the image's edges."""
    holes = torch.nn.functional.pad((masks == 0).float()[:, None], [margin] * 4, value=1.0)
    grown = torch.nn.functional.max_pool2d(holes, 2 * margin + 1, stride=1)
    return grown[:, 0] == 0


def check_against_colours(sample: Sample) -> None:
    """Check masks, boxes, ignore regions and keypoints against the colours, which show the true objects."""
    image, target = sample
    check_sample(sample, MAX_LABEL, "augmented")
    masks, labels = target["masks"], target["labels"]
    assert len(target["keypoints"]) == len(masks) and len(set(labels.tolist())) == len(labels)
    assert torch.equal(target["boxes"], boxes_from_masks(masks))
    assert int(masks.sum(0).max() if len(masks) else 0) <= 1, "a pixel belongs to at most one object"
    for mask, label in zip(eroded(masks, 3), labels.tolist(), strict=True):
        assert ((image[0] - label / MAX_LABEL).abs()[mask] < 0.01).all(), "a mask lies on its object"
    annotated = (masks > 0).any(0)
    for left, top, right, bottom in target["ignore"].round().int().tolist():
        annotated[max(0, top - 1) : bottom + 1, max(0, left - 1) : right + 1] = True
    assert not ((image[1] > 0.99) & ~annotated).any(), "no object is background"
    height, width = image.shape[1:]
    for points, label in zip(target["keypoints"], labels.tolist(), strict=True):
        for x, y, visibility in points.tolist():
            assert visibility in (0, 1, 2) and 0 <= x < width and 0 <= y < height
            if visibility:
                on_object = abs(float(image[0, int(y), int(x)]) - label / MAX_LABEL) < 0.01
                assert on_object == (visibility == 2), "visible keypoints, and no others, are on their object"


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    zoom=st.sampled_from([(1.0, 1.0), (0.5, 1.0), (1.0, 2.0), (0.5, 2.0)]),
    crop=st.sampled_from([0.5, 0.8, 1.0]),
    focus=st.sampled_from([0.0, 1.0]),
    flip=st.sampled_from([0.0, 1.0]),
    copy_paste=st.sampled_from([0.0, 1.0]),
    sizes=st.lists(st.tuples(st.integers(40, 96), st.integers(40, 96)), min_size=2, max_size=2),
)
def test_targets_stay_consistent_with_the_image(
    seed: int, zoom: tuple[float, float], crop: float, focus: float, flip: float, copy_paste: float,
    sizes: list[tuple[int, int]],
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    sample = paint(rng, sizes[0], 1, int(rng.integers(0, 8)))
    donor = paint(rng, sizes[1], 10, int(rng.integers(0, 8)))
    config = TrainConfig(
        flip=flip, scale_jitter=zoom, crop=crop, focus=focus, copy_paste=copy_paste, **GEOMETRY_ONLY
    )
    check_against_colours(augment(sample, config, rng, lambda _: donor))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_camera_effects_do_not_change_the_target(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sample = paint(rng, (64, 80), 1, 4)
    with_effects = TrainConfig(flip=0, scale_jitter=(1, 1), photometric=1, blur=1, noise=1, jpeg=1)
    image, target = augment(sample, with_effects, rng)
    without_effects = TrainConfig(flip=0, scale_jitter=(1, 1), **GEOMETRY_ONLY)
    _, unchanged = augment(sample, without_effects, rng)
    check_sample((image, target), MAX_LABEL, "augmented")
    assert all(torch.equal(target[k], unchanged[k]) for k in unchanged)


# ------------------------------------------------------------------------------ on images with soft colours


@pytest.fixture
def dataset(tmp_path: Path) -> CocoDataset:
    """Two images with a red bar and a blue L, and one without objects."""
    write_split(tmp_path, 3)
    return CocoDataset(tmp_path / "annotations.json", tmp_path / "images", CLASSES)


def test_masks_stay_on_their_objects(dataset: CocoDataset) -> None:
    """The bar is red and the L blue at any position and scale."""
    sample = dataset[0]
    config = TrainConfig(flip=0.5, scale_jitter=(0.4, 2.5), **GEOMETRY_ONLY)
    checked = 0
    for seed in range(60):
        image, target = augment(sample, config, np.random.default_rng(seed))
        check_sample((image, target), 2, "augmented")
        assert image.shape == sample[0].shape
        for mask, label in zip(target["masks"], target["labels"], strict=True):
            coloured = (image[0] - image[2] > 0.3) if label == 1 else (image[2] - image[0] > 0.3)
            iou = (coloured & (mask > 0)).sum() / (coloured | (mask > 0)).sum()
            assert iou > 0.7 or mask.sum() < 150
            checked += 1
    assert checked > 60


def test_all_effects_give_valid_samples(dataset: CocoDataset) -> None:
    for seed in range(20):
        check_sample(augment(dataset[0], ALL_EFFECTS, np.random.default_rng(seed)), 2, "augmented")


def test_an_image_without_objects_stays_without(dataset: CocoDataset) -> None:
    target = dataset.transformed(augmentation(ALL_EFFECTS, 0, 0))[2][1]
    assert target["boxes"].shape == (0, 4) and target["masks"].shape == (0, *dataset[2][0].shape[1:])


def test_a_crop_contains_the_object_in_focus(dataset: CocoDataset) -> None:
    config = TrainConfig(crop=0.5, focus=1.0, scale_jitter=(1.0, 1.5), flip=0, blur=0, noise=0, jpeg=0)
    full, truth = dataset[0]
    for seed in range(20):
        image, target = augment((full, truth), config, np.random.default_rng(seed))
        assert image.shape[1:] == (full.shape[1] // 2, full.shape[2] // 2)
        assert len(truth["labels"]) and len(target["labels"])
        assert torch.equal(target["boxes"], boxes_from_masks(target["masks"]))


# ------------------------------------------------------------------------------ reproducibility


def test_augmentation_is_a_function_of_seed_view_and_image(dataset: CocoDataset) -> None:
    torch.manual_seed(1)
    first = dataset.transformed(augmentation(ALL_EFFECTS, 3, 4))[1][0]
    torch.manual_seed(2)
    assert torch.equal(first, dataset.transformed(augmentation(ALL_EFFECTS, 3, 4))[1][0])
    assert not torch.equal(first, dataset.transformed(augmentation(ALL_EFFECTS, 3, 5))[1][0])


def test_copy_paste_is_a_function_of_seed_view_and_image(tmp_path: Path) -> None:
    write_split(tmp_path, 4, empty=0)
    data = CocoDataset(tmp_path / "annotations.json", tmp_path / "images", CLASSES)
    always, never = (TrainConfig(copy_paste=share, noise=0, blur=0, jpeg=0) for share in (1.0, 0.0))
    first, again = (data.transformed(augmentation(always, 0, 5)) for _ in range(2))
    plain = data.transformed(augmentation(never, 0, 5))
    pasted = []
    for i in (2, 0, 3, 1):
        (image, target), (same, _) = first[i], again[i]
        assert torch.equal(image, same)
        pasted.append(len(target["labels"]) - len(plain[i][1]["labels"]))
    assert max(pasted) > 0
    in_worker: Any = torch.utils.data.DataLoader(first, batch_size=None, num_workers=1)
    assert all(torch.equal(image, first[i][0]) for i, (image, _) in enumerate(in_worker))


def test_augmentation_does_not_depend_on_the_number_of_threads() -> None:
    rng = np.random.default_rng(1)
    image, target = paint(rng, (401, 603), 1, 5)
    sample = (image + torch.from_numpy(rng.random(image.shape, np.float32)) * 0.5, target)
    transform = augmentation(TrainConfig(blur=1.0, noise=1.0, jpeg=0.0, copy_paste=1.0), 0, 1)
    before, images = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            images.append([transform(sample, i, lambda _: sample)[0] for i in range(6)])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for other in images[1:]:
        assert all(torch.equal(a, b) for a, b in zip(images[0], other, strict=True))
