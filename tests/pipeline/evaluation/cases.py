"""Ground truth and detections for the tests of evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.data.rle import encode_mask
from pipeline.evaluation.matching import evaluate_detections
from pipeline.evaluation.metrics import compute_metrics
from tests.helpers.synthetic import perfect_results

CATEGORIES = [{"id": 2, "name": "pedestrian"}, {"id": 5, "name": "pallet_truck"}]


def metrics_of(ground_truth: dict[str, Any], detections: list[dict[str, Any]]) -> dict[str, Any]:
    """COCO's figures of detections."""
    return compute_metrics(evaluate_detections(ground_truth, detections))


def noisy_results(ground_truth: dict[str, Any], seed: int = 0) -> list[dict[str, Any]]:
    """Three detections for each object: boxes shifted, some in the wrong image, with random scores."""
    rng = np.random.default_rng(seed)
    results = []
    for result in perfect_results(ground_truth) * 3:
        wrong = rng.random() < 0.4
        moved = {"image_id": int(rng.integers(1, len(ground_truth["images"]) + 1))} if wrong else {}
        x, y, w, h = result["bbox"]
        box = [x + rng.normal(0, w / 8), y + rng.normal(0, h / 8), w, h]
        results.append(result | moved | {"bbox": box, "score": round(float(rng.random()), 2)})
    return results


def rectangle(box: tuple[int, int, int, int], size: tuple[int, int] = (40, 60)) -> dict[str, Any]:
    """Box, area and mask of a rectangle (x, y, w, h) in an image of ``size`` (height, width)."""
    x, y, w, h = box
    mask = np.zeros(size, np.uint8)
    mask[y : y + h, x : x + w] = 1
    return {"bbox": [float(v) for v in box], "area": w * h, "segmentation": encode_mask(mask)}


def small_dataset(objects: list[dict[str, Any]], categories: dict[int, str]) -> dict[str, Any]:
    """One image of 60x40 pixels with objects; each is a rectangle unless it says otherwise."""
    return {
        "images": [{"id": 1, "width": 60, "height": 40, "file_name": "1"}],
        "categories": [{"id": i, "name": name} for i, name in categories.items()],
        "annotations": [
            {"id": n, "image_id": 1, "iscrowd": 0} | rectangle((2 * n, 2 * n, 10, 8)) | o
            for n, o in enumerate(objects, start=1)
        ],
    }


def random_case(seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Objects of all sizes, some of them ignore regions, and detections with random offsets and scores."""
    rng = np.random.default_rng(seed)
    size = (200, 260)

    def random_rectangle(x: float, y: float, w: float, h: float) -> dict[str, Any]:
        return rectangle((int(x), int(y), max(1, int(w)), max(1, int(h))), size)

    ground_truth: dict[str, Any] = {
        "images": [{"id": i, "width": 260, "height": 200, "file_name": f"{i}"} for i in range(1, 7)],
        "categories": [{"id": 3, "name": "a"}, {"id": 8, "name": "b"}, {"id": 9, "name": "c"}],
        "annotations": [],
    }
    results = []
    for image in range(1, 7):
        for _ in range(int(rng.integers(0, 9))):
            w, h = rng.uniform(8, 130, 2)
            x, y = rng.uniform(0, 250 - w), rng.uniform(0, 190 - h)
            place = {"image_id": image, "category_id": int(rng.choice([3, 8]))}
            number = len(ground_truth["annotations"]) + 1
            crowd = {"id": number, "iscrowd": int(rng.random() < 0.15)}
            ground_truth["annotations"].append(crowd | place | random_rectangle(x, y, w, h))
            for _ in range(int(rng.integers(0, 3))):
                dx, dy, dw, dh = rng.normal(0, 4, 4)
                score = {"score": round(float(rng.random()), 1)}
                shape = random_rectangle(max(0, x + dx), max(0, y + dy), w + dw, h + dh)
                results.append(place | shape | score)
    return ground_truth, results


def square(x: int, category: int, image: int = 1, **more: Any) -> dict[str, Any]:
    """A square of 10 pixels at ``x`` in an image of 200x40 pixels, with ``more`` fields."""
    place = {"image_id": image, "category_id": category}
    return place | rectangle((x, 10, 10, 10), (40, 200)) | more


def dataset_of_squares(objects: list[dict[str, Any]], images: int = 1) -> dict[str, Any]:
    """Images of 200x40 pixels with these objects, of ``CATEGORIES``."""
    size = {"width": 200, "height": 40}
    return {
        "images": [{"id": i, "file_name": f"{i}.png", **size} for i in range(1, images + 1)],
        "categories": CATEGORIES,
        "annotations": [{"iscrowd": 0} | o | {"id": n} for n, o in enumerate(objects, start=1)],
    }
