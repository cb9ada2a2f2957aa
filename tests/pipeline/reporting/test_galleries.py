"""Galleries: images ranked by panoptic quality."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config import CocoConfig
from pipeline.data.coco_io import read_coco
from pipeline.data.convert import convert_split
from pipeline.data.rle import encode_mask
from pipeline.evaluation.matching import evaluate_detections
from pipeline.reporting.galleries import ImageScore, best_and_worst, image_scores
from tests.helpers.synthetic import perfect_results, write_split


def square(x: int, category: int, height: int = 20, **more: Any) -> dict[str, Any]:
    """A square of 20 pixels, or a part of it, in an image of 200x40 pixels."""
    mask = np.zeros((40, 200), np.uint8)
    mask[10 : 10 + height, x : x + 20] = 1
    shape = {"bbox": [float(x), 10.0, 20.0, float(height)], "segmentation": encode_mask(mask)}
    return {"image_id": 1, "category_id": category, "area": 20 * height} | shape | more


def score_of(objects: list[dict[str, Any]], detections: list[dict[str, Any]]) -> ImageScore | None:
    dataset = {
        "images": [{"id": 1, "width": 200, "height": 40, "file_name": "1.png"}],
        "categories": [{"id": 1, "name": "pedestrian"}, {"id": 2, "name": "pallet_truck"}],
        "annotations": [{"id": n, "iscrowd": 0} | o for n, o in enumerate(objects, 1)],
    }
    return image_scores(evaluate_detections(dataset, detections), 0.5).get(1)


def test_panoptic_quality_equals_a_calculation_by_hand() -> None:
    """Two matches with IoU 1 and 0.6, a missed object and two false positives: 1.6 / (2 + 1 + 0.5)."""
    objects = [square(0, 1), square(30, 1), square(60, 2)]
    detections = [
        square(0, 1, score=0.9),
        square(30, 1, height=12, score=0.8),
        square(60, 1, score=0.7),  # another class
        square(150, 2, score=0.6),
        square(60, 2, score=0.4),  # below the threshold
    ]
    score = score_of(objects, detections)
    assert score is not None
    assert (score.detected, score.missed, score.false_positives) == (2, 1, 2)
    assert abs(score.quality - 1.6 / 3.5) < 1e-9


def test_detections_in_ignore_regions_do_not_count() -> None:
    objects = [square(0, 1, iscrowd=1), square(30, 1)]
    for category in (1, 2):
        detections = [square(0, category, score=0.9), square(30, 1, score=0.9)]
        assert score_of(objects, detections) == ImageScore(1.0, 1, 0, 0), "of any class"
    assert score_of([], []) is None
    assert score_of(objects[:1], []) is None


def test_best_and_worst_images_are_ranked_by_quality(tmp_path: Path) -> None:
    write_split(tmp_path / "test", frames=5)
    dataset = read_coco(convert_split(tmp_path / "test", CocoConfig()))
    images = tmp_path / "test" / "images"
    results = perfect_results(dataset)
    wrong = [r | {"image_id": 1} for r in results if r["image_id"] == 2]  # image 1 is empty
    results = [r for r in results if r["image_id"] != 2] + wrong
    low_scores = [r | {"image_id": 3, "score": 0.1} for r in wrong]
    best, worst = best_and_worst(evaluate_detections(dataset, results + low_scores), 0.5, 2, images)
    assert {p.file_name for p in best} <= {"000002.png", "000003.png", "000004.png"}
    assert [p.score for p in best] == [ImageScore(1.0, 3, 0, 0)] * 2
    assert {p.file_name: p.score for p in worst} == {
        "000000.png": ImageScore(0.0, 0, 0, 3),
        "000001.png": ImageScore(0.0, 0, 3, 0),
    }
    parts = best_and_worst(evaluate_detections(dataset, []), 0.5, 10, images)
    assert [len(part) for part in parts] == [2, 2], "no image is in both"
