"""``validate --fix`` reads masks and boxes in other forms, if there is no doubt about what they mean."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.data.validation.check import find_problems, load_validated_coco, repair
from tests.pipeline.data.validation.cases import WIDTH, ring, runs, valid_dataset

POLYGON = [20, 20, 40, 20, 40, 30, 20, 30]
PAIRS = [[x, y] for x, y in zip(POLYGON[::2], POLYGON[1::2], strict=True)]

FORMS: dict[str, Callable[[Any], Any]] = {
    "RLE in a list": lambda rle: [rle],
    "RLE as text": json.dumps,
    "RLE with its size as text": lambda rle: rle | {"size": list(map(str, rle["size"]))},
    "run lengths of RLE as floats": lambda rle: rle | {"counts": list(map(float, runs(ring())))},
    "run lengths of RLE as text": lambda rle: rle | {"counts": list(map(str, runs(ring())))},
    "points": lambda _: PAIRS,
    "polygons as text": lambda _: json.dumps([POLYGON]),
    "coordinates as text": lambda _: [list(map(str, POLYGON))],
    "points in a list": lambda _: [PAIRS],
}


@pytest.mark.parametrize("form", FORMS)
def test_a_mask_in_another_form_is_kept(form: str) -> None:
    dataset = valid_dataset()
    annotation = dataset["annotations"][0]
    rle = annotation["segmentation"]
    annotation["segmentation"] = written = FORMS[form](rle)
    assert any(problem.severity == "error" for problem in find_problems(dataset))
    fixed, _ = repair(dataset)
    assert len(fixed["annotations"]) == len(dataset["annotations"]) and not list(find_problems(fixed))
    expected = rle | {"counts": runs(ring())} if "run lengths" in form else rle
    segmentation = fixed["annotations"][0]["segmentation"]
    assert repr(segmentation) == repr(expected if "RLE" in form else [POLYGON])
    assert annotation["segmentation"] is written


@pytest.mark.parametrize("text", ["[", "[" * 5000, "NaN", "true", "[[1, 2]]", '{"counts": "0"}'])
def test_a_mask_that_cannot_be_read_is_removed(text: str) -> None:
    dataset = valid_dataset()
    dataset["annotations"][0]["segmentation"] = text
    fixed, _ = repair(dataset)
    assert len(fixed["annotations"]) == len(dataset["annotations"]) - 1
    assert not [problem for problem in find_problems(fixed) if problem.severity == "error"]


@pytest.mark.parametrize("blank", [None, [], [[]], [None], [[None]], {}, ""])
def test_a_segmentation_without_content_is_no_mask(blank: Any) -> None:
    dataset = valid_dataset()
    dataset["annotations"][0]["segmentation"] = blank
    assert [problem.rule for problem in find_problems(dataset)] == ["no-mask"]


# ------------------------------------------------------------------------------ boxes without masks

BOXES = [[30, 10, 50, 30], [5, 5, 20, 35], [40, 20, 59, 39], [10, 2, 25, 38]]
"""[left, top, right, bottom] in an image of 60 x 40 pixels."""


def boxes_alone(boxes: list[Any]) -> dict[str, Any]:
    dataset = valid_dataset()
    common = {"image_id": 3, "category_id": 1, "iscrowd": 0, "area": 99}
    return dataset | {"annotations": [common | {"id": n, "bbox": box} for n, box in enumerate(boxes, 1)]}


@pytest.mark.parametrize("write", [list, lambda box: list(map(str, box)), json.dumps])
def test_corner_boxes_without_masks_are_noted_and_converted(
    write: Callable[[Any], Any], tmp_path: Path
) -> None:
    dataset = boxes_alone([write(box) for box in BOXES])
    assert "bbox-corners" in {problem.rule for problem in find_problems(dataset)}
    fixed, changes = repair(dataset)
    assert [a["bbox"] for a in fixed["annotations"]] == [[x, y, u - x, v - y] for x, y, u, v in BOXES]
    assert sum(change.rule == "bbox-corners" for change in changes) == len(BOXES)
    if write is list:
        notes: list[str] = []
        (tmp_path / "a.json").write_text(json.dumps(dataset))
        load_validated_coco(tmp_path / "a.json", notes)
        assert len(notes) == 1 and "4 boxes without a mask seem to be [left, top, right, bottom]" in notes[0]


@pytest.mark.parametrize(
    "boxes",
    [
        [[x, y, u - x, v - y] for x, y, u, v in BOXES],
        [*BOXES, [50, 10, 8, 8]],  # no corners
        BOXES[:2],  # too few
        [[1, 1, WIDTH - 1, 38]] * 4,  # hardly beyond
    ],
)
def test_other_boxes_are_not_taken_for_corners(boxes: list[Any]) -> None:
    dataset = boxes_alone(boxes)
    assert "bbox-corners" not in {problem.rule for problem in find_problems(dataset)}


def test_boxes_without_masks_that_do_not_fit_their_images_are_noted(tmp_path: Path) -> None:
    notes: list[str] = []
    (tmp_path / "a.json").write_text(json.dumps(boxes_alone([[0.2, 0.3, 0.5, 0.5], [9, 9, 70, 9]])))
    load_validated_coco(tmp_path / "a.json", notes)
    assert len(notes) == 1 and "2 of 2 boxes are smaller than a pixel or reach beyond" in notes[0]
