"""``validate --fix``: each problem of ``test_validate`` is fixed, or reported as not fixable."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipeline.cli import main
from pipeline.data.rle import encode_mask
from pipeline.data.validation.check import find_problems, repair
from tests.conftest import ROOT
from tests.pipeline.data.validation.cases import (
    BROKEN,
    HEIGHT,
    WIDTH,
    change,
    polygon,
    ring,
    rle,
    valid_dataset,
)
from tests.pipeline.data.validation.test_validate import PLACES, json_values

NOT_FIXABLE = {
    "not-an-object", "nested", "list-missing", "no-images", "no-categories", "image-id-duplicate",
    "category-id-duplicate",
}  # fmt: skip
"""Errors that only the owner of the file can correct."""
ACCEPTED = {"no-annotations", "over-100-objects", "mostly-crowd", "no-mask"}
"""Warnings that have no fix: there is nothing to correct, or only the owner of the file can do it."""


def fix(path: Path, out: Path, *options: object) -> Result:
    return CliRunner().invoke(main, ["validate", str(path), "--fix", str(out), *map(str, options)])


def scores_against_itself(path: Path) -> list[float]:
    """AP of boxes and masks, by pycocotools alone, of a file taken as its own predictions."""
    scores = []
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        perfect = [
            {key: copy.deepcopy(a[key]) for key in ("image_id", "category_id", "bbox", "segmentation")}
            | {"score": 1.0}
            for a in truth.loadAnns(truth.getAnnIds(iscrowd=False))
        ]
        for kind in ("bbox", "segm"):
            results = [
                {k: v for k, v in p.items() if kind != "segm" or k != "bbox"}
                | ({"segmentation": truth.annToRLE(p)} if kind == "segm" else {})
                for p in perfect
            ]
            evaluation = COCOeval(truth, truth.loadRes(results), kind)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
            scores.append(float(evaluation.stats[0]))
    return scores


@pytest.mark.parametrize("name", BROKEN)
def test_broken_file_is_repaired_or_reported(name: str, tmp_path: Path) -> None:
    rule, damage = BROKEN[name]
    path, out = tmp_path / "broken.json", tmp_path / "fixed.json"
    path.write_text(json.dumps(damage(valid_dataset())))
    before = path.read_bytes()
    run = fix(path, out)
    assert path.read_bytes() == before
    assert run.exception is None or isinstance(run.exception, SystemExit), run.output
    if rule in NOT_FIXABLE:
        assert run.exit_code == 2 and not out.exists()
        assert rule in run.output and "not written" in run.output
        return
    assert run.exit_code == 0, run.output
    if rule in ACCEPTED:
        assert "not repaired: warning: " in run.output and rule in run.output
        return
    assert f"fixed: {rule}: " in run.output or (
        name == "a class of ignore regions" and "fixed: crowd" in run.output
    )
    assert {problem.rule for problem in find_problems(json.loads(out.read_bytes()))} <= ACCEPTED
    assert scores_against_itself(out) == pytest.approx([1.0, 1.0])


def test_many_kinds_of_repair_are_covered() -> None:
    assert len({name for name, (rule, _) in BROKEN.items() if rule not in NOT_FIXABLE | ACCEPTED}) >= 40


def test_valid_file_is_copied_unchanged(tmp_path: Path) -> None:
    assert repair(valid_dataset()) == (valid_dataset(), [])


def test_changes_are_counted_by_rule(tmp_path: Path) -> None:
    dataset = valid_dataset()
    template = dataset["annotations"][0]
    dataset["annotations"] = [
        {k: v for k, v in template.items() if k != "iscrowd"}
        | {"id": 0, "image_id": 3 + 4 * (n % 2), "area": n}
        for n in range(8)
    ]
    path, out = tmp_path / "broken.json", tmp_path / "fixed.json"
    path.write_text(json.dumps(dataset))
    run = fix(path, out)
    assert run.exit_code == 0
    assert "fixed: annotation-id-zero: 8 corrected: annotation 0, now 1, " in run.output
    assert "fixed: iscrowd-missing: 8 corrected: annotation 1, annotation 2, " in run.output
    assert "fixed: annotation-copy: 6 removed: " in run.output
    assert [a["id"] for a in json.loads(out.read_bytes())["annotations"]] == [1, 2]


REPAIRED: dict[str, tuple[Any, tuple[Any, ...], Any]] = {
    "flat polygon": (
        change("annotations", 2, "segmentation", to=[2, 2, 12, 2, 12, 8]),
        ("annotations", 2, "segmentation"), [[2, 2, 12, 2, 12, 8]],
    ),
    "polygon of points": (
        polygon([2, 2], [12, 2], [12, 8]), ("annotations", 2, "segmentation"), [[2, 2, 12, 2, 12, 8]],
    ),
    "area": (change("annotations", 0, "area", to=600), ("annotations", 0, "area"), 500),
    "box as corners": (
        change("annotations", 0, "bbox", to=[10, 5, 40, 25]), ("annotations", 0, "bbox"), [10, 5, 30, 20],
    ),
    "size swapped": (rle(size=[WIDTH, HEIGHT]), ("annotations", 0, "segmentation"), encode_mask(ring())),
    "mask on its side": (
        change("annotations", 0, "segmentation", to=encode_mask(ring().T)),
        ("annotations", 0, "segmentation"), encode_mask(ring()),
    ),
    "backslashes": (
        change("images", 0, "file_name", to="sub\\c.png"), ("images", 0, "file_name"), "sub/c.png",
    ),
    "absolute": (change("images", 0, "file_name", to="C:\\x\\c.png"), ("images", 0, "file_name"), "c.png"),
    "width a string": (change("images", 0, "width", to="60"), ("images", 0, "width"), 60),
    "reference a string": (
        change("annotations", 0, "category_id", to="1"), ("annotations", 0, "category_id"), 1,
    ),
    "true": (change("annotations", 3, "iscrowd", to=True), ("annotations", 3, "iscrowd"), 1),
}  # fmt: skip


@pytest.mark.parametrize("name", REPAIRED)
def test_fix_restores_the_original_value(name: str) -> None:
    damage, place, expected = REPAIRED[name]
    value: Any = repair(damage(valid_dataset()))[0]
    for key in place:
        value = value[key]
    assert value == expected


def test_annotations_follow_a_renumbered_category() -> None:
    dataset = valid_dataset()
    dataset["categories"][0]["id"] = 0
    for a in dataset["annotations"]:
        a["category_id"] = 0 if a["category_id"] == 1 else a["category_id"]
    fixed, _ = repair(dataset)
    assert [c["id"] for c in fixed["categories"]] == [91, 90]
    assert [a["category_id"] for a in fixed["annotations"]] == [91, 91, 90, 91]


def test_nan_becomes_null(tmp_path: Path) -> None:
    path, out = tmp_path / "broken.json", tmp_path / "fixed.json"
    dataset = valid_dataset()
    dataset["annotations"][0]["score"] = float("nan")
    path.write_text(json.dumps(dataset))
    assert "json-nan" in fix(path, out).output
    assert json.loads(out.read_bytes())["annotations"][0]["score"] is None


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_other_encodings_are_reported_and_rewritten(encoding: str, tmp_path: Path) -> None:
    path, out = tmp_path / "broken.json", tmp_path / "fixed.json"
    path.write_bytes(json.dumps(valid_dataset()).encode(encoding))
    assert CliRunner().invoke(main, ["validate", str(path)]).exit_code == 2
    run = fix(path, out)
    assert run.exit_code == 0 and "json-encoding" in run.output
    assert json.loads(out.read_bytes()) == valid_dataset()


def test_input_file_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(valid_dataset()))
    (tmp_path / "link.json").symlink_to(path)
    (tmp_path / "hard.json").hardlink_to(path)
    for out in (path, tmp_path / "link.json", tmp_path / "hard.json", tmp_path / "a" / ".." / "x.json"):
        run = fix(path, out)
        assert run.exit_code == 2 and "would replace the file itself" in run.output
    assert json.loads(path.read_bytes()) == valid_dataset()


def test_file_that_is_not_json_is_not_repaired(tmp_path: Path) -> None:
    path, out = tmp_path / "x.json", tmp_path / "out.json"
    path.write_text('{"images": [')
    run = fix(path, out)
    assert run.exit_code == 2 and "not-json" in run.output and not out.exists()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(PLACES), json_values), min_size=1, max_size=3))
def test_any_damage_is_repaired_or_reported(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    dataset: Any = valid_dataset()
    for place, value in changes:
        with contextlib.suppress(KeyError, IndexError, TypeError):
            change(*place, to=copy.deepcopy(value))(dataset)
    before = repr(dataset)
    fixed, _ = repair(dataset)
    assert repr(dataset) == before
    left = {f.rule for f in find_problems(fixed)}
    assert left <= NOT_FIXABLE | ACCEPTED, left
    assert repair(fixed)[1] == []


@pytest.mark.slow
def test_large_file_takes_at_most_a_minute_and_half_a_gigabyte(tmp_path: Path) -> None:
    """5,000 images with 50,000 annotations: RLE of ragged outlines and polygons of 60 points, by turns."""
    rng = np.random.default_rng(0)
    masks = [_ragged(rng) for _ in range(50)]
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    annotations = []
    for number in range(1, 50_001):
        segmentation: Any = masks[number % 50]
        if number % 2:
            radius = rng.uniform(30, 60, 60)
            points = np.stack([320 + radius * np.cos(angles), 240 + radius * np.sin(angles)], axis=1)
            segmentation = [points.round(2).ravel().tolist()]
        drawn = segmentation if number % 2 == 0 else mask_utils.frPyObjects(segmentation, 480, 640)[0]
        annotations.append(
            {
                "id": number, "image_id": 1 + number % 5000, "category_id": 1, "iscrowd": 0,
                "area": int(mask_utils.area(drawn)), "bbox": mask_utils.toBbox(drawn).tolist(),
                "segmentation": segmentation,
            }
        )  # fmt: skip
    annotations[7]["area"] = 1
    path, out = tmp_path / "large.json", tmp_path / "fixed.json"
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 640, "height": 480} for n in range(1, 5001)]
    table = {"images": images, "categories": [{"id": 1, "name": "pedestrian"}], "annotations": annotations}
    path.write_text(json.dumps(table))
    code = (
        "import sys, time; from pathlib import Path\n"
        "from pipeline.data.validation.check import validate_file\n"
        "from pipeline.bench.measurement import own_peak_megabytes\n"
        "bad = validate_file(Path(sys.argv[1]), None, Path(sys.argv[2]) if len(sys.argv) > 2 else None)\n"
        "print('used', bad, own_peak_megabytes(), time.process_time())"
    )
    for arguments in ([path], [path, out]):
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        _, bad, megabytes, seconds = done.stdout.splitlines()[-1].split()
        print(f"{len(arguments) - 1} copies: {float(megabytes):.0f} MB, {float(seconds):.1f} s of CPU")
        assert bad == "False" and float(megabytes) <= 500 and float(seconds) <= 60
    assert json.loads(out.read_bytes())["annotations"][7]["area"] > 1


def _ragged(rng: np.random.Generator) -> dict[str, Any]:
    y, x = np.mgrid[:480, :640]
    cx, cy, size = rng.uniform(100, 540), rng.uniform(100, 380), rng.uniform(20, 90)
    mask = np.hypot(x - cx, y - cy) < size * (1 + 0.3 * np.sin(7 * np.arctan2(y - cy, x - cx)))
    return encode_mask(mask & (rng.random(mask.shape) < 0.98))
