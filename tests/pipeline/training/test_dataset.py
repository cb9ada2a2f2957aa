"""Samples are true, stay true through augmentation, and faults are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from pipeline.config import TrainConfig, UserError
from pipeline.models.targets import Sample, boxes_from_masks, check_sample
from pipeline.training.augment import augment, augmentation, object_to_show, zoom
from pipeline.training.dataset import CocoDataset
from tests.helpers.shapes import CLASSES, SIZE, rle, write_split, write_table

ALL = TrainConfig(flip=0.5, scale_jitter=(0.4, 2.5), photometric=1.0, blur=0.5, noise=0.5, jpeg=0.5)


@pytest.fixture
def split(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    return tmp_path / "split", write_split(tmp_path / "split", 3)


def open_split(folder: Path, classes: tuple[str, ...] = CLASSES) -> CocoDataset:
    return CocoDataset(folder / "annotations.json", folder / "images", classes)


def test_labels_follow_the_profile_not_the_file(split: tuple[Path, dict[str, Any]]) -> None:
    folder, table = split
    image, target = open_split(folder)[0]
    assert image.shape == (3, SIZE, SIZE) and image.dtype == torch.float32
    assert target["labels"].tolist() == [1, 2]
    assert open_split(folder, CLASSES[::-1])[0][1]["labels"].tolist() == [2, 1]
    x, y, w, h = table["annotations"][0]["bbox"]
    assert target["boxes"][0].tolist() == [x, y, x + w, y + h]
    truth = coco_mask.decode(table["annotations"][0]["segmentation"])
    assert np.array_equal(target["masks"][0].numpy(), truth)


def test_an_image_without_objects_is_a_negative(split: tuple[Path, dict[str, Any]]) -> None:
    data = open_split(split[0])
    assert len(data) == 3
    _, target = data[2]
    assert target["boxes"].shape == (0, 4) and target["masks"].shape == (0, SIZE, SIZE)
    assert target["labels"].shape == (0,) and target["labels"].dtype == torch.int64
    augmented = data.transformed(augmentation(ALL, 0, 0))[2][1]
    assert augmented["boxes"].shape == (0, 4) and augmented["masks"].shape == (0, SIZE, SIZE)


def test_a_crowd_is_an_ignore_region_and_no_object(split: tuple[Path, dict[str, Any]]) -> None:
    folder, table = split
    table["annotations"][0]["iscrowd"] = 1
    write_table(folder, table)
    _, target = open_split(folder)[0]
    assert target["labels"].tolist() == [2]
    x, y, w, h = table["annotations"][0]["bbox"]
    assert target["ignore"].tolist() == [[x, y, x + w, y + h]]


def test_polygons_and_uncompressed_rle_are_read(split: tuple[Path, dict[str, Any]]) -> None:
    folder, table = split
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[10:20, 30:50] = 1
    table["annotations"][0]["segmentation"] = [[30, 10, 50, 10, 50, 20, 30, 20]]
    counts = np.diff(np.flatnonzero(np.diff(mask.T.ravel(), prepend=1 - mask[0, 0], append=2)))
    table["annotations"][1]["segmentation"] = {"size": [SIZE, SIZE], "counts": counts.tolist()}
    write_table(folder, table)
    masks = open_split(folder)[0][1]["masks"].numpy()
    assert np.array_equal(masks, [mask, mask])


# ------------------------------------------------------------------------------ faults


def spoil_image(folder: Path, table: dict[str, Any]) -> None:
    path = folder / "images" / "000000.png"
    path.write_bytes(path.read_bytes()[:200])


def remove_image(folder: Path, table: dict[str, Any]) -> None:
    (folder / "images" / "000000.png").unlink()


def far_away(folder: Path, table: dict[str, Any]) -> None:
    table["images"][0]["file_name"] = "../../secret.png"


def wrong_size(folder: Path, table: dict[str, Any]) -> None:
    table["images"][0]["width"] = 50


def swapped_rle(folder: Path, table: dict[str, Any]) -> None:
    table["annotations"][0]["segmentation"]["size"] = [SIZE, SIZE + 1]


def empty_mask(folder: Path, table: dict[str, Any]) -> None:
    table["annotations"][0]["segmentation"] = rle(np.zeros((SIZE, SIZE)))


def no_mask(folder: Path, table: dict[str, Any]) -> None:
    del table["annotations"][0]["segmentation"]


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (far_away, "file_name"),
        (spoil_image, "000000.png: not a readable image"),
        (remove_image, "000000.png: no such image"),
        (wrong_size, "000000.png: 96x96, but the annotations say 50x96|does not fit|rle-size"),
        (swapped_rle, r"annotations\.json: 1 errors, the first: rle-"),
        (empty_mask, r"annotations\.json: \d errors"),
        (no_mask, r"annotations\.json: 1 errors, the first: segmentation-missing"),
    ],
)
def test_a_fault_names_its_place(split: tuple[Path, dict[str, Any]], harm: Any, message: str) -> None:
    folder, table = split
    harm(folder, table)
    write_table(folder, table)
    with pytest.raises(UserError, match=message):
        open_split(folder)[0]


@pytest.mark.parametrize("content", ["", "[]", '{"images": []}', "nonsense"])
def test_what_is_no_coco_file_is_refused(split: tuple[Path, dict[str, Any]], content: str) -> None:
    path = split[0] / "annotations.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"annotations\.json: not"):
        open_split(split[0])


def test_a_missing_file_and_an_empty_one_are_refused(split: tuple[Path, dict[str, Any]]) -> None:
    folder, table = split
    write_table(folder, table | {"images": [], "annotations": []})
    with pytest.raises(UserError, match=r"annotations\.json: "):
        open_split(folder)
    (folder / "annotations.json").unlink()
    with pytest.raises(UserError, match=r"annotations\.json: no such file"):
        open_split(folder)


def test_a_class_the_file_lacks_is_refused(split: tuple[Path, dict[str, Any]]) -> None:
    with pytest.raises(UserError, match="no category 'forklift'; it has: pallet_truck, pedestrian"):
        open_split(split[0], ("pedestrian", "forklift"))


def good() -> Sample:
    masks = torch.zeros(1, 8, 8, dtype=torch.uint8)
    masks[0, 2:5, 2:6] = 1
    return torch.rand(3, 8, 8), {
        "boxes": boxes_from_masks(masks),
        "labels": torch.tensor([1]),
        "masks": masks,
    }


SILENT = {
    "numbers of boxes, labels and masks differ": {"masks": torch.zeros(0, 8, 8, dtype=torch.uint8)},
    "a label is not in 1..2": {"labels": torch.tensor([0])},
    "masks are not": {"masks": torch.ones(1, 8, 9, dtype=torch.uint8)},
    "a box is under a pixel": {"boxes": torch.tensor([[2.0, 2, 2.5, 6]])},
    "boxes are not": {"boxes": torch.zeros(0)},
    "labels are not int64": {"labels": torch.tensor([1.0])},
}


@pytest.mark.parametrize("fault", SILENT)
def test_what_torchvision_would_train_on_silently_is_refused(fault: str) -> None:
    image, target = good()
    check_sample((image, target), 2, "a.png")
    with pytest.raises(UserError, match=rf"a\.png: {fault}"):
        check_sample((image, target | SILENT[fault]), 2, "a.png")


def test_images_torchvision_would_train_on_silently_are_refused() -> None:
    image, target = good()
    for bad, fault in [
        (image[:1], r"not \(3, H, W\)"),
        (image * 255, r"not in 0\.\.1"),
        (image * float("nan"), r"not in 0\.\.1"),
        ((image * 255).byte(), "not float"),
    ]:
        with pytest.raises(UserError, match=rf"b\.png: image is {fault}"):
            check_sample((bad, target), 2, "b.png")


# ------------------------------------------------------------------------------ augmentation


def test_augmentation_is_a_function_of_seed_epoch_and_image(split: tuple[Path, dict[str, Any]]) -> None:
    data = open_split(split[0])
    torch.manual_seed(1)
    first = data.transformed(augmentation(ALL, 3, 4))[1][0]
    torch.manual_seed(2)
    assert torch.equal(first, data.transformed(augmentation(ALL, 3, 4))[1][0])
    assert not torch.equal(first, data.transformed(augmentation(ALL, 3, 5))[1][0])


def test_masks_stay_on_their_objects_through_augmentation(split: tuple[Path, dict[str, Any]]) -> None:
    """The bar is red and the L blue, in any position and size: colours tell where the objects are."""
    sample = open_split(split[0])[0]
    geometry = TrainConfig(flip=0.5, scale_jitter=(0.4, 2.5), photometric=0, blur=0, noise=0, jpeg=0)
    seen = 0
    for seed in range(60):
        image, target = augment(sample, geometry, np.random.default_rng(seed))
        check_sample((image, target), 2, "augmented")
        assert image.shape == sample[0].shape
        for mask, label in zip(target["masks"], target["labels"], strict=True):
            found = (image[0] - image[2] > 0.3) if label == 1 else (image[2] - image[0] > 0.3)
            both = (found & (mask > 0)).sum() / (found | (mask > 0)).sum()
            assert both > 0.7 or mask.sum() < 150
            seen += 1
    assert seen > 60


def test_the_camera_steps_keep_size_and_range(split: tuple[Path, dict[str, Any]]) -> None:
    sample = open_split(split[0])[0]
    for seed in range(20):
        image, target = augment(sample, ALL, np.random.default_rng(seed))
        check_sample((image, target), 2, "augmented")


def test_what_all_but_leaves_the_picture_is_ignored_not_background() -> None:
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
    _, small = zoom((torch.rand(3, 96, 96), target), 0.5, np.random.default_rng(0))
    assert small["labels"].tolist() == [2] and len(small["ignore"]) == 2
    assert (small["ignore"][0, 2:] - small["ignore"][0, :2]).tolist() == [24, 24]


def test_a_crop_shows_the_object_it_is_aimed_at(split: tuple[Path, dict[str, Any]]) -> None:
    dataset = open_split(split[0])
    config = TrainConfig(crop=0.5, focus=1.0, scale_jitter=(1.0, 1.5), flip=0, blur=0, noise=0, jpeg=0)
    for seed in range(20):
        image, target = augment(dataset[0], config, np.random.default_rng(seed))
        whole, truth = dataset[0]
        assert image.shape[1:] == (whole.shape[1] // 2, whole.shape[2] // 2)
        assert not len(truth["labels"]) or len(target["labels"])
        assert torch.equal(target["boxes"], boxes_from_masks(target["masks"]))


def test_the_object_to_show_is_drawn_by_class_first() -> None:
    masks = torch.zeros(10, 20, 20, dtype=torch.uint8)
    for i in range(10):
        masks[i, i : i + 3, 2 * i : 2 * i + 2] = 1
    labels = torch.tensor([1] * 9 + [2])
    sample = (torch.zeros(3, 20, 20), {"boxes": boxes_from_masks(masks), "labels": labels, "masks": masks})
    rng = np.random.default_rng(0)
    shown = [object_to_show(sample, rng) for _ in range(200)]
    assert 70 < shown.count((19.0, 10.5)) < 130, "half of the draws, though one object of ten"
    none = (sample[0], {**sample[1], "labels": labels[:0]})
    assert object_to_show(none, rng) is None
