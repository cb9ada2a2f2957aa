"""Masks, boxes and keypoints stay true whatever augmentation does to a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from blender.contract import KEYPOINTS
from pipeline.config import TrainConfig
from pipeline.models.targets import MIN_OBJECT_PIXELS, Sample, boxes_from_masks, check_sample
from pipeline.training.augment import MIRRORED, augment, augmentation, flip
from pipeline.training.copy_paste import paste, paste_some
from pipeline.training.dataset import CocoDataset
from tests.helpers.shapes import CLASSES, write_split, write_table

MOST = 20
"""Labels go up to this; an object of label k has the red k / MOST, and full green."""


def paint(rng: np.random.Generator, size: tuple[int, int], first: int, count: int) -> Sample:
    """Rectangles that hide one another on black, each of a colour and label of its own; a keypoint in each
    that shows a big enough part."""
    image, ids = torch.zeros(3, *size), torch.zeros(size, dtype=torch.int64)
    for label in range(first, first + count):
        h, w = rng.integers(6, 40, 2)
        y, x = rng.integers(0, size[0] - 5), rng.integers(0, size[1] - 5)
        ids[y : y + h, x : x + w] = label
    labels = ids.unique()
    labels = labels[labels > 0]
    masks = (ids == labels[:, None, None]).to(torch.uint8)
    image[0], image[1] = ids / MOST, (ids > 0).float()
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
    """What of masks (N, H, W) lies at least ``margin`` pixels within, and within the picture."""
    holes = torch.nn.functional.pad((masks == 0).float()[:, None], [margin] * 4, value=1.0)
    grown = torch.nn.functional.max_pool2d(holes, 2 * margin + 1, stride=1)
    return grown[:, 0] == 0


def check_truth(sample: Sample) -> None:
    """Colours tell where each object really is."""
    image, target = sample
    check_sample(sample, MOST, "augmented")
    masks, labels = target["masks"], target["labels"]
    assert len(target["keypoints"]) == len(masks) and len(set(labels.tolist())) == len(labels)
    assert torch.equal(target["boxes"], boxes_from_masks(masks))
    assert int(masks.sum(0).max() if len(masks) else 0) <= 1, "a pixel belongs to one object"
    for mask, label in zip(eroded(masks, 3), labels.tolist(), strict=True):
        assert ((image[0] - label / MOST).abs()[mask] < 0.01).all(), "a mask lies on its object"
    claimed = (masks > 0).any(0)
    for left, top, right, bottom in target["ignore"].round().int().tolist():
        claimed[max(0, top - 1) : bottom + 1, max(0, left - 1) : right + 1] = True
    assert not ((image[1] > 0.99) & ~claimed).any(), "no object is background"
    height, width = image.shape[1:]
    for points, label in zip(target["keypoints"], labels.tolist(), strict=True):
        for x, y, mark in points.tolist():
            assert mark in (0, 1, 2) and 0 <= x < width and 0 <= y < height
            if mark:
                own = abs(float(image[0, int(y), int(x)]) - label / MOST) < 0.01
                assert own == (mark == 2), "a visible keypoint is on its object, a hidden one is not"


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    zoom=st.sampled_from([(1.0, 1.0), (0.5, 1.0), (1.0, 2.0), (0.5, 2.0)]),
    crop=st.sampled_from([0.5, 0.8, 1.0]),
    focus=st.sampled_from([0.0, 1.0]),
    flipped=st.sampled_from([0.0, 1.0]),
    copy_paste=st.sampled_from([0.0, 1.0]),
    sizes=st.lists(st.tuples(st.integers(40, 96), st.integers(40, 96)), min_size=2, max_size=2),
)
def test_the_truth_stays_true(
    seed: int, zoom: tuple[float, float], crop: float, focus: float, flipped: float, copy_paste: float,
    sizes: list[tuple[int, int]],
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    sample = paint(rng, sizes[0], 1, int(rng.integers(0, 8)))
    donor = paint(rng, sizes[1], 10, int(rng.integers(0, 8)))
    config = TrainConfig(
        flip=flipped, scale_jitter=zoom, crop=crop, focus=focus, copy_paste=copy_paste, photometric=0, blur=0,
        noise=0, jpeg=0,
    )  # fmt: skip
    check_truth(augment(sample, config, rng, lambda _: donor))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_camera_leaves_the_target_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sample = paint(rng, (64, 80), 1, 4)
    config = TrainConfig(flip=0, scale_jitter=(1, 1), photometric=1, blur=1, noise=1, jpeg=1)
    image, target = augment(sample, config, rng)
    still = TrainConfig(flip=0, scale_jitter=(1, 1), photometric=0, blur=0, noise=0, jpeg=0)
    _, untouched = augment(sample, still, rng)
    check_sample((image, target), MOST, "augmented")
    assert all(torch.equal(target[k], untouched[k]) for k in untouched)


def test_in_a_mirror_left_is_right() -> None:
    assert [KEYPOINTS[i] for i in MIRRORED[:3]] == ["nose", "right_eye", "left_eye"]
    assert sorted(MIRRORED) == list(range(17)) and [MIRRORED[i] for i in MIRRORED] == list(range(17))
    sample = paint(np.random.default_rng(3), (64, 80), 1, 3)
    sample[1]["keypoints"][0] = 0
    sample[1]["keypoints"][0, KEYPOINTS.index("left_wrist")] = torch.tensor([10.25, 20.0, 1])
    mirrored = flip(sample)[1]["keypoints"][0]
    assert mirrored[KEYPOINTS.index("right_wrist")].tolist() == [69.75, 20, 1]
    assert int((mirrored[:, 2] > 0).sum()) == 1


# ------------------------------------------------------------------------------ copy-paste


def boxes(*places: tuple[int, int, int, int], first: int = 1, size: int = 64) -> Sample:
    """Rectangles x, y, w, h, each with a keypoint in its upper left pixel."""
    masks = torch.zeros(len(places), size, size, dtype=torch.uint8)
    keypoints = torch.zeros(len(places), len(KEYPOINTS), 3)
    for i, (x, y, w, h) in enumerate(places):
        masks[i, y : y + h, x : x + w] = 1
        keypoints[i, 0] = torch.tensor([x + 0.5, y + 0.5, 2])
    labels = torch.arange(first, first + len(places))
    image = (masks * (labels / MOST)[:, None, None]).sum(0).expand(3, -1, -1)
    target = {"boxes": boxes_from_masks(masks), "labels": labels, "masks": masks, "keypoints": keypoints}
    return image, target | {"ignore": torch.zeros(0, 4), "image_id": torch.tensor(0)}


def test_what_is_pasted_hides_what_lies_below() -> None:
    below = boxes((0, 0, 20, 20), (30, 30, 10, 10), (40, 0, 20, 20), (0, 40, 20, 20))
    # Over the middle of the first, all of the second, and all but a twentieth of the third.
    above = boxes((10, 0, 10, 20), (28, 28, 14, 14), (41, 0, 20, 20), first=11)
    image, target = paste(below, above, torch.ones(3, dtype=torch.bool))
    assert target["labels"].tolist() == [1, 4, 11, 12, 13]
    assert target["boxes"][:2].tolist() == [[0, 0, 10, 20], [0, 40, 20, 60]]
    assert target["ignore"].tolist() == [[40, 0, 41, 20]], "the rest of the third"
    assert int(target["masks"].sum(0).max()) == 1
    assert image[0, 5, [5, 15]].tolist() == pytest.approx([1 / MOST, 11 / MOST])
    assert target["keypoints"][:, 0, 2].tolist() == [2, 2, 2, 2, 2]
    hidden = paste(below, boxes((0, 0, 5, 5), first=11), torch.tensor([True]))[1]
    assert hidden["keypoints"][:, 0, 2].tolist() == [1, 2, 2, 2, 2]


def test_only_what_is_chosen_is_pasted_and_at_least_one() -> None:
    below, above = boxes((0, 0, 20, 20)), boxes((30, 0, 10, 10), (30, 30, 10, 10), first=11)
    image, target = paste(below, above, torch.tensor([False, True]))
    assert target["labels"].tolist() == [1, 12] and float(image[0, 5, 35]) == 0
    drawn = [paste_some(below, above, np.random.default_rng(i))[1]["labels"].tolist() for i in range(40)]
    assert {tuple(labels) for labels in drawn} == {(1, 11), (1, 12), (1, 11, 12)}
    nothing = boxes(size=64)
    assert paste_some(below, nothing, np.random.default_rng(0)) is below
    assert paste_some(nothing, above, np.random.default_rng(0))[1]["labels"].min() > 10


def test_a_donor_of_another_size_is_cut_or_padded() -> None:
    below = boxes((0, 0, 20, 20))
    larger = boxes((50, 50, 30, 30), (70, 0, 9, 9), first=11, size=100)
    image, target = paste(below, larger, torch.ones(2) > 0)
    assert image.shape == (3, 64, 64)
    assert target["labels"].tolist() == [1, 11] and target["boxes"][1].tolist() == [50, 50, 64, 64]
    image, target = paste(below, boxes((0, 30, 9, 9), first=11, size=40), torch.ones(1) > 0)
    assert image.shape == (3, 64, 64) and target["boxes"][1].tolist() == [0, 30, 9, 39]


def test_a_sliver_of_a_donor_is_not_pasted() -> None:
    sliver = boxes((62, 0, 30, 7), first=11, size=100)  # 2 x 7 pixels within 64
    image, target = paste(boxes((0, 0, 20, 20)), sliver, torch.ones(1) > 0)
    assert MIN_OBJECT_PIXELS > 14 and target["labels"].tolist() == [1] and float(image[0, 3, 63]) == 0


def test_pasting_is_a_function_of_seed_epoch_and_image(tmp_path: Path) -> None:
    write_split(tmp_path, 4, empty=0)
    data = CocoDataset(tmp_path / "annotations.json", tmp_path / "images", CLASSES)
    with_it, without = (TrainConfig(copy_paste=share, noise=0, blur=0, jpeg=0) for share in (1.0, 0.0))
    first, again = (data.transformed(augmentation(with_it, 0, 5)) for _ in range(2))
    plain = data.transformed(augmentation(without, 0, 5))
    counts = []
    for i in (2, 0, 3, 1):
        (image, target), (same, _) = first[i], again[i]
        assert torch.equal(image, same)
        counts.append(len(target["labels"]) - len(plain[i][1]["labels"]))
    assert max(counts) > 0
    loader = torch.utils.data.DataLoader(first, batch_size=None, num_workers=1)
    assert all(torch.equal(image, first[i][0]) for i, (image, _) in enumerate(loader))


def test_a_picture_does_not_depend_on_the_number_of_threads() -> None:
    rng = np.random.default_rng(1)
    image, target = paint(rng, (401, 603), 1, 5)
    sample = (image + torch.from_numpy(rng.random(image.shape, np.float32)) * 0.5, target)
    always = augmentation(TrainConfig(blur=1.0, noise=1.0, jpeg=0.0, copy_paste=1.0), 0, 1)
    before, pictures = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            pictures.append([always(sample, i, lambda _: sample)[0] for i in range(6)])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for other in pictures[1:]:
        assert all(torch.equal(a, b) for a, b in zip(pictures[0], other, strict=True))


def test_keypoints_are_read_where_the_file_has_them(tmp_path: Path) -> None:
    table = write_split(tmp_path, 2, empty=0)
    data = CocoDataset(tmp_path / "annotations.json", tmp_path / "images", CLASSES)
    assert "keypoints" not in data[0][1]
    table["annotations"][0] |= {"keypoints": [5.5, 6.5, 2] + [0] * 48, "num_keypoints": 1}
    write_table(tmp_path, table)
    data = CocoDataset(tmp_path / "annotations.json", tmp_path / "images", CLASSES)
    points = data[0][1]["keypoints"]
    assert points.shape == (2, 17, 3) and points[0, 0].tolist() == [5.5, 6.5, 2]
    assert not points[1].any() and not data[1][1]["keypoints"].any()
