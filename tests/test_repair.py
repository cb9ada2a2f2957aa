"""Repairing broken COCO files: the copies are sound, load in pycocotools, and score 1.0 on themselves."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from test_validate import BROKEN, HEIGHT, PLACES, WIDTH, change, json_values, sound

from blender.contract import UserError
from pipeline.cli import main
from pipeline.metrics import coco_metrics
from pipeline.repair import repair
from pipeline.validate import find_faults

HOPELESS = ("not-an-object", "list-missing", "no-images", "no-categories")


def perfect(dataset: dict[str, Any]) -> list[dict[str, Any]]:
    """The file's own objects as results."""
    sizes = {i["id"]: (i["height"], i["width"]) for i in dataset["images"]}
    results = []
    for a in dataset["annotations"]:
        segmentation = a["segmentation"]
        if isinstance(segmentation, list):
            segmentation = mask_utils.merge(mask_utils.frPyObjects(segmentation, *sizes[a["image_id"]]))
        elif isinstance(segmentation["counts"], list):
            segmentation = mask_utils.frPyObjects(segmentation, *sizes[a["image_id"]])
        if not a["iscrowd"]:
            results.append({**a, "score": 0.9, "segmentation": segmentation})
    return results


@pytest.mark.parametrize("name", BROKEN)
def test_a_repaired_file_is_sound_and_perfect_against_itself(name: str, tmp_path: Path) -> None:
    rule, harm = BROKEN[name]
    dataset = harm(copy.deepcopy(sound()))
    before = repr(dataset)
    file, out = tmp_path / "broken.json", tmp_path / "fixed.json"
    file.write_text(json.dumps(dataset))
    done = CliRunner().invoke(main, ["validate", str(file), "--fix", str(out)])
    assert repr(dataset) == before and file.read_text() == json.dumps(dataset)
    if rule in HOPELESS:
        assert done.exit_code == 2 and "export it again" in done.output and not out.exists()
        return
    assert done.exit_code == 0, done.output
    assert done.output.count("fixed: ") >= 1 or rule == "no-annotations"
    fixed = json.loads(out.read_text())
    assert [str(f) for f in find_faults(fixed) if f.rule != "no-annotations"] == []
    COCO(str(out))
    scores = coco_metrics(fixed, perfect(fixed))["overall"]
    if any(not a["iscrowd"] for a in fixed["annotations"]):
        assert scores["bbox"]["AP"] == scores["segm"]["AP"] == 1.0
    if rule != "no-annotations":
        assert len(fixed["annotations"]) >= 1


@pytest.mark.parametrize(
    ("name", "annotations"),
    [
        ("bbox as corners", 4),
        ("area of the filled mask", 4),
        ("RLE size swapped", 4),
        ("annotation id 0", 4),
        ("annotation id twice", 4),
        ("category name twice", 4),
        ("file_name twice", 4),
        ("polygon reaches beyond", 4),
        ("crowd with polygons", 4),
        ("annotation twice", 4),
        ("RLE cut off", 3),
        ("polygon of two points", 3),
        ("category unknown", 3),
        ("segmentation missing", 3),
    ],
)
def test_what_can_be_known_is_kept(name: str, annotations: int) -> None:
    fixed, _ = repair(BROKEN[name][1](copy.deepcopy(sound())))
    assert len(fixed["annotations"]) == annotations


def test_a_sound_file_stays_as_it_is() -> None:
    fixed, changes = repair(sound())
    assert fixed == sound() and not changes.found


def test_sizes_are_read_from_the_pictures(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "sub/b.png"):
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / name)
    dataset = sound()
    dataset["images"][0]["width"] = 0
    fixed, changes = repair(dataset, tmp_path)
    assert fixed == sound()
    assert list(changes.found) == ["image-size: read from the picture"]
    (tmp_path / "a.png").unlink()
    fixed, _ = repair(sound(), tmp_path)
    assert [i["id"] for i in fixed["images"]] == [7] and len(fixed["annotations"]) == 2


def test_the_input_is_never_the_output(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps(sound()))
    done = CliRunner().invoke(main, ["validate", str(file), "--fix", str(file)])
    assert done.exit_code == 2 and "never changed" in done.output
    (tmp_path / "b.json").write_text("{not JSON")
    done = CliRunner().invoke(main, ["validate", str(tmp_path / "b.json"), "--fix", str(tmp_path / "c.json")])
    assert done.exit_code == 2 and not (tmp_path / "c.json").exists()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(PLACES), json_values), min_size=1, max_size=3))
def test_nothing_crashes_the_repair(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    dataset: Any = sound()
    for place, value in changes:
        try:
            change(*place, to=copy.deepcopy(value))(dataset)
        except (KeyError, IndexError, TypeError):
            continue
    try:
        fixed, _ = repair(dataset)
    except UserError:
        return
    if fixed["images"] and fixed["categories"]:
        assert [str(f) for f in find_faults(fixed) if f.rule != "no-annotations"] == []
