"""Bootstrap intervals: they contain the estimate, resample scenes, and weigh images as copies would."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from pipeline.config import CocoConfig
from pipeline.data.coco_io import read_coco
from pipeline.data.convert import convert_split
from pipeline.evaluation.bootstrap import run_bootstrap, scene_weights
from pipeline.evaluation.matching import evaluate_detections
from pipeline.evaluation.metrics import compute_metrics
from tests.helpers.synthetic import write_split
from tests.pipeline.evaluation.cases import metrics_of, noisy_results


@pytest.fixture(scope="module")
def ground_truth(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    split = tmp_path_factory.mktemp("bootstrap") / "test"
    write_split(split, frames=40, size=(96, 128), objects=6)
    return read_coco(convert_split(split, CocoConfig(min_visible_fraction=0.3)))


def test_intervals_contain_the_estimate_and_are_quick_and_reproducible(ground_truth: dict[str, Any]) -> None:
    evaluation = evaluate_detections(ground_truth, noisy_results(ground_truth))
    start = time.monotonic()
    intervals = run_bootstrap(evaluation, 200).intervals()
    assert time.monotonic() - start < 10
    metrics = compute_metrics(evaluation)
    for name in metrics["classes"]:
        for iou_type in ("bbox", "segm"):
            for metric, value in metrics["classes"][name][iou_type].items():
                interval = intervals["classes"][name][iou_type][metric]
                assert (interval is None) == (value is None)
                assert value is None or interval[0] <= value <= interval[1] < interval[0] + 0.4
    assert run_bootstrap(evaluation, 200).intervals() == intervals


def test_a_resample_gives_the_figures_of_copied_images(ground_truth: dict[str, Any]) -> None:
    """One resample by weights equals COCO's evaluation of the drawn images, each copied as often as drawn."""
    results = noisy_results(ground_truth)
    (weights,) = scene_weights(ground_truth, 1, np.random.default_rng(3))
    copies: dict[str, Any] = ground_truth | {"images": [], "annotations": []}
    copied_results = []
    for image, weight in zip(ground_truth["images"], weights, strict=True):
        for _ in range(int(weight)):
            copy_id = {"image_id": len(copies["images"]) + 1}
            copies["images"].append(image | {"id": copy_id["image_id"]})
            annotations = [a for a in ground_truth["annotations"] if a["image_id"] == image["id"]]
            copies["annotations"] += [a | copy_id for a in annotations]
            copied_results += [r | copy_id for r in results if r["image_id"] == image["id"]]
    expected = metrics_of(copies, copied_results)
    bootstrap = run_bootstrap(evaluate_detections(ground_truth, results), 1, seed=3)
    intervals = bootstrap.intervals()["overall"]["segm"]
    for metric in ("AP", "APs", "APm", "AR1", "AR10", "AR", "ARs"):
        value = expected["overall"]["segm"][metric]
        expected_interval = None if value is None else pytest.approx([value, value], abs=1e-3)
        assert intervals[metric] == expected_interval, metric


def test_scenes_are_drawn_and_not_images(ground_truth: dict[str, Any]) -> None:
    results = noisy_results(ground_truth)
    one_scene = ground_truth | {"images": [i | {"scene": "hall"} for i in ground_truth["images"]]}
    intervals = run_bootstrap(evaluate_detections(one_scene, results), 20).intervals()
    assert intervals["overall"]["segm"]["AP"] is None, "one scene cannot be resampled"
    two_scenes = ground_truth | {
        "images": [i | {"scene": f"hall{i['id'] % 2}"} for i in ground_truth["images"]]
    }
    intervals = run_bootstrap(evaluate_detections(two_scenes, results), 50).intervals()
    halves = []
    for rest in (0, 1):
        images = [i for i in ground_truth["images"] if i["id"] % 2 == rest]
        ids = {i["id"] for i in images}
        annotations = [a for a in ground_truth["annotations"] if a["image_id"] in ids]
        half = ground_truth | {"images": images, "annotations": annotations}
        metrics = metrics_of(half, [r for r in results if r["image_id"] in ids])
        halves.append(metrics["overall"]["segm"]["AP"])
    assert intervals["overall"]["segm"]["AP"] == pytest.approx(sorted(halves), abs=1e-3)
