"""COCO datasets as samples: labels, masks, ignore regions, keypoints; problems are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from pipeline.config import ExtraSet, UserError
from pipeline.models.samples import Sample, boxes_from_masks, check_sample
from pipeline.training.dataset import CocoDataset
from tests.helpers.shapes import CLASSES, SIZE, rle, write_split, write_table


@pytest.fixture
def split(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """Return a split's folder and its COCO table: two images with objects, one without."""
    return tmp_path / "split", write_split(tmp_path / "split", 3)


def open_split(folder: Path, classes: tuple[str, ...] = CLASSES) -> CocoDataset:
    return CocoDataset(folder / "annotations.json", folder / "images", classes)


def test_labels_follow_the_profiles_classes(split: tuple[Path, dict[str, Any]]) -> None:
    folder, table = split
    image, target = open_split(folder)[0]
    assert image.shape == (3, SIZE, SIZE) and image.dtype == torch.float32
    assert target["labels"].tolist() == [1, 2]
    assert open_split(folder, CLASSES[::-1])[0][1]["labels"].tolist() == [2, 1]
    x, y, w, h = table["annotations"][0]["bbox"]
    assert target["boxes"][0].tolist() == [x, y, x + w, y + h]
    truth = coco_mask.decode(table["annotations"][0]["segmentation"])
    assert np.array_equal(target["masks"][0].numpy(), truth)


def test_class_without_an_object_is_an_error_that_names_it(split: tuple[Path, dict[str, Any]]) -> None:
    folder, table = split
    open_split(folder).check_classes()
    for annotation in table["annotations"]:
        annotation["iscrowd"] = int(annotation["category_id"] == 3)  # ignore regions are no objects
    table["categories"].append({"id": 9, "name": "crate"})
    write_table(folder, table)
    with pytest.raises(
        UserError, match=r"class 'pallet_truck': 0 objects in 3 images.*--allow-empty-classes"
    ):
        open_split(folder).check_classes()
    data = open_split(folder, (*CLASSES, "crate"))
    with pytest.raises(UserError, match="class 'pallet_truck', 'crate': 0 objects"):
        data.check_classes()
    extra = write_split(folder.parent / "extra", 2, empty=1)
    assert extra["annotations"]
    sets = [ExtraSet(str(folder.parent / "extra/annotations.json"), str(folder.parent / "extra/images"))]
    path = folder / "annotations.json"
    CocoDataset(path, folder / "images", CLASSES, extra=sets).check_classes()


def test_an_image_without_objects_is_a_sample(split: tuple[Path, dict[str, Any]]) -> None:
    data = open_split(split[0])
    assert len(data) == 3
    _, target = data[2]
    assert target["boxes"].shape == (0, 4) and target["masks"].shape == (0, SIZE, SIZE)
    assert target["labels"].shape == (0,) and target["labels"].dtype == torch.int64


def test_a_crowd_is_an_ignore_region(split: tuple[Path, dict[str, Any]]) -> None:
    folder, table = split
    table["annotations"][0]["iscrowd"] = 1
    write_table(folder, table)
    _, target = open_split(folder)[0]
    assert target["labels"].tolist() == [2]
    x, y, w, h = table["annotations"][0]["bbox"]
    assert target["ignore"].tolist() == [[x, y, x + w, y + h]]


@pytest.mark.parametrize("segmentation", [None, [], [[]], {}, ""])
def test_an_object_without_a_mask_among_others_is_an_ignore_region(
    split: tuple[Path, dict[str, Any]], segmentation: Any
) -> None:
    folder, table = split
    table["annotations"][0]["segmentation"] = segmentation
    write_table(folder, table)
    data = open_split(folder)
    _, target = data[0]
    assert target["labels"].tolist() == [2] and len(target["masks"]) == 1
    x, y, w, h = table["annotations"][0]["bbox"]
    assert target["ignore"].tolist() == [[x, y, x + w, y + h]]
    objects = len(table["annotations"])
    assert any(f"1 of {objects} objects have no mask: training ignores them" in note for note in data.notes)


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


def test_keypoints_are_read_if_the_file_has_any(tmp_path: Path) -> None:
    table = write_split(tmp_path, 2, empty=0)
    data = open_split(tmp_path)
    assert "keypoints" not in data[0][1]
    table["annotations"][0] |= {"keypoints": [5.5, 6.5, 2] + [0] * 48, "num_keypoints": 1}
    write_table(tmp_path, table)
    data = open_split(tmp_path)
    points = data[0][1]["keypoints"]
    assert points.shape == (2, 17, 3) and points[0, 0].tolist() == [5.5, 6.5, 2]
    assert not points[1].any() and not data[1][1]["keypoints"].any()


