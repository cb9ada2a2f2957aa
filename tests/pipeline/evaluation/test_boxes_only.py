"""Annotations and results without masks: boxes are measured, drawn and counted; this is said once."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from pipeline.cli import main
from pipeline.data.coco_io import read_coco
from pipeline.data.rle import box_rle
from pipeline.evaluation.matching import evaluate_detections
from pipeline.evaluation.metrics import compute_metrics
from pipeline.evaluation.summary import summarize
from pipeline.reporting.galleries import image_scores
from pipeline.reporting.mistakes import find_mistakes
from pipeline.viz.overlays import draw_overlays, ground_truth_overlays
from tests.helpers.synthetic import write_split, write_tiny_model
from tests.pipeline.evaluation.cases import CATEGORIES, dataset_of_squares, square

SIZE = (160, 120)
BOXES = ([25, 20, 30, 70], [80, 60, 50, 30])
"""Boxes of a pedestrian and a pallet truck in each image."""


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [*map(str, words)])


def write_boxes(folder: Path, images: int = 3, **segmentation: Any) -> dict[str, Any]:
    """Write images with two boxes each, as a tool for boxes writes them; return the COCO table."""
    (folder / "images").mkdir(parents=True)
    annotations: list[dict[str, Any]] = []
    for image_id in range(1, images + 1):
        Image.new("RGB", SIZE, (90, 90, 90)).save(folder / "images" / f"p{image_id}.jpg")
        for box, category in zip(BOXES, CATEGORIES, strict=True):
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image_id, "category_id": category["id"]}
                | {"iscrowd": 0, "bbox": box, "area": box[2] * box[3], **segmentation}
            )
    table = {
        "images": [
            {"id": n, "file_name": f"p{n}.jpg", "width": SIZE[0], "height": SIZE[1]}
            for n in range(1, images + 1)
        ],
        "annotations": annotations,
        "categories": CATEGORIES,
    }
    (folder / "annotations.json").write_text(json.dumps(table))
    return table


def results_of(table: dict[str, Any]) -> list[dict[str, Any]]:
    keys = ("image_id", "category_id", "bbox")
    return [{key: a[key] for key in keys} | {"score": 0.9} for a in table["annotations"]]


NO_MASK: dict[str, dict[str, Any]] = {
    "missing": {}, "null": {"segmentation": None}, "[]": {"segmentation": []}, "[[]]": {"segmentation": [[]]},
    "{}": {"segmentation": {}},
}  # fmt: skip


@pytest.mark.parametrize("name", NO_MASK)
def test_a_file_of_boxes_is_valid_and_its_boxes_are_measured(name: str, tmp_path: Path) -> None:
    table = write_boxes(tmp_path, **NO_MASK[name])
    file = tmp_path / "annotations.json"
    done = run("validate", file, "--images", tmp_path / "images", "--fix", tmp_path / "fixed.json")
    assert done.exit_code == 0, done.output
    warnings = [line for line in done.output.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1 and "no-mask: 6 of 6 objects have no mask" in warnings[0]
    assert read_coco(tmp_path / "fixed.json")["annotations"] == table["annotations"]
    (tmp_path / "results.json").write_text(json.dumps(results_of(table)))
    done = run(
        "evaluate", "--annotations", file, "--predictions", tmp_path / "results.json", "--out", tmp_path
    )
    assert done.exit_code == 0, done.output
    notes = [line for line in done.output.splitlines() if "mask" in line]
    assert len(notes) == 1 and "boxes are measured, masks are not" in notes[0]
    assert done.output.splitlines()[-2].split()[:3] == ["overall", "6", "1.000"]
    metrics = json.loads((tmp_path / "metrics.json").read_bytes())
    assert metrics["measured"] == ["bbox"] and metrics["iou_type"] == "bbox"
    assert metrics["overall"]["segm"]["AP"] is None
    assert metrics["confusion"]["counts"] == [[3, 0, 0], [0, 3, 0], [0, 0, 0]]


def test_a_model_is_measured_on_boxes_and_stats_preview_and_convert_need_no_mask(tmp_path: Path) -> None:
    write_boxes(tmp_path / "set", segmentation=[])
    write_tiny_model(tmp_path / "model.safetensors")
    source = ("--annotations", tmp_path / "set" / "annotations.json", "--images", tmp_path / "set" / "images")
    done = run(
        "evaluate", tmp_path / "model.safetensors", *source, "--bootstrap", 20, "--out", tmp_path / "e"
    )
    assert done.exit_code == 0, done.output
    assert done.output.count("no object has a mask: boxes are measured, masks are not") == 1
    assert "mask AP" not in done.output and "box AP" in done.output
    done = run("stats", tmp_path / "set", "--out", tmp_path / "stats")
    assert done.exit_code == 0 and done.output.count("6 objects have a box and no mask") == 1, done.output
    done = run("preview", tmp_path / "set", "--out", tmp_path / "sheet.png")
    assert done.exit_code == 0, done.output
    done = run("convert", tmp_path / "set", "--to", "yolo-seg", "--out", tmp_path / "yolo")
    assert done.exit_code == 2 and "6 of 6 objects have no mask, and yolo-seg needs one" in done.output
    assert done.output.count("\n") == 1 and not (tmp_path / "yolo").exists()
    for name in ("coco-polygons", "imagefolder"):
        done = run("convert", tmp_path / "set", "--to", name, "--out", tmp_path / name)
        assert done.exit_code == 0, done.output
    line = (tmp_path / "imagefolder" / "metadata.jsonl").read_text().splitlines()[0]
    objects = json.loads(line)["objects"]
    assert objects["bbox"] == [*BOXES] and objects["segmentation"] == [None, None]


def test_training_on_boxes_alone_is_refused_in_one_line(tmp_path: Path, tiny_profile: Path) -> None:
    for name in ("train", "val"):
        write_split(tmp_path / name)
        assert run("coco", "--profile", tiny_profile, tmp_path / name).exit_code == 0
    write_boxes(tmp_path / "boxes", segmentation=[[]])
    splits = ("--train", tmp_path / "train", "--val", tmp_path / "val", "--out", tmp_path / "out")
    extra = f"{tmp_path / 'boxes' / 'annotations.json'}:{tmp_path / 'boxes' / 'images'}"
    done = run("train", "--profile", tiny_profile, *splits, "--extra", extra)
    assert done.exit_code == 2 and "none of its 6 objects has a mask" in done.output, done.output
    assert done.output.count("\n") == 1 and not (tmp_path / "out").exists()


def test_a_box_beyond_the_image_is_clipped_and_its_area_measured() -> None:
    table = dataset_of_squares([square(20, 2, segmentation=None, bbox=[150, 10, 80, 20])])
    del table["annotations"][0]["area"]
    from pipeline.data.validation.check import repair

    (fixed,) = repair(table)[0]["annotations"]
    assert fixed["bbox"] == [150, 10, 50, 20] and fixed["area"] == 1000


# ------------------------------------------------------------------------------ some objects have masks


def test_results_without_masks_are_measured_as_boxes_on_objects_with_masks() -> None:
    truth = dataset_of_squares([square(0, 2), square(40, 5), square(80, 5)])
    detections = [{k: v for k, v in a.items() if k not in ("segmentation", "area", "id")} | {"score": 0.8}
                  for a in truth["annotations"]]  # fmt: skip
    for mixed in (detections, [square(0, 2, score=0.8), *detections[1:]]):
        metrics = summarize(evaluate_detections(truth, mixed), 0.5)
        assert metrics["measured"] == ["bbox"] and metrics["overall"]["bbox"]["AP"] == 1.0


def test_an_object_without_a_mask_counts_in_box_ap_and_is_ignored_in_mask_ap() -> None:
    truth = dataset_of_squares([square(0, 2), square(40, 2, segmentation=[])])
    before = copy.deepcopy(truth)
    both, other = [square(0, 2, score=0.8), square(40, 2, score=0.9)], square(120, 2, score=0.95)
    metrics = compute_metrics(evaluate_detections(truth, both))["overall"]
    assert metrics["bbox"]["AP"] == metrics["segm"]["AP"] == 1.0
    missed = compute_metrics(evaluate_detections(truth, both[:1]))["overall"]
    assert missed["segm"]["AP"] == 1.0 and 0.5 < missed["bbox"]["AP"] < 0.51
    wrong = compute_metrics(evaluate_detections(truth, [*both, other]))["overall"]
    assert wrong["segm"]["AP"] == pytest.approx(0.5), "a detection of nothing stays a mistake"
    assert truth == before


def test_diagnosis_and_galleries_are_of_boxes_where_masks_are_missing() -> None:
    """The mask of the first detection is of another place, its box is right."""
    truth = dataset_of_squares([square(0, 2), square(40, 5, segmentation=None), square(80, 5)], images=2)
    moved = square(0, 2, score=0.8) | {"segmentation": box_rle([150, 10, 10, 10], 200, 40)}
    evaluation = evaluate_detections(truth, [moved, square(40, 2, score=0.7)])
    metrics = summarize(evaluation, 0.5)
    assert evaluation.iou_type == "bbox" and metrics["measured"] == ["bbox", "segm"]
    assert metrics["confusion"]["counts"] == [[1, 0, 0], [1, 0, 1], [0, 0, 0]]
    assert metrics["best_thresholds"]["pedestrian"]["f1"] > 0.5
    mistakes = find_mistakes(evaluation, 0.5, 9)
    assert [len(mistakes[kind]) for kind in ("false_positive", "missed", "confused")] == [0, 1, 1]
    assert image_scores(evaluation, 0.5)[1].detected == 1


def test_a_box_is_drawn_as_an_outline_and_a_mask_is_filled() -> None:
    table = dataset_of_squares([square(20, 2, segmentation=[]), square(60, 2)])
    overlays = ground_truth_overlays(table["images"][0], table["annotations"], table["categories"], ())
    black = Image.new("RGB", (200, 40))
    pixels = np.asarray(draw_overlays(black, overlays)).any(axis=2)
    assert pixels[10, 20:30].all() and not pixels[11:19, 21:29].any(), "the outline of the box"
    assert pixels[10:20, 60:70].all(), "the mask"
    assert not np.asarray(draw_overlays(black, overlays, masks=False)).any()
