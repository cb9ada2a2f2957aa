"""AP and AR: the same figures as pycocotools, and its pitfalls avoided."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipeline.config import CocoConfig
from pipeline.data.coco_io import read_coco
from pipeline.data.convert import convert_split
from pipeline.data.rle import encode_mask
from pipeline.evaluation.bootstrap import run_bootstrap
from pipeline.evaluation.diagnosis import best_threshold
from pipeline.evaluation.matching import evaluate_detections
from pipeline.evaluation.metrics import METRICS
from pipeline.evaluation.summary import summarize
from tests.helpers.synthetic import perfect_results, write_split
from tests.pipeline.evaluation.cases import (
    metrics_of,
    noisy_results,
    random_case,
    rectangle,
    small_dataset,
)


@pytest.mark.parametrize("seed", range(20))
def test_overall_figures_equal_those_of_pycocotools(seed: int) -> None:
    ground_truth, results = random_case(seed)
    metrics = metrics_of(ground_truth, results)
    for iou_type in ("bbox", "segm"):
        # If results have a box, pycocotools takes the size class of a mask from the area of the box.
        left_out = ("area", "bbox") if iou_type == "segm" else ("area", "segmentation")
        detections = [{k: v for k, v in r.items() if k not in left_out} for r in results]
        with contextlib.redirect_stdout(io.StringIO()):
            reference = COCO()
            reference.dataset = json.loads(json.dumps(ground_truth))
            reference.createIndex()
            loaded = reference.loadRes(json.loads(json.dumps(detections)))
            coco_eval = COCOeval(reference, loaded, iou_type)
            coco_eval.evaluate()
            coco_eval.accumulate()
            coco_eval.summarize()
        figures = [-1 if v is None else v for v in metrics["overall"][iou_type].values()]
        assert figures == pytest.approx(coco_eval.stats, abs=1e-9)
        assert 0 < figures[0] < 1 or seed not in range(5)


@pytest.fixture(scope="module")
def ground_truth(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    split = tmp_path_factory.mktemp("metrics") / "test"
    write_split(split, frames=8, size=(96, 128), objects=6)
    return read_coco(convert_split(split, CocoConfig(min_visible_fraction=0.3)))


def test_evaluation_changes_no_argument_and_prints_nothing(
    ground_truth: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    results = noisy_results(ground_truth)
    before = json.dumps([ground_truth, results])
    evaluation = evaluate_detections(ground_truth, results)
    summarize(evaluation, best_threshold(evaluation), run_bootstrap(evaluation, 5))
    assert json.dumps([ground_truth, results]) == before
    assert capsys.readouterr() == ("", "")


def test_no_detections_give_zero_and_no_objects_give_none() -> None:
    ground_truth = small_dataset([{"category_id": 1}], {1: "pedestrian", 2: "pallet_truck"})
    metrics = metrics_of(ground_truth, [])
    zeros = dict.fromkeys(METRICS, 0.0) | dict.fromkeys(("APm", "APl", "ARm", "ARl"))  # the object is small
    assert metrics["classes"]["pedestrian"]["segm"] == zeros
    assert metrics["classes"]["pallet_truck"]["bbox"] == dict.fromkeys(METRICS)
    assert metrics["overall"]["bbox"]["AP"] == 0.0
    assert metrics_of(small_dataset([], {1: "pedestrian"}), [])["overall"]["segm"]["AP"] is None
    crowds = small_dataset([{"category_id": 1, "iscrowd": 1}], {1: "pedestrian"})
    assert metrics_of(crowds, [])["overall"]["segm"]["AP"] is None
    assert best_threshold(evaluate_detections(ground_truth, [])) == 0.5


def test_category_and_annotation_ids_may_be_zero_and_have_gaps() -> None:
    objects = [{"category_id": 90}, {"category_id": 7}, {"category_id": 7}]
    ground_truth = small_dataset(objects, {90: "b", 0: "c", 7: "a"})
    for number, annotation in enumerate(ground_truth["annotations"]):
        annotation["id"] = number  # from 0: pycocotools takes the first for "not matched"
    metrics = metrics_of(ground_truth, perfect_results(ground_truth))
    assert metrics["classes"]["a"]["segm"]["AP"] == metrics["classes"]["b"]["bbox"]["AP"] == 1.0
    assert metrics["classes"]["c"]["segm"]["AP"] is None
    assert list(metrics["classes"]) == ["c", "a", "b"]


def test_more_than_a_hundred_objects_in_an_image_all_count() -> None:
    objects = [rectangle((4 * (n % 15), 4 * (n // 15), 3, 3)) | {"category_id": 1} for n in range(150)]
    ground_truth = small_dataset(objects, {1: "carton"})
    overall = metrics_of(ground_truth, perfect_results(ground_truth))["overall"]
    for iou_type in ("bbox", "segm"):
        for metric in ("AP", "AP50", "AP75", "APs", "AR", "ARs"):
            assert overall[iou_type][metric] == 1.0
        assert overall[iou_type]["AR1"] == pytest.approx(1 / 150)
        assert overall[iou_type]["APl"] is None


def test_detections_in_ignore_regions_do_not_lower_ap() -> None:
    ground_truth = small_dataset([{"category_id": 1}, {"category_id": 1, "iscrowd": 1}], {1: "a"})
    region = ground_truth["annotations"][1]
    inside = {k: region[k] for k in ("image_id", "category_id", "bbox", "segmentation")} | {"score": 0.99}
    results = [*perfect_results(ground_truth), inside]
    assert metrics_of(ground_truth, results)["overall"]["segm"]["AP"] == 1.0


def test_a_filled_hole_lowers_mask_ap_and_not_box_ap() -> None:
    ring = np.zeros((40, 60), np.uint8)
    ring[5:35, 5:35] = 1
    full = encode_mask(ring)
    ring[8:32, 8:32] = 0
    square = {"category_id": 1, "segmentation": encode_mask(ring), "bbox": [5, 5, 30, 30]}
    ground_truth = small_dataset([square], {1: "a"})
    result = perfect_results(ground_truth)[0] | {"segmentation": full}
    metrics = metrics_of(ground_truth, [result])["overall"]
    assert metrics["bbox"]["AP"] == 1.0 and metrics["segm"]["AP"] == 0.0


def test_a_converted_split_detected_perfectly_has_ap_one(tmp_path: Path) -> None:
    write_split(tmp_path / "val", categories=("pedestrian", "pallet_truck", "forklift"), objects=6)
    ground_truth = read_coco(convert_split(tmp_path / "val", CocoConfig()))
    assert metrics_of(ground_truth, perfect_results(ground_truth))["overall"]["segm"]["AP"] == 1.0