# ------------------------------------------------------------------------------ problems


def truncate_image(folder: Path, table: dict[str, Any]) -> None:
    path = folder / "images" / "000000.png"
    path.write_bytes(path.read_bytes()[:200])


def remove_image(folder: Path, table: dict[str, Any]) -> None:
    (folder / "images" / "000000.png").unlink()


def leave_folder(folder: Path, table: dict[str, Any]) -> None:
    table["images"][0]["file_name"] = "../../secret.png"


def wrong_width(folder: Path, table: dict[str, Any]) -> None:
    table["images"][0]["width"] = 50


def wrong_rle_size(folder: Path, table: dict[str, Any]) -> None:
    table["annotations"][0]["segmentation"]["size"] = [SIZE, SIZE + 1]


def empty_mask(folder: Path, table: dict[str, Any]) -> None:
    table["annotations"][0]["segmentation"] = rle(np.zeros((SIZE, SIZE)))


def no_mask(folder: Path, table: dict[str, Any]) -> None:
    for annotation in table["annotations"]:
        annotation["segmentation"] = []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (leave_folder, "file_name"),
        (truncate_image, "000000.png: not a readable image"),
        (remove_image, "000000.png: no such image"),
        (wrong_width, "000000.png: 96x96, but the annotations say 50x96|does not fit|rle-size"),
        (wrong_rle_size, r"annotations\.json: 1 errors, the first: rle-"),
        (empty_mask, r"annotations\.json: \d errors"),
        (no_mask, r"annotations\.json: none of its \d objects has a mask, and training needs masks"),
    ],
)
def test_a_problem_is_named_with_its_file(
    split: tuple[Path, dict[str, Any]], damage: Any, message: str
) -> None:
    folder, table = split
    damage(folder, table)
    write_table(folder, table)
    with pytest.raises(UserError, match=message):
        open_split(folder)[0]


@pytest.mark.parametrize("content", ["", "[]", '{"images": []}', "nonsense"])
def test_an_invalid_coco_file_is_refused(split: tuple[Path, dict[str, Any]], content: str) -> None:
    path = split[0] / "annotations.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"annotations\.json: not"):
        open_split(split[0])


def test_a_missing_and_an_empty_coco_file_are_refused(split: tuple[Path, dict[str, Any]]) -> None:
    folder, table = split
    write_table(folder, table | {"images": [], "annotations": []})
    with pytest.raises(UserError, match=r"annotations\.json: "):
        open_split(folder)
    (folder / "annotations.json").unlink()
    with pytest.raises(UserError, match=r"annotations\.json: no such file"):
        open_split(folder)


def test_a_missing_class_is_refused(split: tuple[Path, dict[str, Any]]) -> None:
    with pytest.raises(UserError, match="no category 'forklift'; it has: pallet_truck, pedestrian"):
        open_split(split[0], ("pedestrian", "forklift"))


def valid_sample() -> Sample:
    masks = torch.zeros(1, 8, 8, dtype=torch.uint8)
    masks[0, 2:5, 2:6] = 1
    return torch.rand(3, 8, 8), {
        "boxes": boxes_from_masks(masks),
        "labels": torch.tensor([1]),
        "masks": masks,
    }


INVALID_TARGETS = {
    "numbers of boxes, labels and masks differ": {"masks": torch.zeros(0, 8, 8, dtype=torch.uint8)},
    "a label is not in 1..2": {"labels": torch.tensor([0])},
    "masks are not": {"masks": torch.ones(1, 8, 9, dtype=torch.uint8)},
    "a box is under a pixel": {"boxes": torch.tensor([[2.0, 2, 2.5, 6]])},
    "boxes are not": {"boxes": torch.zeros(0)},
    "labels are not int64": {"labels": torch.tensor([1.0])},
}
"""torchvision would train on these without an error."""


@pytest.mark.parametrize("problem", INVALID_TARGETS)
def test_invalid_targets_are_refused(problem: str) -> None:
    image, target = valid_sample()
    check_sample((image, target), 2, "a.png")
    with pytest.raises(UserError, match=rf"a\.png: {problem}"):
        check_sample((image, target | INVALID_TARGETS[problem]), 2, "a.png")


def test_invalid_images_are_refused() -> None:
    image, target = valid_sample()
    for invalid, problem in [
        (image[:1], r"not \(3, H, W\)"),
        (image * 255, r"not in 0\.\.1"),
        (image * float("nan"), r"not in 0\.\.1"),
        ((image * 255).byte(), "not float"),
    ]:
        with pytest.raises(UserError, match=rf"b\.png: image is {problem}"):
            check_sample((invalid, target), 2, "b.png")
