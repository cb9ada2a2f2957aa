"""The score threshold is chosen on the validation split and on a split of ordinary frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.config import CocoConfig, Profile
from pipeline.data.convert import convert_split
from pipeline.models.checkpoint import load_checkpoint
from pipeline.training.command import train
from pipeline.training.epoch_validation import (
    choose_threshold,
    compute_validation_metrics,
    read_threshold_set,
)
from tests.helpers import training
from tests.helpers.synthetic import CATEGORIES, perfect_results, write_split, write_tiny_model
from tests.helpers.training import same_weights

PROFILE = Profile(name="t", seed=0, classes=CATEGORIES, splits={"val": 2})


def write_splits(folder: Path) -> tuple[Path, Path]:
    """Write a validation split and ordinary frames; return their folders."""
    for seed, name in enumerate(("val", "ordinary")):
        write_split(folder / name, frames=2, seed=seed, size=(60, 80))
        convert_split(folder / name, CocoConfig())
    return folder / "val", folder / "ordinary"


def test_false_alarms_in_ordinary_frames_raise_the_threshold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the objects have a lower score than the false alarms of the ordinary frames."""
    val, ordinary = write_splits(tmp_path)
    model = tmp_path / "model.safetensors"
    write_tiny_model(model, score_threshold=0.3)
    before = load_checkpoint(model)

    def results(_model: Any, dataset: Any, *_: Any) -> list[dict[str, Any]]:
        found = perfect_results(dataset.coco)
        for number, result in enumerate(found):
            result["score"] = 0.4 if number % 2 else 0.8
        corner = {"bbox": [0, 0, 2, 2], "score": 0.6}
        alarms = [r | corner for r in found if dataset.combined.set_numbers[r["image_id"]] == 1]
        return found + alarms * 4

    monkeypatch.setattr("pipeline.training.epoch_validation.predict_dataset", results)
    choose_threshold(model, read_threshold_set(PROFILE, val, ordinary), "fp32", torch.device("cpu"))
    after = load_checkpoint(model)
    assert after.score_threshold == 0.8 and same_weights(before, after)
    assert after.metrics == before.metrics and after.epoch == before.epoch


def test_the_threshold_can_be_chosen_by_the_first_classes_alone(tmp_path: Path) -> None:
    """Objects of the first class have a score of 0.7, those of others one of 0.4."""
    val, ordinary = write_splits(tmp_path)
    dataset = read_threshold_set(PROFILE, val, ordinary)
    results = perfect_results(dataset.coco)
    for result in results:
        result["score"] = 0.7 if dataset.labels[result["category_id"]] == 1 else 0.4
    metrics, threshold = compute_validation_metrics(dataset, results)
    assert list(metrics["classes"]) == list(CATEGORIES) and threshold == 0.4
    metrics, threshold = compute_validation_metrics(dataset, results, main_classes=1)
    assert list(metrics["classes"]) == [CATEGORIES[0]] and threshold == 0.7


def test_a_threshold_set_without_annotations_is_named_before_training(
    tiny_profile: Path, tmp_path: Path
) -> None:
    val, ordinary = write_splits(tmp_path)
    (ordinary / "annotations.json").unlink()
    splits = ("--train", val, "--val", val, "--threshold-set", ordinary, "--out", tmp_path / "out")
    done = CliRunner().invoke(main, ["train", "--profile", str(tiny_profile), *map(str, splits)])
    assert done.exit_code == 2 and "no such annotation file" in done.output, done.output
    assert done.output.count("\n") == 1 and not (tmp_path / "out").exists()


@pytest.mark.slow
def test_training_with_a_threshold_set_changes_the_threshold_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = training.with_train(epochs=1)
    splits = training.write_splits(tmp_path)
    train(profile, *splits, tmp_path / "plain")
    train(profile, *splits, tmp_path / "out", threshold_dir=splits[0])
    assert "train: score threshold" in capsys.readouterr().out
    plain, chosen = (load_checkpoint(tmp_path / n / "model.safetensors") for n in ("plain", "out"))
    assert same_weights(plain, chosen) and plain.metrics == chosen.metrics
    train(profile, *splits, tmp_path / "out", threshold_dir=splits[0])
    assert capsys.readouterr().out == "train: up to date\n"
