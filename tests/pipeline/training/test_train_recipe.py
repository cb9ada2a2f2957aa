"""The keys of [train]: accumulation, unfreezing, learning rates, patience, clipping, models, compilation."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.config import ModelConfig
from pipeline.models.checkpoint import Checkpoint, load_checkpoint, model_from_checkpoint
from pipeline.training.command import train
from pipeline.training.param_groups import parts_of
from pipeline.training.train_state import initial_checkpoint
from tests.helpers.training import same_weights, with_train, write_splits

PROFILE = with_train(epochs=1, ema=0.0)


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_splits(tmp_path_factory.mktemp("splits"))


@pytest.fixture(scope="module")
def start() -> Checkpoint:
    """The checkpoint before the first step."""
    return initial_checkpoint(PROFILE, 4, "hash", torch.device("cpu"))


def run(
    splits: tuple[Path, Path], out: Path, model: ModelConfig = PROFILE.model, **changes: Any
) -> Checkpoint:
    """Train with some keys changed; return the last checkpoint."""
    train(dataclasses.replace(with_train(PROFILE, **changes), model=model), *splits, out)
    return load_checkpoint(out / "last.safetensors")


def network_of(checkpoint: Checkpoint) -> torch.nn.Module:
    return model_from_checkpoint(checkpoint, Path("last.safetensors"))


def changed_parts(start: Checkpoint, last: Checkpoint) -> set[str]:
    """Return the parts of the network with weights that training changed."""
    part_of = parts_of(network_of(last))
    return {part_of[k] for k, v in start.state.items() if not torch.equal(v, last.state[k])}


@pytest.mark.slow
def test_accumulating_two_batches_equals_a_batch_of_twice_the_size(
    splits: tuple[Path, Path], tmp_path: Path
) -> None:
    two = run(splits, tmp_path / "two", batch_size=2)
    assert same_weights(two, run(splits, tmp_path / "accumulated", batch_size=1, accumulate=2))
    assert not same_weights(two, run(splits, tmp_path / "one", batch_size=1))


@pytest.mark.slow
def test_unfrozen_parts_change_from_their_epoch_on(
    splits: tuple[Path, Path], start: Checkpoint, tmp_path: Path
) -> None:
    recipe: dict[str, Any] = {"trainable": ("heads",), "unfreeze": {"fpn": 2, "stage4": 3}}
    changed = []
    for epochs in (1, 2, 3):
        # The learning rates depend on the number of epochs, so each is a run of its own.
        last = run(splits, tmp_path / str(epochs), epochs=epochs, **recipe)
        changed.append(changed_parts(start, last))
    assert changed == [{"heads"}, {"heads", "fpn"}, {"heads", "fpn", "stage4"}]


def test_a_part_with_learning_rate_zero_does_not_change(
    splits: tuple[Path, Path], start: Checkpoint, tmp_path: Path
) -> None:
    assert changed_parts(start, run(splits, tmp_path, lr_factors={"fpn": 0.0})) == {"heads"}


@pytest.mark.slow
def test_patience_stops_a_run_that_does_not_improve(
    splits: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a tiny learning rate no epoch is better than the first."""
    last = run(splits, tmp_path, epochs=6, patience=2, lr=1e-12)
    assert (last.epoch, last.epochs) == (3, 6)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["best"] for line in lines] == [True, False, False]
    assert "stopping early: 2 epochs without a better mask AP" in capsys.readouterr().out
    # Killed before its stamp was written, and repeated: it stops again.
    (tmp_path / ".train.stamp").unlink()
    assert run(splits, tmp_path, epochs=6, patience=2, lr=1e-12).epoch == 3
    assert run(splits, tmp_path, epochs=6, patience=2, lr=1e-12).epoch == 3


@pytest.mark.slow
def test_gradient_clipping_limits_the_update(
    splits: tuple[Path, Path], start: Checkpoint, tmp_path: Path
) -> None:
    options: dict[str, Any] = {
        "optimizer": "sgd", "lr": 1e-4, "momentum": 0.0, "weight_decay": 0.0, "warmup_iterations": 0,
    }  # fmt: skip

    def update_norm(clip_grad_norm: float) -> float:
        out = tmp_path / str(clip_grad_norm)
        last = run(splits, out, clip_grad_norm=clip_grad_norm, batch_size=4, **options)
        return float(sum((last.state[k] - v).square().sum() for k, v in start.state.items())) ** 0.5

    assert update_norm(0.01) == pytest.approx(0.01 * 1e-4, rel=0.02)
    assert update_norm(0.0) == pytest.approx(update_norm(1e9), rel=1e-3)
    assert update_norm(0.0) > 10 * 0.01 * 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["timm/resnet18", "timm/convnext_atto", "maskrcnn_resnet50_fpn_v2"])
def test_other_models_train_and_load(name: str, splits: tuple[Path, Path], tmp_path: Path) -> None:
    model = dataclasses.replace(PROFILE.model, name=name, weights="none")
    last = run(splits, tmp_path, model, trainable=("heads", "fpn", "stage4"), precision="bf16")
    assert last.model == name and all(v.isfinite().all() for v in last.state.values())
    network_of(last)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler")
def test_a_compiled_backbone_gives_nearly_the_same_weights(splits: tuple[Path, Path], tmp_path: Path) -> None:
    model = dataclasses.replace(PROFILE.model, name="timm/resnet18", weights="none")
    options: dict[str, Any] = {"trainable": ("heads", "fpn", "stage4"), "optimizer": "sgd", "lr": 1e-4}
    plain = run(splits, tmp_path / "plain", model, **options)
    compiled = run(splits, tmp_path / "compiled", model, compile=True, **options)
    assert set(plain.state) == set(compiled.state)
    worst = max(float((plain.state[k].float() - compiled.state[k].float()).abs().max()) for k in plain.state)
    assert worst < 1e-3
    losses = [
        json.loads((tmp_path / name / "metrics.jsonl").read_text())["losses"]["loss"]
        for name in ("plain", "compiled")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)
