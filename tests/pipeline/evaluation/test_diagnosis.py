"""Precision-recall curves, thresholds, confusion and calibration, on cases that can be counted by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.config import CocoConfig
from pipeline.data.coco_io import read_coco
from pipeline.data.convert import convert_split
from pipeline.evaluation.bootstrap import run_bootstrap
from pipeline.evaluation.confusion import confusion_matrix
from pipeline.evaluation.diagnosis import best_threshold, best_thresholds, calibration, precision_recall
from pipeline.evaluation.masks import with_rle
from pipeline.evaluation.matching import EvaluationResult, evaluate_detections
from pipeline.evaluation.summary import summarize
from tests.helpers.synthetic import perfect_results, write_split
from tests.pipeline.evaluation.cases import dataset_of_squares, rectangle, small_dataset, square


@pytest.fixture
def evaluation() -> EvaluationResult:
    """Two pedestrians, one detected as a truck; a truck detected twice; one missed; an ignore region."""
    objects = [square(0, 2), square(20, 2), square(40, 5), square(60, 5), square(80, 2, iscrowd=1)]
    detections = [
        square(0, 2, score=0.9),
        square(20, 5, score=0.8),
        square(40, 5, score=0.7),
        square(41, 5, score=0.6),
        square(80, 2, score=0.95),
        square(100, 2, score=0.65),
        square(60, 5, score=0.1),
    ]
    return evaluate_detections(dataset_of_squares(objects), detections)


def test_confusion_matrix_counts_each_object_and_each_detection_once(evaluation: EvaluationResult) -> None:
    table = confusion_matrix(evaluation, 0.5)
    assert table["names"] == ["pedestrian", "pallet_truck", "background"]
    assert table["counts"] == [[1, 1, 0], [0, 1, 1], [1, 1, 0]]
    assert confusion_matrix(evaluation, 0.0)["counts"] == [[1, 1, 0], [0, 2, 0], [1, 1, 0]]


def test_calibration_error_is_the_mean_gap_between_score_and_precision(evaluation: EvaluationResult) -> None:
    table = calibration(evaluation)
    counts = {b["low"]: (b["count"], b["precision"]) for b in table["bins"]}
    # The detection in the ignore region does not count.
    assert counts == {0.1: (1, 1.0), 0.6: (2, 0.0), 0.7: (1, 1.0), 0.8: (1, 0.0), 0.9: (1, 1.0)}
    gaps = 0.9 + 2 * 0.625 + 0.3 + 0.8 + 0.1
    assert table["ece"] == pytest.approx(gaps / 6)
    ground_truth = evaluation.ground_truth
    calibrated = evaluate_detections(ground_truth, [evaluation.detections[0] | {"score": 1.0}])
    assert calibration(calibrated)["ece"] == 0
    assert calibration(evaluate_detections(ground_truth, [])) == {"ece": None, "bins": []}


def test_each_class_has_its_own_best_threshold(evaluation: EvaluationResult) -> None:
    best = best_thresholds(evaluation)
    assert best["pedestrian"] == {
        "score": 0.9,
        "f1": pytest.approx(2 / 3, abs=1e-6),
        "precision": 1.0,
        "recall": 0.5,
    }
    assert best["pallet_truck"]["score"] == 0.1 and best["pallet_truck"]["recall"] == 1.0


def test_interpolated_precision_falls_with_recall(evaluation: EvaluationResult) -> None:
    curve = precision_recall(evaluation)["pallet_truck"]["segm"]
    assert len(curve) == 101 and curve == sorted(curve, reverse=True)
    assert curve[0] == 0.5 and curve[100] == 0.5
    assert precision_recall(evaluation)["pedestrian"]["segm"][51:] == [0.0] * 50


def test_best_threshold_separates_correct_from_wrong_detections(tmp_path: Path) -> None:
    write_split(tmp_path / "test", frames=6, objects=6)
    ground_truth = read_coco(convert_split(tmp_path / "test", CocoConfig()))
    correct = perfect_results(ground_truth)
    for number, result in enumerate(correct):
        result["score"] = 0.6 + 0.3 * number / len(correct)
    wrong = [
        result | {"score": 0.59 * number / len(correct), "image_id": 1}
        for number, result in enumerate(correct)
    ]
    assert best_threshold(evaluate_detections(ground_truth, correct + wrong)) == 0.6
    assert best_threshold(evaluate_detections(ground_truth, [])) == 0.5


def test_best_threshold_includes_all_detections_of_one_score() -> None:
    ground_truth = small_dataset([{"category_id": 1}], {1: "a"})
    good = perfect_results(ground_truth)[0]
    bad = good | rectangle((50, 30, 5, 5))
    detections = [bad | {"score": 0.8}] * 5 + [good | {"score": 0.8}, bad | {"score": 0.1}]
    assert best_threshold(evaluate_detections(ground_truth, detections)) == 0.8


@pytest.mark.parametrize(
    ("objects", "detections"),
    [
        ([], []),
        ([], [square(0, 2, score=0.9)]),
        ([square(0, 2)], []),
        ([square(0, 2, iscrowd=1)], [square(0, 2, score=0.9)]),
    ],
)
def test_summary_without_objects_or_detections_is_complete(
    objects: list[dict[str, Any]], detections: list[dict[str, Any]]
) -> None:
    evaluation = evaluate_detections(dataset_of_squares(objects, images=2), detections)
    table = summarize(evaluation, 0.5, run_bootstrap(evaluation, 10))
    measured = any(not o.get("iscrowd") for o in objects)
    assert table["overall"]["segm"]["AP"] == (0.0 if measured else None)
    false_positives = int(bool(detections) and not objects)
    assert table["confusion"]["counts"][-1] == [false_positives, 0, 0]
    assert sum(map(sum, table["confusion"]["counts"])) == false_positives + measured
    assert (table["precision_recall"]["pedestrian"]["segm"] is None) == (not measured)


def test_confusion_matrix_counts_more_than_a_hundred_objects() -> None:
    objects = [square(x, 2) | {"bbox": [float(x), 10.0, 10.0, 10.0]} for x in range(150)]
    detections = [o | {"score": 0.9} for o in objects]
    table = summarize(evaluate_detections(dataset_of_squares(objects), detections), 0.5)
    assert table["overall"]["segm"]["AP"] == 1.0
    assert table["confusion"]["counts"][0] == [150, 0, 0] and table["confusion"]["counts"][2] == [0, 0, 0]


def test_polygons_and_uncompressed_rle_become_compressed_rle() -> None:
    polygon = [[0.0, 10.0, 10.0, 10.0, 10.0, 20.0, 0.0, 20.0]]
    counts = {"size": [40, 200], "counts": [40 * 200 - 5, 5]}
    dataset = dataset_of_squares([square(0, 2, segmentation=polygon), square(20, 2, segmentation=counts)])
    first, second = with_rle(dataset)["annotations"]
    expected = square(0, 2)["segmentation"]
    assert first["segmentation"] == expected | {"counts": expected["counts"].encode()}
    assert isinstance(second["segmentation"]["counts"], bytes)
    assert dataset["annotations"][0]["segmentation"] == polygon
