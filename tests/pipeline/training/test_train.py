"""Training runs on small images: outputs, resuming, errors."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from pipeline.common.seeds import derive_seed
from pipeline.config import Profile, UserError
from pipeline.inference.predictor import predict_array, predict_coco
from pipeline.models.checkpoint import load_checkpoint, load_model
from pipeline.models.mask_rcnn import LOSSES, SEGMENTATION_LOSSES
from pipeline.training.command import OUTPUTS, train
from pipeline.training.dataset import CocoDataset
from tests.conftest import run
from tests.helpers import training
from tests.helpers.shapes import CLASSES, write_split, write_table
from tests.helpers.training import same_weights, write_splits

PROFILE = training.with_train(epochs=2)


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_splits(tmp_path_factory.mktemp("splits"), train=5)


@pytest.fixture(scope="module")
def trained(splits: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    train(PROFILE, *splits, out)
    return out


def with_train(**changes: object) -> Profile:
    return training.with_train(PROFILE, **changes)


def test_run_writes_metrics_and_checkpoints(trained: Path) -> None:
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert set(lines[0]["losses"]) == {"loss", *LOSSES, *SEGMENTATION_LOSSES}
    assert set(lines[0]["val"]["classes"]) == set(CLASSES)
    model, best = load_model(trained / "model.safetensors")
    last = load_checkpoint(trained / "last.safetensors")
    assert best.resume is None and last.resume is not None and last.epoch == 2
    assert (best.classes, best.images, best.seed) == (CLASSES, 5, 0)
    assert best.start["kind"] == "embedded" and best.start["fallback"] == ""
    assert not model.training


def test_an_unchanged_run_does_nothing_and_imports_no_torch(trained: Path, splits: tuple[Path, Path]) -> None:
    before = {name: (trained / name).stat().st_mtime_ns for name in OUTPUTS}
    program = f"""
