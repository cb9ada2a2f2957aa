"""COCO instances that annotation tools export."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.data.rle import encode_mask
from tests.pipeline.inference.commands import write_image
from tests.pipeline.labelling.cases import (
    SQUARE,
    check_error,
    coco_file,
    read_labels,
    read_masks,
    run_labels,
)


def test_masks_of_cvats_brush_are_objects_but_other_ignore_regions_stay(tmp_path: Path) -> None:
    rle = encode_mask(SQUARE)
    other = encode_mask(SQUARE[:, ::-1])
    brush = {"segmentation": rle, "iscrowd": 1, "attributes": {"occluded": False}}
    crowd = {"segmentation": other, "iscrowd": 1, "bbox": [30, 10, 30, 20], "attributes": {"night": True}}
    polygon = {"segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]], "bbox": [1, 1, 8, 8], "area": 64}
    sound = brush | {"segmentation": encode_mask(SQUARE[::-1]), "iscrowd": 0, "bbox": [20, 30, 30, 20]}
    export = coco_file(tmp_path / "instances.json", brush, crowd, polygon, sound)
    dataset = read_labels(export)
    assert [a["iscrowd"] for a in dataset["annotations"]] == [0, 1, 0, 0]
    assert [a["area"] for a in dataset["annotations"]] == [600, 600, 64, 600]
    assert "note: 1 masks of CVAT's brush" in run_labels(export, tmp_path / "again.json").output


def test_uncompressed_rle_of_cvat_is_read(tmp_path: Path) -> None:
    runs = [20 * 60 + 10, *[20, 40] * 29, 20, 30 * 60 + 30]
    dataset = read_labels(
        coco_file(tmp_path / "instances.json", {"segmentation": {"counts": runs, "size": [60, 80]}})
    )
    assert np.array_equal(read_masks(dataset)["p1.jpg"], SQUARE)


def test_boxes_without_masks_stay_boxes(tmp_path: Path) -> None:
    export = coco_file(tmp_path / "instances.json", {"segmentation": []})
    dataset = read_labels(export)
    (a,) = dataset["annotations"]
    assert a["bbox"] == [20, 10, 30, 20] and "segmentation" not in a
    assert "1 person (1 without a mask)" in run_labels(export, tmp_path / "again.json").output


def test_sizes_that_the_export_lacks_are_read_from_the_images(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    write_image(folder / "p1.jpg")
    polygon = {"segmentation": [[20, 10, 50, 10, 50, 30, 20, 30]]}
    export = coco_file(tmp_path / "result.json", polygon, width=None, height=None)
    check_error(export, "no size of 1 images: 'p1.jpg'", "--images")
    dataset = read_labels(export, "--images", folder)
    assert np.array_equal(read_masks(dataset)["p1.jpg"], SQUARE)


def test_names_are_matched_with_the_images(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    write_image(folder / "p1.jpg")
    export = coco_file(tmp_path / "result.json", file_name="images/7/1a2b3c4d-p1.jpg")
    assert read_labels(export, "--images", folder)["images"][0]["file_name"] == "p1.jpg"
    (tmp_path / "photos.json").unlink()
    (folder / "p1.jpg").rename(folder / "other.jpg")
    check_error(export, "result.json", "'images/7/1a2b3c4d-p1.jpg'", "--images", options=("--images", folder))
