"""One evaluation pass: COCOeval runs once for boxes and once for masks, whatever is computed from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from pipeline.config import CocoConfig, EvaluateConfig, ExtraSet, Profile
from pipeline.data.combine import NamedSet
from pipeline.data.convert import convert_split
from pipeline.evaluation.evaluate import evaluate, evaluate_results
from pipeline.evaluation.matching import IGNORED, MISSED, evaluate_detections
from pipeline.reporting.report import write_report
from pipeline.training.command import train
from tests.helpers.synthetic import CATEGORIES, write_split, write_tiny_model
from tests.helpers.training import with_train, write_splits
from tests.pipeline.evaluation.cases import dataset_of_squares, square


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The IoU type of each run of COCOeval."""
    calls: list[str] = []

    def count(method: Callable[[COCOeval], None]) -> Callable[[COCOeval], None]:
        def counted(self: COCOeval) -> None:
            calls.append(f"{method.__name__} {self.params.iouType}")
            method(self)

        return counted

    for method in (COCOeval.evaluate, COCOeval.accumulate):
        monkeypatch.setattr(COCOeval, method.__name__, count(method))
    return calls


ONE_PASS = ["evaluate bbox", "accumulate bbox", "evaluate segm", "accumulate segm"]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A run with three splits and a model."""
    for seed, split in enumerate(("train", "val", "test")):
        write_split(tmp_path / split, frames=3, seed=seed, size=(60, 80))
        convert_split(tmp_path / split, CocoConfig())
    start = {"kind": "embedded", "source": "Lite2", "fallback": ""}
    write_tiny_model(tmp_path / "model.safetensors", start=start)
    return tmp_path


def sets_of(run_dir: Path) -> tuple[NamedSet]:
    files = ExtraSet(str(run_dir / "test" / "annotations.json"), str(run_dir / "test" / "images"))
    return (NamedSet("test", (files,)),)


def test_evaluate_runs_cocoeval_once_per_iou_type_and_model(run_dir: Path, runs: list[str]) -> None:
    evaluate(run_dir / "model.safetensors", sets_of(run_dir), run_dir / "evaluation", 5)
    assert runs == ONE_PASS
    runs.clear()
    evaluate_results(run_dir / "evaluation" / "predictions.json", sets_of(run_dir)[0], None, 5)
    assert runs == ONE_PASS
    runs.clear()
    evaluate(run_dir / "model.safetensors", sets_of(run_dir), None, 5, baseline="start")
    assert runs == ONE_PASS * 2


def test_report_matches_masks_once(run_dir: Path, runs: list[str]) -> None:
    evaluate(run_dir / "model.safetensors", sets_of(run_dir), run_dir / "evaluation", 0)
    (run_dir / "metrics.jsonl").write_text("")
    runs.clear()
    splits = dict.fromkeys(("train", "val", "test"), 3)
    config = EvaluateConfig(gallery=1)
    write_report(Profile(name="p", seed=0, classes=CATEGORIES, splits=splits, evaluate=config), run_dir)
    assert runs == ONE_PASS[2:]


def test_a_training_epoch_runs_cocoeval_once_per_iou_type(tmp_path: Path, runs: list[str]) -> None:
    train(with_train(epochs=1), *write_splits(tmp_path, train=2), tmp_path / "out")
    lines = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    assert set(json.loads(lines[0])["val"]) == {"classes", "overall"}
    assert runs == ONE_PASS


def test_matches_name_the_pairs_of_detections_and_annotations() -> None:
    objects = [square(0, 2), square(20, 2), square(40, 5), square(60, 2, iscrowd=1)]
    detections = [
        square(60, 2, score=0.95),  # in the ignore region
        square(41, 5, score=0.9),
        square(1, 2, score=0.8),
        square(0, 2, score=0.3),  # a better mask with a lower score
        square(100, 5, score=0.7),
    ]
    matches = evaluate_detections(dataset_of_squares(objects), detections).matches
    assert matches.detection_of.tolist() == [2, -1, 1, -1]
    assert matches.annotation_of.tolist() == [-1, 2, 0, -1, -1]
    assert matches.counted.tolist() == [False, True, True, True, True]
    at_085 = matches.at_threshold(0.85)
    assert at_085.detection_of.tolist() == [MISSED, MISSED, 1, IGNORED]
    assert np.flatnonzero(at_085.missed).tolist() == [0, 1]
    assert np.flatnonzero(at_085.true_positive).tolist() == [1]
    assert np.flatnonzero(at_085.false_positive).tolist() == []
    assert np.flatnonzero(matches.at_threshold(0.0).false_positive).tolist() == [3, 4]


def test_boxes_can_be_left_out(runs: list[str]) -> None:
    evaluation = evaluate_detections(dataset_of_squares([square(0, 2)]), [], boxes=False)
    assert runs == ONE_PASS[2:] and set(evaluation.iou_types) == {"segm"}
