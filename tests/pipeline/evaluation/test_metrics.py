"""Average precision: COCO's numbers, without its traps."""

from __future__ import annotations

import contextlib
import io
import json
import time
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
from pipeline.evaluation.diagnosis import best_threshold
from pipeline.evaluation.metrics import METRICS, bootstrap_intervals, coco_metrics, scene_weights
from tests.helpers.synthetic import perfect_results, write_split


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    split = tmp_path_factory.mktemp("metrics") / "test"
    write_split(split, frames=40, size=(96, 128), objects=6)
    return read_coco(convert_split(split, CocoConfig(min_visible_fraction=0.3)))


def noisy(truth: dict[str, Any], seed: int = 0) -> list[dict[str, Any]]:
    """Objects found more or less, shifted, doubled, in the wrong image, with scores of little meaning."""
    rng = np.random.default_rng(seed)
    results = []
    for result in perfect_results(truth) * 3:
        wrong = rng.random() < 0.4
        moved = {"image_id": int(rng.integers(1, len(truth["images"]) + 1))} if wrong else {}
        x, y, w, h = result["bbox"]
        box = [x + rng.normal(0, w / 8), y + rng.normal(0, h / 8), w, h]
        results.append(result | moved | {"bbox": box, "score": round(float(rng.random()), 2)})
    return results


def rectangle(box: tuple[int, int, int, int], size: tuple[int, int] = (40, 60)) -> dict[str, Any]:
    x, y, w, h = box
    mask = np.zeros(size, np.uint8)
    mask[y : y + h, x : x + w] = 1
    return {"bbox": [float(v) for v in box], "area": w * h, "segmentation": encode_mask(mask)}


def dataset(objects: list[dict[str, Any]], categories: dict[int, str], images: int = 1) -> dict[str, Any]:
    return {
        "images": [{"id": i, "width": 60, "height": 40, "file_name": f"{i}"} for i in range(1, images + 1)],
        "categories": [{"id": i, "name": name} for i, name in categories.items()],
        "annotations": [
            {"id": n, "image_id": 1, "iscrowd": 0} | rectangle((2 * n, 2 * n, 10, 8)) | o
            for n, o in enumerate(objects, start=1)
        ],
    }


