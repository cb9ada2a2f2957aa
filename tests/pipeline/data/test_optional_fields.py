"""Optional fields of COCO files: malformed ones are left out, and every command accepts the file."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.optional_fields import (
    ANNOTATION_FIELDS,
    CAMERA_FIELDS,
    CATEGORY_FIELDS,
    IMAGE_FIELDS,
    leave_out_malformed,
)
from pipeline.data.validation.check import find_problems, load_validated_coco
from tests.pipeline.data.use_everywhere import use_everywhere, write_set
from tests.pipeline.data.validation.cases import valid_dataset
from tests.pipeline.data.validation.test_validate import json_values

FIELDS = {"images": IMAGE_FIELDS, "annotations": ANNOTATION_FIELDS, "categories": CATEGORY_FIELDS}
WRONG: dict[str, tuple[Any, ...]] = {
    "camera": (None, "front_left", 3, [1, 2, 3], True),
    "lights": (None, "on", 5, ["a"]),
    "scene": (None, "", ["a"], {"id": 1}, False),
    "parameters": (None, "x=1", [1], 0),
    "distance": (None, "far", [3], True),
    "visible_fraction": (None, "partial", 87, -1, [0.5]),
    "keypoints": (None, 0, "nose", {}, [], [1, 2], [1, 2, "v"], [None] * 3, [3, 4, 0.7]),
    "num_keypoints": (None, -1, 1.5, "2"),
    "skeleton": (None, "human", {"a": 1}, []),
}
"""Values of other tools, by field."""
RIGHT: dict[str, dict[str, Any]] = {
    "images": {
        "camera": {"position": [0, 1.5, 2], "fov": 1.2, "pitch": -0.1, "lens": "wide"},
        "lights": {"lamps": "led", "ambient": 0.3},
        "scene": "hall 3",
    },
    "annotations": {
        "parameters": {"load": "none"},
        "distance": 4.5,
        "visible_fraction": 0.4,
        "keypoints": [12, 8, 2, 14.5, 9, 1],
        "num_keypoints": 2,
    },
    "categories": {"keypoints": ["head", "feet"], "skeleton": [[1, 2]]},
}  # fmt: skip


def described() -> dict[str, Any]:
    """A valid file whose entries have all optional fields in our form."""
    dataset = valid_dataset()
    for kind, fields in RIGHT.items():
        dataset[kind] = [entry | copy.deepcopy(fields) for entry in dataset[kind]]
    return dataset


def test_well_formed_fields_stay() -> None:
    assert {*RIGHT["images"], *RIGHT["annotations"], *RIGHT["categories"]} == set().union(*FIELDS.values())
    assert leave_out_malformed(described()) == described()


@pytest.mark.parametrize("key", WRONG)
def test_fields_of_another_form_are_left_out(key: str) -> None:
    kind = next(kind for kind, fields in FIELDS.items() if key in fields)
    for value in WRONG[key]:
        dataset = described()
        dataset[kind][0][key] = value
        entries = leave_out_malformed(dataset)[kind]
        assert key not in entries[0], value
        assert entries[1][key] == RIGHT[kind][key]


def test_parts_of_a_camera_are_left_out_alone() -> None:
    for key, values in {
        "position": ([None] * 3, [1, 2], "here"),
        "fov": ("wide", None),
        "pitch": ([1],),
    }.items():
        assert key in CAMERA_FIELDS
        for value in values:
            dataset = described()
            dataset["images"][0]["camera"][key] = value
            camera = leave_out_malformed(dataset)["images"][0]["camera"]
            assert camera == {k: v for k, v in RIGHT["images"]["camera"].items() if k != key}


def test_edges_that_do_not_join_two_keypoints_are_left_out() -> None:
    dataset = described()
    dataset["categories"][0]["skeleton"] = [[1, 2], [2, 3], [0, 1], [1], "1-2", [1, 2.5], None]
    dataset["categories"][1] = {"id": 90, "name": "pallet_truck", "skeleton": [[1, 2]]}
    first, second = leave_out_malformed(dataset)["categories"]
    assert first["skeleton"] == [[1, 2]] and second["skeleton"] == []
    assert sum(problem.rule == "skeleton" for problem in find_problems(dataset)) == 2


def test_keypoints_of_another_number_than_the_category_names_are_left_out() -> None:
    dataset = described()
    dataset["annotations"][0]["keypoints"] = [1, 2, 2]
    dataset["categories"][1]["keypoints"] = None  # its annotation may have any number
    dataset["annotations"][2]["keypoints"] = [1, 2, 2]
    first, _, third, _ = leave_out_malformed(dataset)["annotations"]
    assert "keypoints" not in first and "num_keypoints" not in first
    assert third["keypoints"] == [1, 2, 2]


def test_text_that_cannot_be_printed_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(described() | {"info": {"a": "b\ud800", "\udc00": ["\U0001f600", 1]}}))
    assert load_validated_coco(path)["info"] == {"a": "b\ufffd", "\ufffd": ["\U0001f600", 1]}


def test_nan_and_infinity_become_null(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    text = json.dumps(described() | {"info": {"a": [1, "x"], "b": "here"}})
    path.write_text(text.replace('"x"', "NaN").replace('"here"', "1e999"))
    assert load_validated_coco(path)["info"] == {"a": [1, None], "b": None}


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.data())
def test_every_command_accepts_any_value_of_an_optional_field(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    dataset = described()
    for _ in range(data.draw(st.integers(1, 3))):
        kind = data.draw(st.sampled_from(sorted(FIELDS)))
        entry = data.draw(st.sampled_from(dataset[kind]))
        key = data.draw(st.sampled_from(sorted(FIELDS[kind])))
        if key == "camera" and isinstance(entry[key], dict):
            entry, key = entry[key], data.draw(st.sampled_from(sorted(CAMERA_FIELDS)))
        entry[key] = copy.deepcopy(data.draw(st.sampled_from(WRONG.get(key, (None,))) | json_values))
    folder = tmp_path_factory.mktemp("set")
    write_set(folder, dataset)
    assert not any(problem.severity == "error" for problem in find_problems(dataset))
    use_everywhere(folder)
