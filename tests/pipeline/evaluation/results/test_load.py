"""Evaluation of a COCO results file: the same figures as with the model, and errors that name the result."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pipeline.cli import main
from pipeline.config import CocoConfig
from pipeline.data.coco_io import read_coco
from pipeline.data.convert import convert_split
from tests.helpers.synthetic import perfect_results, write_split, write_tiny_model


@pytest.fixture
def split(tmp_path: Path) -> Path:
    write_split(tmp_path / "test")
    convert_split(tmp_path / "test", CocoConfig())
    return tmp_path / "test"


def evaluate(split: Path, *options: object) -> Result:
    words = ["--annotations", split / "annotations.json", "--bootstrap", "20", *options]
    return CliRunner().invoke(main, ["evaluate", *map(str, words)])


def test_predictions_of_a_model_give_the_figures_of_the_model(split: Path, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model.safetensors")
    first, second = tmp_path / "of-model", tmp_path / "of-results"
    done = evaluate(split, "--images", split / "images", "--out", first, tmp_path / "model.safetensors")
    assert done.exit_code == 0, done.output
    done = evaluate(split, "--predictions", first / "predictions.json", "--out", second)
    assert done.exit_code == 0, done.output
    tables = [json.loads((out / "metrics.json").read_bytes()) for out in (first, second)]
    for key in ("classes", "overall", "images", "predictions", "precision_recall", "calibration"):
        assert tables[0][key] == tables[1][key], key


def test_results_need_neither_boxes_nor_images(split: Path, tmp_path: Path) -> None:
    results = perfect_results(read_coco(split / "annotations.json"))
    without_boxes = [{key: value for key, value in r.items() if key != "bbox"} for r in results]
    (tmp_path / "results.json").write_text(json.dumps(without_boxes))
    shutil.rmtree(split / "images")
    done = evaluate(split, "--predictions", tmp_path / "results.json")
    assert done.exit_code == 0 and "overall" in done.output
    assert done.output.splitlines()[-1].split()[2] == "1.000"


def test_results_are_read_from_json_lines_and_from_a_dataset_with_other_ids(
    split: Path, tmp_path: Path
) -> None:
    dataset = read_coco(split / "annotations.json")
    results = perfect_results(dataset)
    lines, other = tmp_path / "results.jsonl", tmp_path / "detections.json"
    lines.write_text("\ufeff" + "\n".join(map(json.dumps, results)) + "\n\n", "utf-8")
    moved = {
        "images": [i | {"id": f"i{i['id']}"} for i in dataset["images"]],
        "categories": [c | {"id": 9 - c["id"]} for c in dataset["categories"]],
        "annotations": [
            r | {"image_id": f"i{r['image_id']}", "category_id": 9 - r["category_id"]} for r in results
        ],
    }
    other.write_text(json.dumps(moved))
    for file in (lines, other):
        done = evaluate(split, "--predictions", file)
        assert done.exit_code == 0 and done.output.splitlines()[-1].split()[2] == "1.000", done.output


FAULTY: dict[str, tuple[Any, str]] = {
    "no list": ({"results": []}, "not a COCO results file: the top level must be a list"),
    "no object": ([3], "result 0: 3 is not an object"),
    "image": ([{"image_id": 99}], "result 0: image_id 99 is not in the annotation file"),
    "category": ([{"image_id": 1, "category_id": None}], "category_id None is not in the annotation file"),
    "score": ([{"image_id": 1, "category_id": 1, "score": float("nan")}], "score nan is not a number"),
    "mask": (
        [{"image_id": 1, "category_id": 1, "score": 1, "segmentation": {"size": [2, 2], "counts": "0"}}],
        "result 0: ",
    ),
}


@pytest.mark.parametrize("name", FAULTY)
def test_faulty_results_are_named_in_one_line(name: str, split: Path, tmp_path: Path) -> None:
    table, message = FAULTY[name]
    (tmp_path / "results.json").write_text(json.dumps(table))
    done = evaluate(split, "--predictions", tmp_path / "results.json", "--out", tmp_path / "out")
    assert done.exit_code == 2 and message in done.output and done.output.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_evaluate_needs_either_a_model_with_images_or_predictions(split: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    write_tiny_model(model)
    for words in ((), (model,), (model, "--predictions", "results.json")):
        done = evaluate(split, *words)
        assert done.exit_code == 2 and "--predictions" in done.output