import sys
from pathlib import Path
from pipeline.config import *
from pipeline.training.command import train
train({PROFILE!r}, Path({str(splits[0])!r}), Path({str(splits[1])!r}), Path({str(trained)!r}))
assert "torch" not in sys.modules
"""
    done = run("-c", program)
    assert (done.returncode, done.stdout) == (0, "train: up to date\n"), done.stderr
    assert before == {name: (trained / name).stat().st_mtime_ns for name in OUTPUTS}


def test_changed_inputs_start_over(splits: tuple[Path, Path], tmp_path: Path) -> None:
    train(with_train(epochs=1), *splits, tmp_path)
    first = load_checkpoint(tmp_path / "last.safetensors")
    train(with_train(epochs=1, lr=1e-4), *splits, tmp_path)
    second = load_checkpoint(tmp_path / "last.safetensors")
    assert second.epoch == 1 and not same_weights(first, second)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 1


def test_a_damaged_last_checkpoint_starts_over(
    trained: Path, splits: tuple[Path, Path], tmp_path: Path
) -> None:
    for name in OUTPUTS:
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    (tmp_path / "last.safetensors").write_bytes(b"damaged")
    train(PROFILE, *splits, tmp_path)
    first, second = (load_checkpoint(folder / "last.safetensors") for folder in (tmp_path, trained))
    assert same_weights(first, second)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


def test_the_loss_falls_and_objects_are_detected(tmp_path: Path) -> None:
    write_split(tmp_path / "train", 12, seed=1, empty=0)
    profile = with_train(
        epochs=3, passes=2, cache_features=1, lr=2e-3, warmup_iterations=5, flip=0, scale_jitter=(1, 1),
        photometric=0, blur=0, noise=0, jpeg=0, ema=0.8,
    )  # fmt: skip
    train(profile, tmp_path / "train", tmp_path / "train", tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["losses"]["loss"] < 0.5 * lines[0]["losses"]["loss"]
    assert max(line["val"]["overall"]["segm"]["AP50"] for line in lines) > 0.5


def test_a_loss_that_is_not_finite_names_the_images(splits: tuple[Path, Path], tmp_path: Path) -> None:
    profile = with_train(lr=1e30, clip_grad_norm=1e30, warmup_iterations=0, epochs=1, optimizer="sgd")
    with pytest.raises(UserError, match=r"(loss|gradient) is not finite in epoch 1 on 00000\d\.png") as error:
        train(profile, *splits, tmp_path)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_training_without_objects_is_refused_unless_it_is_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_split(tmp_path / "train", 2, empty=2)
    arguments = (with_train(epochs=1), tmp_path / "train", tmp_path / "train", tmp_path / "out")
    with pytest.raises(UserError, match=r"class 'pedestrian', 'pallet_truck': 0 objects in 2 images"):
        train(*arguments)
    assert not list((tmp_path / "out").glob("*"))
    train(*arguments, allow_empty_classes=True)
    captured = capsys.readouterr().err
    assert "warning: class 'pedestrian': 0 objects in 2 validation images" in captured
    checkpoint = load_checkpoint(tmp_path / "out" / "model.safetensors")
    assert checkpoint.metrics["overall"]["segm"]["AP"] is None


def test_a_missing_split_is_named(splits: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent/annotations\.json"):
        train(PROFILE, tmp_path / "absent", splits[1], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_image_stops_training_before_anything_is_written(tmp_path: Path) -> None:
    table = write_split(tmp_path / "train", 3)
    table["images"][1]["file_name"] = "gone.png"
    write_table(tmp_path / "train", table)
    with pytest.raises(UserError, match=r"gone\.png"):
        train(PROFILE, tmp_path / "train", tmp_path / "train", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("warehouse_file")
def test_the_fallback_of_start_weights_is_recorded(
    splits: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    model = dataclasses.replace(PROFILE.model, weights="auto")
    profile = dataclasses.replace(with_train(epochs=1), model=model)
    train(profile, *splits, tmp_path / "out")
    start = load_checkpoint(tmp_path / "out" / "model.safetensors").start
    assert start["kind"] == "warehouse" and "maskrcnn_resnet50_fpn_coco" in start["fallback"]


def test_a_checkpoint_as_start_weights_has_its_own_recipe(
    trained: Path, splits: tuple[Path, Path], tmp_path: Path
) -> None:
    """A checkpoint of the same classes keeps its predictors: fewer epochs, fewer trainable parts."""
    model = dataclasses.replace(PROFILE.model, weights=str(trained / "model.safetensors"))
    profile = dataclasses.replace(
        with_train(epochs=5, pretrained_epochs=1, pretrained_trainable=("heads",), lr=1e-12), model=model
    )
    train(profile, *splits, tmp_path)
    first = load_checkpoint(trained / "model.safetensors")
    second = load_checkpoint(tmp_path / "last.safetensors")
    assert (second.epoch, second.epochs, second.start["kind"]) == (1, 1, "checkpoint")
    key = "roi_heads.box_predictor.cls_score.weight"
    assert torch.allclose(first.state[key], second.state[key], atol=1e-6)
    resume_states = load_checkpoint(trained / "last.safetensors").resume, second.resume
    trains_fpn = [
        any(name.startswith("backbone.fpn.") for name in resume.weights)
        for resume in resume_states
        if resume is not None
    ]
    assert trains_fpn == [True, False]


# ------------------------------------------------------------------------------ parts


def test_predictions_have_the_ids_of_the_file(trained: Path, splits: tuple[Path, Path]) -> None:
    model, _ = load_model(trained / "model.safetensors")
    model.roi_heads.score_thresh = 0.0
    data = CocoDataset(splits[1] / "annotations.json", splits[1] / "images", CLASSES)
    results = predict_coco(model, [(10, data[0][0]), (11, data[1][0])], {1: 7, 2: 3})
    assert {r["image_id"] for r in results} == {10, 11} and {r["category_id"] for r in results} <= {3, 7}
    assert json.loads(json.dumps(results)) == results
    image = (data[0][0].permute(1, 2, 0) * 255).round().byte().numpy()
    detections = predict_array(model, image)
    assert detections.boxes.shape == (len(detections.rles), 4) and detections.labels.min() >= 1
    assert list(detections.scores) == sorted(detections.scores, reverse=True)
    scores = [r["score"] for r in results if r["image_id"] == 10]
    assert scores == pytest.approx(detections.scores.tolist(), abs=1e-4)
    assert detections.rles[0]["size"] == [96, 96] and isinstance(detections.rles[0]["counts"], str)


def test_derived_seeds_differ() -> None:
    assert len({derive_seed(a, b) for a in range(5) for b in range(5)}) == 25
