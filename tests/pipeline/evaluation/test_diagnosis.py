"""Precision by recall, thresholds, confusion and calibration, on cases that can be counted by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.data.rle import encode_mask
from pipeline.evaluation.diagnosis import best_thresholds, calibration, confusion, precision_recall
from pipeline.evaluation.intervals import effective, gap_interval, wilson
from pipeline.evaluation.matching import find_matches, with_rle
from pipeline.evaluation.summary import judge

CATEGORIES = [{"id": 2, "name": "pedestrian"}, {"id": 5, "name": "pallet_truck"}]


def thing(x: int, category: int, image: int = 1, **more: Any) -> dict[str, Any]:
    """A square of 10 pixels at ``x``."""
    mask = np.zeros((40, 200), np.uint8)
    mask[10:20, x : x + 10] = 1
    return {
        "image_id": image,
        "category_id": category,
        "bbox": [float(x), 10.0, 10.0, 10.0],
        "area": 100,
        "segmentation": encode_mask(mask),
        **more,
    }


def truth(objects: list[dict[str, Any]], images: int = 1) -> dict[str, Any]:
    sizes = {"width": 200, "height": 40}
    return {
        "images": [{"id": i, "file_name": f"{i}.png", **sizes} for i in range(1, images + 1)],
        "categories": CATEGORIES,
        "annotations": [{"iscrowd": 0} | o | {"id": n} for n, o in enumerate(objects, start=1)],
    }


@pytest.fixture
def case() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Two people, of whom one is taken for a truck; a truck found twice; one missed; an ignore region."""
    objects = [thing(0, 2), thing(20, 2), thing(40, 5), thing(60, 5), thing(80, 2, iscrowd=1)]
    results = [
        thing(0, 2, score=0.9),
        thing(20, 5, score=0.8),
        thing(40, 5, score=0.7),
        thing(41, 5, score=0.6),
        thing(80, 2, score=0.95),
        thing(100, 2, score=0.65),
        thing(60, 5, score=0.1),
    ]
    return truth(objects), results


def test_confusion_counts_each_object_and_each_detection_once(case: Any) -> None:
    dataset, results = case
    table = confusion(dataset, results, find_matches(dataset, results), 0.5)
    assert table["names"] == ["pedestrian", "pallet_truck", "background"]
    assert table["counts"] == [[1, 1, 0], [0, 1, 1], [1, 1, 0]]
    all_kept = confusion(dataset, results, find_matches(dataset, results), 0.0)
    assert all_kept["counts"] == [[1, 1, 0], [0, 2, 0], [1, 1, 0]]


def test_calibration_is_the_gap_between_score_and_precision(case: Any) -> None:
    dataset, results = case
    table = calibration(results, find_matches(dataset, results))
    counts = {b["low"]: (b["count"], b["precision"]) for b in table["bins"]}
    # The one in the ignore region counts neither way.
    assert counts == {0.1: (1, 1.0), 0.6: (2, 0.0), 0.7: (1, 1.0), 0.8: (1, 0.0), 0.9: (1, 1.0)}
    gaps = 0.9 + 2 * 0.625 + 0.3 + 0.8 + 0.1
    assert table["ece"] == pytest.approx(gaps / 6)
    honest = [r | {"score": 1.0} for r in results[:1]]
    assert calibration(honest, find_matches(dataset, honest))["ece"] == 0
    assert calibration([], find_matches(dataset, [])) == {"ece": None, "bins": []}


def test_thresholds_are_each_classs_own(case: Any) -> None:
    dataset, results = case
    best = best_thresholds(dataset, results)
    assert best["pedestrian"] == {
        "score": 0.9,
        "f1": pytest.approx(2 / 3, abs=1e-6),
        "precision": 1.0,
        "recall": 0.5,
    }
    assert best["pallet_truck"]["score"] == 0.1 and best["pallet_truck"]["recall"] == 1.0


def test_precision_falls_with_recall(case: Any) -> None:
    dataset, results = case
    line = precision_recall(dataset, results)["pallet_truck"]["segm"]
    assert len(line) == 101 and line == sorted(line, reverse=True)
    assert line[0] == 0.5 and line[100] == 0.5
    assert precision_recall(dataset, results)["pedestrian"]["segm"][51:] == [0.0] * 50


@pytest.mark.parametrize(
    ("objects", "found"),
    [
        ([], []),
        ([], [thing(0, 2, score=0.9)]),
        ([thing(0, 2)], []),
        ([thing(0, 2, iscrowd=1)], [thing(0, 2, score=0.9)]),
    ],
)
def test_nothing_to_count_is_no_crash(objects: list[dict[str, Any]], found: list[dict[str, Any]]) -> None:
    table = judge(truth(objects, images=2), found, 10, 0.5)
    measured = any(not o.get("iscrowd") for o in objects)
    assert table["overall"]["segm"]["AP"] == (0.0 if measured else None)
    false = int(bool(found) and not objects)
    assert table["confusion"]["counts"][-1] == [false, 0, 0]
    assert sum(map(sum, table["confusion"]["counts"])) == false + measured
    assert (table["precision_recall"]["pedestrian"]["segm"] is None) == (not measured)


def test_more_than_a_hundred_objects_are_all_found() -> None:
    objects = [thing(x, 2) | {"bbox": [float(x), 10.0, 10.0, 10.0]} for x in range(150)]
    results = [o | {"score": 0.9} for o in objects]
    table = judge(truth(objects), results, 0, 0.5)
    assert table["overall"]["segm"]["AP"] == 1.0
    assert table["confusion"]["counts"][0] == [150, 0, 0] and table["confusion"]["counts"][2] == [0, 0, 0]


def test_polygons_and_uncompressed_rle_become_rle() -> None:
    square = [[0.0, 10.0, 10.0, 10.0, 10.0, 20.0, 0.0, 20.0]]
    counts = {"size": [40, 200], "counts": [40 * 200 - 5, 5]}
    dataset = truth([thing(0, 2, segmentation=square), thing(20, 2, segmentation=counts)])
    first, second = with_rle(dataset)["annotations"]
    assert first["segmentation"] == thing(0, 2)["segmentation"] | {
        "counts": thing(0, 2)["segmentation"]["counts"].encode()
    }
    assert isinstance(second["segmentation"]["counts"], bytes)
    assert dataset["annotations"][0]["segmentation"] == square


def test_wilson_and_newcombe_against_published_numbers() -> None:
    """Newcombe 1998, tables I (a share) and II (a difference)."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(0, 0) == (0.0, 1.0)
    from pipeline.evaluation.intervals import Share

    low, high = gap_interval(Share(48 / 80, 80), Share(56 / 70, 70))
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert gap_interval(Share(0.0, 0), Share(1.0, 5)) == (-1.0, 1.0)


def test_what_fails_together_counts_less() -> None:
    hits = np.repeat([True, False, True, False], 10)
    assert effective(hits, range(40)).count == pytest.approx(39, abs=1.1)
    assert effective(hits, np.repeat(np.arange(4), 10).tolist()).count == pytest.approx(3)
    assert effective(np.ones(40, bool), [1] * 20 + [2] * 20).count == 2
    assert effective(np.zeros(0, bool), []).count == 0
