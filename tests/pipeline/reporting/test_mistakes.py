"""Mistakes: each one has one kind, the worst come first, and crops show their places."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.data.rle import encode_mask
from pipeline.evaluation.matching import EvaluationResult, evaluate_detections
from pipeline.reporting.galleries import mistake_crops
from pipeline.reporting.mistakes import KINDS, find_mistakes

SIZE = (80, 200)


def square(x: int, category: int, side: int = 20, image: int = 1, **more: Any) -> dict[str, Any]:
    """A square at ``x``; ``cut`` keeps only this share of the mask's height."""
    mask = np.zeros(SIZE, np.uint8)
    mask[20 : 20 + round(side * more.pop("cut", 1)), x : x + side] = 1
    box = {"bbox": [float(x), 20.0, float(side), float(side)], "area": int(mask.sum())}
    return {"image_id": image, "category_id": category, "segmentation": encode_mask(mask)} | box | more


@pytest.fixture
def evaluation() -> EvaluationResult:
    objects = [
        square(0, 1),  # 0: detected
        square(30, 1),  # 1: detected as a truck
        square(60, 2),  # 2: detected with half a mask
        square(90, 2, side=10),  # 3: missed
        square(110, 2, side=30),  # 4: missed, larger
        square(150, 1, iscrowd=1),  # 5: an ignore region
        square(0, 1, image=2),  # 6: detected with a bad mask
    ]
    dataset = {
        "images": [
            {"id": i, "file_name": f"{i}.png", "width": SIZE[1], "height": SIZE[0], "layout": "aisle"}
            for i in (1, 2)
        ],
        "categories": [{"id": 1, "name": "pedestrian"}, {"id": 2, "name": "pallet_truck"}],
        "annotations": [{"iscrowd": 0, "distance": 3.0} | a | {"id": n} for n, a in enumerate(objects, 1)],
    }
    detections = [
        square(0, 1, score=0.95),
        square(30, 2, score=0.8),
        square(60, 2, score=0.9, cut=0.45),
        square(150, 1, score=0.99),
        square(50, 1, score=0.6, image=2),  # 4: a false positive
        square(100, 1, score=0.7, image=2),  # 5: another one with a higher score
        square(110, 2, side=30, score=0.2),  # below the threshold
        square(0, 1, score=0.85, cut=0.75, image=2),
    ]
    return evaluate_detections(dataset, detections)


def test_each_mistake_has_one_kind_and_the_worst_come_first(evaluation: EvaluationResult) -> None:
    mistakes = find_mistakes(evaluation, threshold=0.5, count=9)
    assert set(mistakes) == set(KINDS)
    assert [m.detection for m in mistakes["false_positive"]] == [5, 4]
    assert [m.annotation for m in mistakes["missed"]] == [4, 3]
    assert [(m.detection, m.annotation) for m in mistakes["confused"]] == [(1, 1)]
    assert [(m.detection, m.annotation) for m in mistakes["mask"]] == [(2, 2), (7, 6), (0, 0)]
    assert [m.iou for m in mistakes["mask"]] == [0.45, 0.75, 1.0]
    worst = find_mistakes(evaluation, threshold=0.5, count=1)
    assert [len(of_kind) for of_kind in worst.values()] == [1, 1, 1, 1]


def test_without_detections_every_object_is_missed(evaluation: EvaluationResult) -> None:
    dataset = evaluation.ground_truth
    missed = find_mistakes(evaluate_detections(dataset, []), 0.5, 9)["missed"]
    assert [m.annotation for m in missed] == [4, 0, 1, 2, 6, 3]
    empty = find_mistakes(evaluate_detections(dataset | {"annotations": []}, []), 0.5, 9)
    assert empty == {kind: [] for kind in KINDS}


def test_crops_show_the_place_and_describe_the_mistake(evaluation: EvaluationResult, tmp_path: Path) -> None:
    for image in evaluation.ground_truth["images"]:
        Image.new("RGB", SIZE[::-1], (90, 90, 90)).save(tmp_path / image["file_name"])
    mistakes = find_mistakes(evaluation, 0.5, 9)
    crops = {kind: mistake_crops(evaluation, part, 0.5, tmp_path) for kind, part in mistakes.items()}
    texts = {kind: part[0].text for kind, part in crops.items()}
    assert texts == {
        "false_positive": "false positive: pedestrian 0.70",
        "missed": "pallet truck missed",
        "mask": "pallet truck 0.90, mask IoU 0.45",
        "confused": "pedestrian detected as pallet truck 0.80",
    }
    missed, false_positive = crops["missed"][0], crops["false_positive"][0]
    assert missed.factors["distance"] == "3 m" and missed.file_name == "1.png"
    assert "distance" not in false_positive.factors and false_positive.factors["layout"] == "aisle"
    assert coloured(missed.ground_truth) > 0.05 > coloured(missed.detections)
    assert coloured(false_positive.detections) > 0.02 and coloured(false_positive.ground_truth) == 0


def coloured(uri: str) -> float:
    """The share of the middle of an image that is not grey."""
    data = base64.b64decode(uri.partition(",")[2])
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    h, w = pixels.shape[:2]
    middle = pixels[h // 3 : 2 * h // 3, 2 * w // 5 : 3 * w // 5]
    return float((np.ptp(middle, axis=2) > 40).mean())
