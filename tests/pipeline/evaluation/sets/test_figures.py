"""The figures of one set at a score threshold: recall, precision, false alarms per image, intervals."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.evaluation.bootstrap import run_bootstrap
from pipeline.evaluation.matching import evaluate_detections
from pipeline.evaluation.sets.false_alarms import worst_false_alarms
from pipeline.evaluation.sets.figures import set_figures
from tests.pipeline.evaluation.cases import dataset_of_squares, square


def figures_of(truth: dict[str, Any], detections: list[dict[str, Any]], resamples: int = 0) -> Any:
    evaluation = evaluate_detections(truth, detections)
    return set_figures("set", evaluation, 0.5, run_bootstrap(evaluation, resamples))


def test_recall_precision_and_false_alarms_count_detections_at_the_threshold() -> None:
    """Of the detections of people one is right, one lies in an ignore region, and two match nothing.

    One of these two is below the threshold. The truck is found twice: its second detection is a false alarm.
    """
    truth = dataset_of_squares(
        [square(0, 2), square(40, 2), square(80, 2, iscrowd=1), square(0, 5)], images=4
    )
    detections = [
        square(0, 2, score=0.9), square(80, 2, score=0.8), square(120, 2, image=3, score=0.5),
        square(160, 2, image=3, score=0.49), square(0, 5, score=0.9), square(0, 5, score=0.6),
    ]  # fmt: skip
    classes = figures_of(truth, detections)["classes"]
    keys = ("objects", "recall", "precision", "false_alarms")
    assert [classes["pedestrian"][key] for key in keys] == [2, 0.5, 0.5, 0.25]
    assert [classes["pallet_truck"][key] for key in keys] == [1, 1.0, 0.5, 0.25]
    worst = worst_false_alarms(evaluate_detections(truth, detections), 0.5)
    assert [detections[n]["score"] for n in worst] == [0.6, 0.5]
    assert worst_false_alarms(evaluate_detections(truth, detections), 0.5, count=1) == worst[:1]


def test_a_set_with_boxes_has_box_figures_and_a_mask_elsewhere_is_no_false_alarm() -> None:
    boxes = dataset_of_squares([square(0, 2, segmentation=[])])
    table = figures_of(boxes, [square(0, 2, score=0.9)])["classes"]["pedestrian"]
    assert table["bbox"]["AP50"] == table["recall"] == 1.0 and "segm" not in table
    masks = dataset_of_squares([square(0, 2)])
    moved = square(0, 2, score=0.9) | {"segmentation": square(100, 2)["segmentation"]}
    table = figures_of(masks, [moved])["classes"]["pedestrian"]
    assert table["recall"] == 1.0 and table["false_alarms"] == 0 and table["segm"]["AP50"] == 0


def test_a_set_without_objects_has_false_alarms_alone() -> None:
    truth = dataset_of_squares([], images=5)
    table = figures_of(truth, [square(0, 5, image=2, score=0.7)], resamples=50)["classes"]["pallet_truck"]
    assert table["false_alarms"] == 0.2 and table["precision"] == 0 and table["recall"] is None
    low, high = table["false_alarms_interval"]
    assert low == 0 and 0.2 < high <= 1 and table["recall_interval"] is None
    quiet = figures_of(truth, [])["classes"]["pallet_truck"]
    assert quiet["false_alarms"] == 0 and quiet["precision"] is None and quiet["bbox"]["AP50"] is None


def test_intervals_are_over_scenes_not_images() -> None:
    """Twenty images with a false alarm each are one scene of two: the interval is as wide as that of two."""
    truth = dataset_of_squares([], images=40)
    alarms = [square(0, 2, image=n, score=0.9) for n in range(1, 21)]
    alone = figures_of(truth, alarms, resamples=100)["classes"]["pedestrian"]
    for image in truth["images"]:
        image["scene"] = "a" if image["id"] <= 20 else "b"
    together = figures_of(truth, alarms, resamples=100)
    assert together["scenes"] == 2 and together["images"] == 40
    table = together["classes"]["pedestrian"]
    assert alone["false_alarms"] == table["false_alarms"] == pytest.approx(0.5)
    assert table["false_alarms_interval"] == [0, 1]
    low, high = alone["false_alarms_interval"]
    assert 0.3 < low < 0.5 < high < 0.7
