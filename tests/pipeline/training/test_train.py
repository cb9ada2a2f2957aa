"""Training, for real, on small pictures: it learns, resumes exactly, and stops where it must."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.common.seeds import seed_of
from pipeline.config import Profile, TrainConfig, UserError
from pipeline.inference.predictor import predict_array, predict_coco
from pipeline.models.checkpoint import Checkpoint, load_checkpoint, load_model
from pipeline.training import fit
from pipeline.training.command import OUTPUTS, train
from pipeline.training.dataset import CocoDataset, collate_fn
from pipeline.training.feature_cache import affordable_views, losses, see
from pipeline.training.loop import shuffled
from pipeline.training.schedule import choose_precision, schedule
from tests.conftest import run
from tests.helpers import training
from tests.helpers.shapes import CLASSES, write_split, write_table
from tests.helpers.training import write_splits

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


def same_weights(first: Checkpoint, second: Checkpoint) -> bool:
    return all(torch.equal(first.state[k], second.state[k]) for k in first.state)


def test_what_training_leaves_behind(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    parts = {
        "loss_classifier",
        "loss_box_reg",
        "loss_mask",
        "loss_dice",
        "loss_objectness",
        "loss_rpn_box_reg",
        "loss_pixels",
        "loss_regions",
    }
    assert set(lines[0]["losses"]) == {"loss", *parts}
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


@pytest.mark.slow
def test_kept_features_change_no_step(splits: tuple[Path, Path], tmp_path: Path) -> None:
    """With as many views as epochs nothing is used twice; with one, epoch 2 must do without images."""
    plain, kept, one = (tmp_path / name for name in ("plain", "kept", "one"))
    train(with_train(), *splits, plain)
    train(with_train(cache_features=2), *splits, kept)
    assert same_weights(load_checkpoint(plain / "last.safetensors"), load_checkpoint(kept / "last.safetensors"))
    train(with_train(cache_features=1), *splits, one)
    first, second = ((f / "metrics.jsonl").read_text().splitlines() for f in (plain, one))
    assert json.loads(first[0])["losses"] == json.loads(second[0])["losses"]
    assert json.loads(first[1])["losses"] != json.loads(second[1])["losses"]


@pytest.mark.slow
def test_two_passes_are_two_epochs_validated_once(splits: tuple[Path, Path], tmp_path: Path) -> None:
    plain, double = tmp_path / "plain", tmp_path / "double"
    train(with_train(), *splits, plain)
    train(with_train(epochs=1, passes=2), *splits, double)
    assert same_weights(load_checkpoint(plain / "last.safetensors"), load_checkpoint(double / "last.safetensors"))
    assert len((double / "metrics.jsonl").read_text().splitlines()) == 1


def test_views_are_few_where_memory_is_short(
    splits: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    train_set = CocoDataset(splits[0] / "annotations.json", splits[0] / "images", CLASSES)
    config = dataclasses.replace(PROFILE.train, cache_features=3)
    device = torch.device("cpu")
    start = fit.fresh(PROFILE, 5, "key", device)
    model = fit.restore(start, config, device)[0].model
    assert affordable_views(model, train_set, config, device) == 3
    image, target = train_set[0]
    each = see(model.train(), [image], [target]).bytes()
    assert each > 96 * 96 * 24 / 16
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_PHYS_PAGES": 5 * each * 3, "SC_PAGE_SIZE": 1}[name])
    assert affordable_views(model, train_set, config, device) <= 2
    assert affordable_views(model, train_set, config, torch.device("cuda")) == 0
    with pytest.raises(ValueError, match="frozen stage1"):
        TrainConfig(cache_features=1, trainable=("heads", "fpn", "stage1"))


def test_a_view_is_the_model_cut_in_two(splits: tuple[Path, Path]) -> None:
    train_set = CocoDataset(splits[0] / "annotations.json", splits[0] / "images", CLASSES)
    model = fit.restore(
        fit.fresh(PROFILE, 5, "key", torch.device("cpu")), PROFILE.train, torch.device("cpu")
    )[0].model
    images, targets = collate_fn([train_set[0], train_set[1]])
    model.train()
    torch.manual_seed(1)
    whole = model(images, [dict(t) for t in targets])
    torch.manual_seed(1)
    parts = losses(model, see(model, images, [dict(t) for t in targets]))
    assert set(whole) == set(parts)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_each_place_in_a_batch_has_images_of_its_own() -> None:
    groups = shuffled(7, 2, np.random.default_rng(0))
    assert sorted(i for group in groups for i in group) == list(range(7))
    assert [len(group) for group in groups] == [2, 2, 2, 1]
    assert all(i % 2 == place for group in groups for place, i in enumerate(group))
    assert groups != shuffled(7, 2, np.random.default_rng(1))


def test_another_input_starts_over(splits: tuple[Path, Path], tmp_path: Path) -> None:
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
    assert same_weights(load_checkpoint(tmp_path / "last.safetensors"), load_checkpoint(trained / "last.safetensors"))
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


def test_it_learns(tmp_path: Path) -> None:
    write_split(tmp_path / "train", 12, seed=1, empty=0)
    profile = with_train(
        epochs=4, passes=2, cache_features=1, lr=2e-3, warmup_iterations=5, flip=0, scale_jitter=(1, 1),
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


def test_images_without_objects_train(tmp_path: Path) -> None:
    write_split(tmp_path / "train", 2, empty=2)
    train(with_train(epochs=1), tmp_path / "train", tmp_path / "train", tmp_path / "out")
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


def test_fallback_is_recorded_in_the_checkpoint(
    splits: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    model = dataclasses.replace(PROFILE.model, weights="auto")
    profile = dataclasses.replace(with_train(epochs=1), model=model)
    train(profile, *splits, tmp_path / "out")
    start = load_checkpoint(tmp_path / "out" / "model.safetensors").start
    assert start["kind"] == "embedded" and "maskrcnn_resnet50_fpn_coco" in start["fallback"]


# ------------------------------------------------------------------------------ pieces


def test_predictions_come_under_the_files_own_ids(trained: Path, splits: tuple[Path, Path]) -> None:
    model, _ = load_model(trained / "model.safetensors")
    model.roi_heads.score_thresh = 0.0
    data = CocoDataset(splits[1] / "annotations.json", splits[1] / "images", CLASSES)
    results = predict_coco(model, [(10, data[0][0]), (11, data[1][0])], {1: 7, 2: 3})
    assert {r["image_id"] for r in results} == {10, 11} and {r["category_id"] for r in results} <= {3, 7}
    assert json.loads(json.dumps(results)) == results
    image = (data[0][0].permute(1, 2, 0) * 255).round().byte().numpy()
    found = predict_array(model, image)
    assert found.boxes.shape == (len(found.rles), 4) and found.labels.min() >= 1
    assert list(found.scores) == sorted(found.scores, reverse=True)
    assert [r["score"] for r in results if r["image_id"] == 10] == pytest.approx(
        found.scores.tolist(), abs=1e-4
    )
    assert found.rles[0]["size"] == [96, 96] and isinstance(found.rles[0]["counts"], str)


def test_the_rate_warms_up_and_falls_to_one_percent() -> None:
    config = TrainConfig(warmup_iterations=10)
    rates = [schedule(step, 100, config) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 11) and max(rates) == rates[10] == 1
    assert rates[10:] == sorted(rates[10:], reverse=True) and rates[-1] == pytest.approx(0.01, abs=1e-3)
    assert max(schedule(step, 8, TrainConfig(warmup_iterations=1000)) for step in range(8)) == 1


def test_a_start_that_detects_has_a_recipe_of_its_own(
    trained: Path, splits: tuple[Path, Path], tmp_path: Path
) -> None:
    """A checkpoint of the same classes goes on with its predictors: fewer epochs, fewer parts."""
    model = dataclasses.replace(PROFILE.model, weights=str(trained / "model.safetensors"))
    profile = dataclasses.replace(
        with_train(epochs=5, pretrained_epochs=1, pretrained_trainable=("heads",), lr=1e-12), model=model
    )
    train(profile, *splits, tmp_path)
    first, second = load_checkpoint(trained / "model.safetensors"), load_checkpoint(tmp_path / "last.safetensors")
    assert (second.epoch, second.epochs, second.start["kind"]) == (1, 1, "checkpoint")
    key = "roi_heads.box_predictor.cls_score.weight"
    assert torch.allclose(first.state[key], second.state[key], atol=1e-6)
    learnt = load_checkpoint(trained / "last.safetensors").resume, second.resume
    assert [any(n.startswith("backbone.fpn.") for n in one["weights"]) for one in learnt if one] == [
        True,
        False,
    ]


def test_seeds_and_precision() -> None:
    assert len({seed_of(a, b) for a in range(5) for b in range(5)}) == 25
    assert choose_precision("fp32", torch.device("cpu")) == "fp32"
    assert choose_precision("auto", torch.device("cpu")) in ("fp32", "bf16")