def random_case(seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Objects of all sizes, some of them ignore regions, and results near and far."""
    rng = np.random.default_rng(seed)
    size = (200, 260)

    def thing(x: float, y: float, w: float, h: float) -> dict[str, Any]:
        return rectangle((int(x), int(y), max(1, int(w)), max(1, int(h))), size)

    truth: dict[str, Any] = {
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
            number = len(truth["annotations"]) + 1
            crowd = {"id": number, "iscrowd": int(rng.random() < 0.15)}
            truth["annotations"].append(crowd | place | thing(x, y, w, h))
            for _ in range(int(rng.integers(0, 3))):
                dx, dy, dw, dh = rng.normal(0, 4, 4)
                score = {"score": round(float(rng.random()), 1)}
                results.append(place | thing(max(0, x + dx), max(0, y + dy), w + dw, h + dh) | score)
    return truth, results


@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_pycocotools_own_code_path(seed: int) -> None:
    truth, results = random_case(seed)
    scores = coco_metrics(truth, results)
    for iou_type in ("bbox", "segm"):
        # With its box, pycocotools would take a mask's size class from the box's area.
        left_out = ("area", "bbox") if iou_type == "segm" else ("area", "segmentation")
        found = [{k: v for k, v in r.items() if k not in left_out} for r in results]
        with contextlib.redirect_stdout(io.StringIO()):
            reference = COCO()
            reference.dataset = json.loads(json.dumps(truth))
            reference.createIndex()
            evaluation = COCOeval(reference, reference.loadRes(json.loads(json.dumps(found))), iou_type)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        ours = [-1 if v is None else v for v in scores["overall"][iou_type].values()]
        assert ours == pytest.approx(evaluation.stats, abs=1e-9)
        assert 0 < ours[0] < 1 or seed not in range(5)


def test_arguments_are_not_changed(truth: dict[str, Any]) -> None:
    results = noisy(truth)
    before = json.dumps([truth, results])
    coco_metrics(truth, results)
    bootstrap_intervals(truth, results, 5, np.random.default_rng(0))
    best_threshold(truth, results)
    assert json.dumps([truth, results]) == before


def test_nothing_is_printed(truth: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    coco_metrics(truth, noisy(truth))
    bootstrap_intervals(truth, noisy(truth), 2, np.random.default_rng(0))
    assert capsys.readouterr() == ("", "")


def test_no_detections_are_zero_and_no_objects_none() -> None:
    truth = dataset([{"category_id": 1}], {1: "pedestrian", 2: "pallet_truck"})
    scores = coco_metrics(truth, [])
    zeros = dict.fromkeys(METRICS, 0.0) | dict.fromkeys(("APm", "APl", "ARm", "ARl"))  # it is a small one
    assert scores["classes"]["pedestrian"]["segm"] == zeros
    assert scores["classes"]["pallet_truck"]["bbox"] == dict.fromkeys(METRICS)
    assert scores["overall"]["bbox"]["AP"] == 0.0
    nothing = coco_metrics(dataset([], {1: "pedestrian"}), [])
    assert nothing["overall"]["segm"]["AP"] is None
    crowds = dataset([{"category_id": 1, "iscrowd": 1}], {1: "pedestrian"})
    assert coco_metrics(crowds, [])["overall"]["segm"]["AP"] is None
    assert best_threshold(truth, []) == 0.5


def test_foreign_ids_with_gaps_and_zeros() -> None:
    truth = dataset([{"category_id": 90}, {"category_id": 7}, {"category_id": 7}], {90: "b", 0: "c", 7: "a"})
    for number, annotation in enumerate(truth["annotations"]):
        annotation["id"] = number  # from 0: pycocotools would take the first for "unmatched"
    scores = coco_metrics(truth, perfect_results(truth))
    assert scores["classes"]["a"]["segm"]["AP"] == scores["classes"]["b"]["bbox"]["AP"] == 1.0
    assert scores["classes"]["c"]["segm"]["AP"] is None
    assert list(scores["classes"]) == ["c", "a", "b"]


def test_more_than_a_hundred_objects_in_an_image() -> None:
    objects = [rectangle((4 * (n % 15), 4 * (n // 15), 3, 3)) | {"category_id": 1} for n in range(150)]
    truth = dataset(objects, {1: "carton"})
    overall = coco_metrics(truth, perfect_results(truth))["overall"]
    for iou_type in ("bbox", "segm"):
        for metric in ("AP", "AP50", "AP75", "APs", "AR", "ARs"):
            assert overall[iou_type][metric] == 1.0
        assert overall[iou_type]["AR1"] == pytest.approx(1 / 150)
        assert overall[iou_type]["APl"] is None


def test_ignore_regions_cost_nothing() -> None:
    truth = dataset([{"category_id": 1}, {"category_id": 1, "iscrowd": 1}], {1: "a"})
    region = truth["annotations"][1]
    inside = {k: region[k] for k in ("image_id", "category_id", "bbox", "segmentation")} | {"score": 0.99}
    assert coco_metrics(truth, [*perfect_results(truth), inside])["overall"]["segm"]["AP"] == 1.0


def test_holes_count_for_masks_only() -> None:
    ring = np.zeros((40, 60), np.uint8)
    ring[5:35, 5:35] = 1
    full = encode_mask(ring)
    ring[8:32, 8:32] = 0
    truth = dataset([{"category_id": 1, "segmentation": encode_mask(ring), "bbox": [5, 5, 30, 30]}], {1: "a"})
    result = perfect_results(truth)[0] | {"segmentation": full}
    scores = coco_metrics(truth, [result])["overall"]
    assert scores["bbox"]["AP"] == 1.0 and scores["segm"]["AP"] == 0.0


def test_bootstrap_brackets_the_estimate_quickly(truth: dict[str, Any]) -> None:
    results = noisy(truth)
    began = time.monotonic()
    intervals = bootstrap_intervals(truth, results, 200, np.random.default_rng(0))
    assert time.monotonic() - began < 10
    scores = coco_metrics(truth, results)
    for name in scores["classes"]:
        for iou_type in ("bbox", "segm"):
            for metric, value in scores["classes"][name][iou_type].items():
                interval = intervals["classes"][name][iou_type][metric]
                assert (interval is None) == (value is None)
                assert value is None or interval[0] <= value <= interval[1] < interval[0] + 0.4
    again = bootstrap_intervals(truth, results, 200, np.random.default_rng(0))
    assert again == intervals


def test_bootstrap_weighs_images_as_repeating_them_would(truth: dict[str, Any]) -> None:
    """One resample, done by weights, against COCO's evaluation of the images drawn, copied one by one."""
    results = noisy(truth)
    (weights,) = scene_weights(truth, 1, np.random.default_rng(3))
    drawn: dict[str, Any] = truth | {"images": [], "annotations": []}
    found = []
    for image, weight in zip(truth["images"], weights, strict=True):
        for _ in range(int(weight)):
            number = len(drawn["images"]) + 1
            drawn["images"].append(image | {"id": number})
            moved = {"image_id": number}
            drawn["annotations"] += [a | moved for a in truth["annotations"] if a["image_id"] == image["id"]]
            found += [r | moved for r in results if r["image_id"] == image["id"]]
    wanted = coco_metrics(drawn, found)
    table = bootstrap_intervals(truth, results, 1, np.random.default_rng(3))["overall"]["segm"]
    for metric in ("AP", "APs", "APm", "AR1", "AR10", "AR", "ARs"):
        value = wanted["overall"]["segm"][metric]
        assert table[metric] == (None if value is None else pytest.approx([value, value], abs=1e-3)), metric


def test_bootstrap_draws_scenes_not_images(truth: dict[str, Any]) -> None:
    results = noisy(truth)
    one_scene = truth | {"images": [i | {"scene": "hall"} for i in truth["images"]]}
    intervals = bootstrap_intervals(one_scene, results, 20, np.random.default_rng(0))
    assert intervals["overall"]["segm"]["AP"] is None  # one scene says nothing of others
    halves = truth | {"images": [i | {"scene": f"hall{i['id'] % 2}"} for i in truth["images"]]}
    table = bootstrap_intervals(halves, results, 50, np.random.default_rng(0))["overall"]["segm"]
    parts = []
    for rest in (0, 1):
        kept = [i for i in truth["images"] if i["id"] % 2 == rest]
        ids = {i["id"] for i in kept}
        part = truth | {
            "images": kept,
            "annotations": [a for a in truth["annotations"] if a["image_id"] in ids],
        }
        parts.append(
            coco_metrics(part, [r for r in results if r["image_id"] in ids])["overall"]["segm"]["AP"]
        )
    assert table["AP"] == pytest.approx(sorted(parts), abs=1e-3)


def test_best_threshold_parts_right_from_wrong(truth: dict[str, Any]) -> None:
    right = perfect_results(truth)
    for number, result in enumerate(right):
        result["score"] = 0.6 + 0.3 * number / len(right)
    wrong = [
        result | {"score": 0.59 * number / len(right), "image_id": 1} for number, result in enumerate(right)
    ]
    assert best_threshold(truth, right + wrong) == 0.6
    assert best_threshold(truth, wrong[:0]) == 0.5


def test_best_threshold_treats_ties_as_one() -> None:
    truth = dataset([{"category_id": 1}], {1: "a"})
    good = perfect_results(truth)[0]
    bad = good | rectangle((50, 30, 5, 5))
    results = [bad | {"score": 0.8}] * 5 + [good | {"score": 0.8}, bad | {"score": 0.1}]
    assert best_threshold(truth, results) == 0.8


def test_split_folder_round_trip_is_exact(tmp_path: Path) -> None:
    write_split(tmp_path / "val", categories=("pedestrian", "pallet_truck", "forklift"), objects=6)
    truth = read_coco(convert_split(tmp_path / "val", CocoConfig()))
    assert coco_metrics(truth, perfect_results(truth))["overall"]["segm"]["AP"] == 1.0
