"""Validate COCO files with problems of each kind: each is reported by its rule; none crashes the check."""

from __future__ import annotations

import copy
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_utils

from blender.contract import UserError
from pipeline.cli import main
from pipeline.data.rle import decode_counts, encode_mask
from pipeline.data.validation.check import REPAIR_STEPS, find_problems, load_validated_coco, validate_file
from pipeline.data.validation.rules import RULES, Problem
from tests.pipeline.data.validation.cases import BROKEN, change, valid_dataset


def broken_by(dataset: Any, images: Path | None = None) -> list[str]:
    return [problem.rule for problem in find_problems(dataset, images)]


def test_valid_file_has_no_problems() -> None:
    assert broken_by(valid_dataset()) == []


@pytest.mark.parametrize("name", BROKEN)
def test_broken_rule_is_reported(name: str) -> None:
    rule, damage = BROKEN[name]
    dataset = damage(copy.deepcopy(valid_dataset()))
    before = repr(dataset)
    problems = list(find_problems(dataset))
    problem = next((f for f in problems if f.rule == rule), None)
    assert problem is not None, f"only {problems}"
    assert problem.message and problem.advice and "\n" not in str(problem)
    assert repr(dataset) == before
    if rule.startswith(("bbox", "area", "iscrowd", "polygon", "rle", "mask")):
        assert problem.annotation_id in (11, 12, 15) and problem.image_id in (3, 7)


def test_many_kinds_of_problems_are_covered() -> None:
    assert len(BROKEN) >= 100
    assert len({rule for rule, _ in BROKEN.values()}) >= 45


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


PLACES = [place for place in places(valid_dataset()) if place]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(PLACES), json_values), min_size=1, max_size=3))
def test_no_json_value_crashes_the_check(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    dataset: Any = valid_dataset()
    for place, value in changes:
        try:
            change(*place, to=copy.deepcopy(value))(dataset)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change removed this place
    for problem in find_problems(dataset):
        assert str(problem)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=30))
def test_counts_are_decoded_as_by_cocoapi_or_refused(counts: str) -> None:
    try:
        lengths = decode_counts(counts)
    except ValueError:
        return
    if len(lengths) and lengths.sum() < 10**6 and lengths.max() < 2**31:
        total = int(lengths.sum())
        area = int(mask_utils.area({"size": [1, total], "counts": counts.encode()}))
        assert area == lengths[1::2].sum()


def test_counts_of_cocoapi_are_decoded_to_the_mask() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        size = rng.integers(1, 200, 2)
        mask = (rng.random(size) < rng.choice([0.001, 0.1, 0.5])).astype(np.uint8)
        lengths = decode_counts(encode_mask(mask)["counts"])
        flat = np.repeat(np.arange(len(lengths)) % 2, lengths)
        assert np.array_equal(flat.reshape(size[::-1]).T, mask)


# ------------------------------------------------------------------------------ command


def test_validate_command_reports_problems_and_exit_status(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(valid_dataset()))
    run = CliRunner().invoke(main, ["validate", str(path), "--images", str(folder)])
    assert run.exit_code == 0, run.output
    assert run.output.endswith("0 errors, 0 warnings in 2 images, 4 annotations, 2 categories\n")
    path.write_text(json.dumps(BROKEN["bbox as corners"][1](valid_dataset())))
    assert CliRunner().invoke(main, ["validate", str(path)]).exit_code == 0  # only warnings
    path.write_text(json.dumps(BROKEN["annotation id 0"][1](valid_dataset())))
    before = path.read_bytes()
    run = CliRunner().invoke(main, ["validate", str(path)])
    assert run.exit_code == 2
    assert "error: image 3, annotation 0, annotation-id-zero: id is 0; fix: number from 1" in run.output
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"\x80"])
def test_files_that_are_not_json_are_reported(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    assert validate_file(path, None)
    assert "not-json" in capsys.readouterr().out


def test_missing_file_or_folder_is_named(tmp_path: Path) -> None:
    run = CliRunner().invoke(main, ["validate", str(tmp_path / "x.json")])
    assert run.exit_code == 2 and "no such file" in run.output
    (tmp_path / "x.json").write_text(json.dumps(valid_dataset()))
    run = CliRunner().invoke(main, ["validate", str(tmp_path / "x.json"), "--images", str(tmp_path / "no")])
    assert run.exit_code == 2 and "no such folder" in run.output


def test_large_file_is_checked_in_reasonable_time() -> None:
    dataset = valid_dataset()
    template = dataset["annotations"][0]
    dataset["images"] = [dataset["images"][0] | {"id": n, "file_name": f"{n}.png"} for n in range(1, 501)]
    dataset["annotations"] = [
        template | {"id": n, "image_id": 1 + n % 500, "bbox": [10, 5, 30 + n / 1e5, 20]}
        for n in range(1, 5001)
    ]
    began = time.process_time()
    assert broken_by(dataset) == []
    assert time.process_time() - began < 6  # a tenth of 5,000 images and 50,000 annotations in a minute


def test_problem_is_one_line() -> None:
    assert str(Problem("r", "m", 1, 2, "c")) == "error: image 1, annotation 2, r: m; fix: c"
    assert str(Problem("r", "m", advice="c", severity="warning")) == "warning: r: m; fix: c"
    assert os.linesep not in str(Problem("r", "m"))


# ------------------------------------------------------------------------------ the registry


@pytest.mark.parametrize("name", RULES)
def test_rule_has_advice_and_a_fix_or_a_reason_for_none(name: str) -> None:
    rule = RULES[name]
    assert rule.advice
    assert sum(bool(option) for option in (rule.fix, rule.dataset_fix, rule.not_fixable)) == 1
    assert rule.dataset_fix is None or rule.dataset_fix in REPAIR_STEPS


def test_validated_file_is_loaded_or_its_first_error_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(BROKEN["area of the box"][1](valid_dataset())))
    assert load_validated_coco(path) == json.loads(path.read_bytes())  # only a warning
    path.write_text(json.dumps(BROKEN["annotation id 0"][1](valid_dataset())))
    with pytest.raises(UserError, match=r"x.json: 1 errors, the first: annotation-id-zero: id is 0; see all"):
        load_validated_coco(path)
    path.write_text(json.dumps(valid_dataset() | {"images": [], "annotations": []}))
    with pytest.raises(UserError, match="no-images"):
        load_validated_coco(path)
