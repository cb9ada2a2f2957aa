"""Comparison with a baseline: verdicts, and the paired bootstrap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.config import CocoConfig
from pipeline.data.coco_io import read_coco
from pipeline.data.convert import convert_split
from pipeline.evaluation.bootstrap import Bootstrap, run_bootstrap
from pipeline.evaluation.comparison import compare, verdict
from pipeline.evaluation.matching import evaluate_detections
from tests.helpers.synthetic import perfect_results, write_split


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    split = tmp_path_factory.mktemp("comparison") / "test"
    write_split(split, frames=30, size=(60, 80))
    return read_coco(convert_split(split, CocoConfig()))


def bootstrap(dataset: dict[str, Any], detections: list[dict[str, Any]], resamples: int) -> Bootstrap:
    return run_bootstrap(evaluate_detections(dataset, detections), resamples)


@pytest.mark.parametrize(
    ("recall", "baseline_recall", "expected"), [(1.0, 0.3, "yes"), (0.3, 1.0, "no"), (0.6, 0.6, "undecided")]
)
def test_verdict_follows_from_the_interval_of_the_gain(
    dataset: dict[str, Any], recall: float, baseline_recall: float, expected: str
) -> None:
    rng = np.random.default_rng(0)
    perfect = perfect_results(dataset)
    model, baseline = ([r for r in perfect if rng.random() < share] for share in (recall, baseline_recall))
    comparison = compare(bootstrap(dataset, model, 100), bootstrap(dataset, baseline, 100))
    for table in [*comparison["classes"].values(), comparison["overall"]]:
        segm = table["segm"]
        low, high = segm["gain_interval"]["AP"]
        assert table["verdict"] == expected and low <= segm["gain"]["AP"] <= high


def test_without_resamples_the_verdict_is_undecided(dataset: dict[str, Any]) -> None:
    perfect = perfect_results(dataset)
    comparison = compare(bootstrap(dataset, perfect, 0), bootstrap(dataset, perfect[:5], 0))
    assert comparison["overall"]["segm"]["gain"]["AP"] > 0
    assert comparison["classes"]["pedestrian"]["verdict"] == verdict(None) == "undecided"


def test_a_model_gains_nothing_over_itself(dataset: dict[str, Any]) -> None:
    model = bootstrap(dataset, perfect_results(dataset)[::2], 20)
    segm = compare(model, model)["overall"]["segm"]
    assert segm["gain"]["AP"] == 0 and segm["gain_interval"]["AP"] == [0, 0]


def test_paired_bootstrap_is_tighter_than_unpaired(dataset: dict[str, Any]) -> None:
    """The same images are hard for both models, so the gain has a narrower interval than either figure."""
    detections = [r for r in perfect_results(dataset) if r["image_id"] % 3]
    model = bootstrap(dataset, detections, 200)
    baseline = bootstrap(dataset, detections[:-4], 200)
    low, high = compare(model, baseline)["overall"]["segm"]["gain_interval"]["AP"]
    alone = model.intervals()["overall"]["segm"]["AP"]
    assert high - low < (alone[1] - alone[0]) / 2
