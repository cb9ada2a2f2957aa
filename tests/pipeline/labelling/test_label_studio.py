"""Label Studio's JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as mask_utils

from pipeline.labelling.brush_rle import encode_brush
from tests.pipeline.labelling.cases import (
    SQUARE,
    check_error,
    read_labels,
    region,
    run_labels,
    task,
    write_json,
)


def test_regions_of_label_studio(tmp_path: Path) -> None:
    corners = [[25, 100 / 6], [62.5, 100 / 6], [62.5, 50], [25, 50]]
    regions = [
        region("brushlabels", ["person"], format="rle", rle=encode_brush(SQUARE)),
        region("polygonlabels", ["crate"], points=corners),
        region("rectanglelabels", ["person"], x=25, y=50, width=50, height=25, rotation=0),
        region("rectanglelabels", ["crate"], x=50, y=50, width=25, height=25, rotation=90),
        region("ellipselabels", ["crate"], x=50, y=50, radiusX=5, radiusY=5),
        region("rectangle", x=1, y=1, width=5, height=5),
        {"type": "relation", "from_id": "a", "to_id": "b"},
    ]
    export = write_json(tmp_path / "project.json", [task(regions)])
    dataset = read_labels(export)
    assert [i["file_name"] for i in dataset["images"]] == ["p1.jpg"]
    assert [c["name"] for c in dataset["categories"]] == ["person", "crate"]
    stroke, polygon, box, turned = dataset["annotations"]
    assert np.array_equal(mask_utils.decode(stroke["segmentation"]), SQUARE)
    assert np.array_equal(mask_utils.decode(polygon["segmentation"]), SQUARE)
    assert box["bbox"] == [20, 30, 40, 15] and "segmentation" not in box
    assert np.allclose(turned["bbox"], [25, 30, 15, 20])  # turned clockwise about (40, 30)
    output = run_labels(export, tmp_path / "again.json").output
    assert "note: left out: 1 ellipselabels, 1 rectangle without a label" in output


def test_region_and_label_that_are_written_apart_are_one_object(tmp_path: Path) -> None:
    rle = encode_brush(SQUARE)
    parts = [region("brush", rle=rle) | {"id": "x"}, region("labels", ["person"], rle=rle) | {"id": "x"}]
    export = write_json(tmp_path / "project.json", [task(parts)])
    assert len(read_labels(export)["annotations"]) == 1
    assert "left out" not in run_labels(export, tmp_path / "again.json").output


def test_skipped_and_unlabelled_tasks_are_left_out_and_empty_ones_stay(tmp_path: Path) -> None:
    box = region("rectanglelabels", ["person"], x=25, y=50, width=50, height=25)
    skipped = {"id": 1, "was_cancelled": True, "result": [box]}
    tasks = [
        task([box]),
        task([], "/data/local-files/?d=images%2F0002-p%202.jpg", predictions=[{"result": [box]}]),
        task([], "s3://bucket/p3.jpg", annotations=[skipped]),
        task([], "p4.jpg", annotations=[]),
    ]
    export = write_json(tmp_path / "project.json", tasks)
    dataset = read_labels(export)
    assert [i["file_name"] for i in dataset["images"]] == ["p1.jpg", "0002-p 2.jpg"]
    assert len(dataset["annotations"]) == 1
    notes = run_labels(export, tmp_path / "again.json").output
    assert "note: tasks left out because they were skipped: 1" in notes
    assert "note: tasks left out because nobody annotated them: 1" in notes
    write_json(export, tasks[2:])
    (tmp_path / "photos.json").unlink()
    check_error(export, "no task has an annotation")


def test_ground_truth_or_the_last_annotation_is_read(tmp_path: Path) -> None:
    def annotation(x: float, **fields: Any) -> dict[str, Any]:
        return {"result": [region("rectanglelabels", ["a"], x=x, y=0, width=10, height=10)]} | fields

    early = annotation(0, updated_at="2026-01-01T10:00:00Z")
    late = annotation(50, updated_at="2026-01-02T10:00:00Z")
    export = write_json(tmp_path / "project.json", [task([], annotations=[late, early])])
    assert read_labels(export)["annotations"][0]["bbox"][0] == 40
    assert "the last is read: 1" in run_labels(export, tmp_path / "again.json").output
    write_json(export, [task([], annotations=[late, early | {"ground_truth": True}])])
    assert read_labels(export)["annotations"][0]["bbox"][0] == 0


def test_equal_names_of_two_folders_keep_their_folders(tmp_path: Path) -> None:
    box = region("rectanglelabels", ["person"], x=25, y=50, width=50, height=25)
    tasks = [task([box], f"/data/local-files/?d={name}") for name in ("a/p.jpg", "b/p.jpg", "b/q.jpg")]
    dataset = read_labels(write_json(tmp_path / "project.json", tasks))
    assert [i["file_name"] for i in dataset["images"]] == ["a/p.jpg", "b/p.jpg", "q.jpg"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([task([region("brushlabels", ["a"], rle=[1, 2])])], ("task 5", "cut off")),
        ([task([region("brushlabels", ["a"], rle=encode_brush(SQUARE[1:]))])], ("has 18880 values",)),
        ([task([region("polygonlabels", ["a"], points=[[1, 2], [3, None], [4, 5]])])], ("None",)),
        ([task([region("rectanglelabels", ["a"], x="1", y=0, width=1, height=1)])], ("'1'",)),
        ([task([region("rectanglelabels", ["a"], size=(0, 9), x=1, y=0, width=1, height=1)])], ("sizes",)),
        ([task([region("rectanglelabels", ["a"], x=1, y=0, width=1, height=1) | {"image_rotation": 90}])],
         ("turned",)),
        ([task([]), 7], ("task 2", "no data")),
        ([task([], annotations=3)], ("annotations",)),
        ([task([], data={"text": "x"}, annotations=[{"result": []}])], ("no image",)),
        ([task([]), task([])], ("same name",)),
        ([task([])], ("no size of 1 images", "--images")),
    ],
)  # fmt: skip
def test_malformed_tasks_are_named(value: Any, words: tuple[str, ...], tmp_path: Path) -> None:
    check_error(write_json(tmp_path / "project.json", value), "project.json", *words)
