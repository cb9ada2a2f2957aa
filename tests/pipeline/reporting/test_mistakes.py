"""Mistakes: the right ones, the gravest first, each once, cut out where they are."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.data.rle import encode_mask
from pipeline.reporting.crops import mistake_crops
from pipeline.reporting.mistakes import KINDS, find_mistakes

SIZE = (80, 200)


def thing(x: int, category: int, side: int = 20, image: int = 1, **more: Any) -> dict[str, Any]:
    """A square at ``x``, or what is left of it by ``cut``, a share of its height."""
    mask = np.zeros(SIZE, np.uint8)
    mask[20 : 20 + round(side * more.pop("cut", 1)), x : x + side] = 1
    box = {"bbox": [float(x), 20.0, float(side), float(side)], "area": int(mask.sum())}
    return {"image_id": image, "category_id": category, "segmentation": encode_mask(mask)} | box | more


@pytest.fixture
def case() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    truths = [
        thing(0, 1),  # 0: found
        thing(30, 1),  # 1: taken for a truck
        thing(60, 2),  # 2: found with half a mask
        thing(90, 2, side=10),  # 3: missed
        thing(110, 2, side=30),  # 4: missed, and larger
        thing(150, 1, iscrowd=1),  # 5: ignored
        thing(0, 1, image=2),  # 6: found, not well
    ]
    dataset = {
        "images": [
            {"id": i, "file_name": f"{i}.png", "width": SIZE[1], "height": SIZE[0], "layout": "aisle"}
            for i in (1, 2)
        ],
        "categories": [{"id": 1, "name": "pedestrian"}, {"id": 2, "name": "pallet_truck"}],
        "annotations": [{"iscrowd": 0, "distance": 3.0} | a | {"id": n} for n, a in enumerate(truths, 1)],
    }
    results = [
        thing(0, 1, score=0.95),
        thing(30, 2, score=0.8),
        thing(60, 2, score=0.9, cut=0.45),
        thing(150, 1, score=0.99),
        thing(50, 1, score=0.6, image=2),  # 4: a false alarm
        thing(100, 1, score=0.7, image=2),  # 5: a surer one
        thing(110, 2, side=30, score=0.2),  # too unsure to count
        thing(0, 1, score=0.85, cut=0.75, image=2),
    ]
    return dataset, results


def test_each_mistake_is_of_one_kind_and_the_gravest_is_first(case: Any) -> None:
    found = find_mistakes(*case, threshold=0.5, count=9)
    assert set(found) == set(KINDS)
    assert [m.result for m in found["false"]] == [5, 4]
    assert [m.truth for m in found["missed"]] == [4, 3]
    assert [(m.result, m.truth) for m in found["confused"]] == [(1, 1)]
    assert [(m.result, m.truth) for m in found["mask"]] == [(2, 2), (7, 6), (0, 0)]
    assert [m.iou for m in found["mask"]] == [0.45, 0.75, 1.0]
    assert [len(part) for part in find_mistakes(*case, threshold=0.5, count=1).values()] == [1, 1, 1, 1]


def test_nothing_is_no_mistake(case: Any) -> None:
    dataset, _ = case
    assert [m.truth for m in find_mistakes(dataset, [], 0.5, 9)["missed"]] == [4, 0, 1, 2, 6, 3]
    empty = find_mistakes(dataset | {"annotations": []}, [], 0.5, 9)
    assert empty == {kind: [] for kind in KINDS}


def test_crops_show_the_place_and_say_what_is_wrong(case: Any, tmp_path: Path) -> None:
    dataset, results = case
    for image in dataset["images"]:
        Image.new("RGB", SIZE[::-1], (90, 90, 90)).save(tmp_path / image["file_name"])
    found = find_mistakes(dataset, results, 0.5, 9)
    crops = {k: mistake_crops(dataset, results, part, 0.5, tmp_path) for k, part in found.items()}
    texts = {kind: part[0].text for kind, part in crops.items()}
    assert texts == {
        "false": "false alarm: pedestrian 0.70",
        "missed": "pallet truck missed",
        "mask": "pallet truck 0.90, mask IoU 0.45",
        "confused": "pedestrian taken for pallet truck 0.80",
    }
    assert crops["missed"][0].factors["distance"] == "3 m" and crops["missed"][0].file_name == "1.png"
    assert "distance" not in crops["false"][0].factors and crops["false"][0].factors["layout"] == "aisle"
    truth, prediction = (coloured(uri) for uri in (crops["missed"][0].truth, crops["missed"][0].prediction))
    assert truth > 0.05 > prediction
    assert coloured(crops["false"][0].prediction) > 0.02 and coloured(crops["false"][0].truth) == 0


def coloured(uri: str) -> float:
    """The share of a picture's middle that is not grey."""
    data = base64.b64decode(uri.partition(",")[2])
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    h, w = pixels.shape[:2]
    middle = pixels[h // 3 : 2 * h // 3, 2 * w // 5 : 3 * w // 5]
    return float((np.ptp(middle, axis=2) > 40).mean())
