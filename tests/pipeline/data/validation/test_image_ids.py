"""``validate --fix`` numbers images whose ids are words or too long, and their annotations follow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.validation.check import find_problems, repair
from pipeline.data.values import free_ids, is_id
from tests.pipeline.data.validation.cases import valid_dataset
from tests.pipeline.data.validation.test_repair import fix

RENUMBERED: dict[str, tuple[tuple[Any, Any], tuple[Any, Any], list[int]]] = {
    "words": (("cam_a", "cam_b"), ("cam_a", "cam_b"), [1, 2]),
    "a word beside a number": ((9, "cam_b"), (9, "cam_b"), [9, 10]),
    "a word beside the largest number": ((2**63 - 1, "b"), (2**63 - 1, "b"), [2**63 - 1, 1]),
    "more than 64 bits": ((2**64 + 1, 2**64 + 2), (2**64 + 1, 2**64 + 2), [1, 2]),
    "more than 64 bits, as text": ((str(2**64), 5), (2**64, 5), [6, 5]),
    "more than 64 bits, named as text": ((2**64, 5), (str(2**64), "5"), [6, 5]),
    "numbers as text": (("3", "07"), (3, "07"), [3, 7]),
    "the same number as text": ((7, "7"), (7, "7"), [7, 8]),
    "numbers with zeros": (("7", "07"), (7, "07"), [7, 8]),
    "floats": ((3.0, 7.0), (3, 7.0), [3, 7]),
    "broken floats": ((3.25, -0.5), (3.25, -0.5), [1, 2]),
    "large floats": ((1e18, 1e19), (1e18, 1e19), [10**18, 1]),
    "file names": (("a.png", "sub/b.png"), ("a.png", "sub/b.png"), [1, 2]),
    "file names in the annotations alone": ((3, 7), ("a.png", "b.png"), [3, 7]),
    "stems in the annotations alone": ((None, 7), ("a", "sub/b"), [8, 7]),
}
"""Kind -> ids of the two images, what their annotations say, ids of the images in the copy."""


def numbered(ids: tuple[Any, Any], references: tuple[Any, Any]) -> dict[str, Any]:
    dataset = valid_dataset()
    for image, number in zip(dataset["images"], ids, strict=True):
        image["id"] = number
    for a in dataset["annotations"]:
        a["image_id"] = references[0 if a["image_id"] == 3 else 1]
    return dataset


@pytest.mark.parametrize("kind", RENUMBERED)
def test_annotations_follow_their_images(kind: str) -> None:
    ids, references, expected = RENUMBERED[kind]
    fixed, changes = repair(numbered(ids, references))
    assert [i["id"] for i in fixed["images"]] == expected
    assert [a["image_id"] for a in fixed["annotations"]] == [expected[n] for n in (0, 1, 0, 1)]
    assert not any(change.removed for change in changes)
    assert not [problem for problem in find_problems(fixed) if problem.severity == "error"]


def test_annotations_of_unknown_entries_do_not_join_a_renumbered_one() -> None:
    dataset = numbered(("a", "b"), ("a", 1))
    dataset["categories"][0]["id"] = "pedestrian"
    dataset["annotations"][2]["category_id"] = 91
    fixed, changes = repair(dataset)
    assert [i["id"] for i in fixed["images"]] == [2, 3] and fixed["annotations"] == []
    assert [c["id"] for c in fixed["categories"]] == [92, 90]
    assert sum(change.removed for change in changes) == 4


def test_fix_prints_the_old_ids(tmp_path: Path) -> None:
    path, out = tmp_path / "x.json", tmp_path / "fixed.json"
    path.write_text(json.dumps(numbered(("cam_a", 2**70), ("cam_a", 2**70))))
    run = fix(path, out)
    assert run.exit_code == 0, run.output
    assert f"fixed: image-id: 2 corrected: image 'cam_a', now 1, image {2**70}, now 2" in run.output


@pytest.mark.parametrize("ids", [("a", "a"), (3, 3.0), (2**64, 2**64)])
def test_an_id_that_two_images_share_stays_an_error(ids: tuple[Any, Any], tmp_path: Path) -> None:
    path, out = tmp_path / "x.json", tmp_path / "fixed.json"
    path.write_text(json.dumps(numbered(ids, ids)))
    run = fix(path, out)
    assert run.exit_code == 2 and not out.exists()
    assert "not repaired: error: " in run.output and "image-id-duplicate: 2 images have the id" in run.output


def test_ids_of_annotations_and_categories_have_64_bits() -> None:
    dataset = valid_dataset()
    dataset["categories"][0]["id"] = 2**63
    for a in dataset["annotations"]:
        a["category_id"] = 2**63 if a["category_id"] == 1 else 90
    dataset["annotations"][0]["id"] = 2**80
    dataset["annotations"][1]["id"] = 2**63 - 1
    assert {"category-id", "annotation-id"} <= {problem.rule for problem in find_problems(dataset)}
    fixed, _ = repair(dataset)
    assert [c["id"] for c in fixed["categories"]] == [1, 90]
    assert [a["category_id"] for a in fixed["annotations"]] == [1, 1, 90, 1]
    assert [a["id"] for a in fixed["annotations"]] == [1, 2**63 - 1, 15, 16]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.sets(st.integers(-(2**63), 2**63 - 1), max_size=5))
def test_free_ids_are_free(used: set[int]) -> None:
    ids = free_ids(used)
    taken = [next(ids) for _ in range(5)]
    assert len(set(taken)) == 5 and not set(taken) & used and all(is_id(n) and n > 0 for n in taken)
