"""A folder of kept pictures: what it contains after each picture, and in the next session."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender.contract import UserError
from pipeline.cli.model import TOOLS
from pipeline.data.rle import encode_mask
from pipeline.data.validation.check import load_validated_coco
from pipeline.inference.detections import Detections
from pipeline.labelling.collection import Collection
from tests.pipeline.labelling.cases import accept_predictions, run_labels, write_json

CLASSES = ("pedestrian", "pallet_truck")


def detections(*scores: float, empty: bool = False) -> Detections:
    """Objects of the first class in an image of 40 x 20 pixels."""
    mask = np.zeros((20, 40), bool)
    mask[5:15, 3:9] = not empty
    count = len(scores)
    boxes = np.array([[3, 5, 9, 15]] * count, np.float32).reshape(-1, 4)
    return Detections(
        boxes, np.ones(count, np.int64), np.array(scores, np.float32), [encode_mask(mask)] * count, (20, 40)
    )


def picture(path: Path, level: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (40, 20), (level,) * 3).save(path)
    return path


def file_names(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "images").iterdir())


@pytest.mark.parametrize("tool", TOOLS)
def test_kept_pictures_come_back_as_labels(tool: str, tmp_path: Path) -> None:
    """In every tool's format, also after another session has added to the folder."""
    out = tmp_path / "kept"
    Collection(out, tool, CLASSES).add(picture(tmp_path / "a b.png", 1), detections(0.9), 0.5)
    collection = Collection(out, tool, CLASSES)
    assert collection.add(picture(tmp_path / "c.png", 2), detections(0.8, 0.45), 0.5) == "0002-c.png"
    assert len(collection) == 2 and file_names(out) == ["0001-a_b.png", "0002-c.png"]
    export = out
    if tool == "label-studio":
        export = write_json(tmp_path / "project.json", accept_predictions(out / "tasks.json"))
    labels = run_labels(export, tmp_path / "photos.json", "--images", out / "images")
    assert labels.exit_code == 0, labels.output
    dataset = load_validated_coco(tmp_path / "photos.json")
    assert [i["file_name"] for i in dataset["images"]] == ["0001-a_b.png", "0002-c.png"]
    assert [(a["image_id"], a["bbox"]) for a in dataset["annotations"]] == [
        (1, [3, 5, 6, 10]), (2, [3, 5, 6, 10]),
    ]  # fmt: skip


def test_the_review_table_begins_with_the_least_certain_picture(tmp_path: Path) -> None:
    collection = Collection(tmp_path / "kept", "coco", CLASSES)
    collection.add(picture(tmp_path / "sure.png", 1), detections(0.9), 0.5)
    collection.add(picture(tmp_path / "near.png", 2), detections(0.55), 0.5)
    with (tmp_path / "kept" / "review.csv").open(newline="") as stream:
        rows = [(row["file"], row["reason"], row["source"]) for row in csv.DictReader(stream)]
    assert rows == [
        ("0002-near.png", "score near the threshold", "near.png"),
        ("0001-sure.png", "", "sure.png"),
    ]


def test_the_same_picture_replaces_its_earlier_entry(tmp_path: Path) -> None:
    collection = Collection(tmp_path / "kept", "coco", CLASSES)
    path = picture(tmp_path / "p.png", 1)
    assert collection.add(path, detections(0.9, 0.6), 0.5) == collection.add(path, detections(0.9, 0.6), 0.7)
    dataset = load_validated_coco(tmp_path / "kept" / "annotations.json")
    assert len(collection) == len(dataset["images"]) == len(dataset["annotations"]) == 1


def test_a_removed_copy_is_forgotten_and_its_number_is_not_used_again(tmp_path: Path) -> None:
    out = tmp_path / "kept"
    collection = Collection(out, "coco", CLASSES)
    for number in range(3):
        collection.add(picture(tmp_path / f"{number}.png", number), detections(0.9), 0.5)
    (out / "images" / "0001-0.png").unlink()
    collection = Collection(out, "coco", CLASSES)
    assert len(collection) == 2
    assert collection.add(picture(tmp_path / "3.png", 3), detections(0.9), 0.5) == "0004-3.png"
    assert [i["file_name"] for i in json.loads((out / "annotations.json").read_bytes())["images"]] == [
        "0002-1.png", "0003-2.png", "0004-3.png",
    ]  # fmt: skip


def test_masks_without_a_pixel_are_no_objects(tmp_path: Path) -> None:
    collection = Collection(tmp_path / "kept", "cvat", CLASSES)
    collection.add(picture(tmp_path / "p.png", 1), detections(0.9, empty=True), 0.5)
    assert "no object found" in (tmp_path / "kept" / "review.csv").read_text()


@pytest.mark.parametrize(("tool", "classes"), [("cvat", CLASSES), ("coco", ("pedestrian",))])
def test_a_folder_of_another_kind_is_refused(tool: str, classes: tuple[str, ...], tmp_path: Path) -> None:
    out = tmp_path / "kept"
    Collection(out, "coco", CLASSES).add(picture(tmp_path / "p.png", 1), detections(0.9), 0.5)
    with pytest.raises(UserError, match=r"has labels for coco of the classes pedestrian, pallet_truck"):
        Collection(out, tool, classes)


def test_other_files_are_refused_and_not_changed(tmp_path: Path) -> None:
    picture(tmp_path / "mine" / "photo.png", 1)
    with pytest.raises(UserError, match="contains other files"):
        Collection(tmp_path / "mine", "coco", CLASSES)
    (tmp_path / "mine" / "collection.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        Collection(tmp_path / "mine", "coco", CLASSES)
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["collection.json", "photo.png"]


def test_nothing_is_created_before_the_first_picture(tmp_path: Path) -> None:
    Collection(tmp_path / "kept", "coco", CLASSES)
    assert not (tmp_path / "kept").exists()
