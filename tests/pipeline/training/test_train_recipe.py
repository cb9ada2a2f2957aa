"""The recipe's knobs do what they say, and what an epoch looked like can be seen."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.config import ModelConfig, TrainConfig, UserError
from pipeline.models.checkpoint import Checkpoint, load_checkpoint
from pipeline.training.command import train
from pipeline.training.dataset import CocoDataset
from pipeline.training.param_groups import parts_of
from pipeline.training.run_state import fresh
from pipeline.training.schedule import choose_precision, schedule
from pipeline.training.snapshots import MARKS, WIDTH, draw_truth
from pipeline.viz.overlays import IGNORED
from tests.helpers.shapes import CLASSES
from tests.helpers.training import with_train, write_splits

PROFILE = with_train(epochs=1, ema=0.0)


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_splits(tmp_path_factory.mktemp("splits"))


def run(
    splits: tuple[Path, Path], out: Path, model: ModelConfig = PROFILE.model, **changes: Any
) -> Checkpoint:
    train(dataclasses.replace(with_train(PROFILE, **changes), model=model), *splits, out)
    return load_checkpoint(out / "last.safetensors")


def same(first: Checkpoint, second: Checkpoint) -> bool:
    return all(torch.equal(first.state[k], second.state[k]) for k in first.state)


@pytest.mark.slow
def test_two_batches_of_one_are_one_of_two(splits: tuple[Path, Path], tmp_path: Path) -> None:
    two = run(splits, tmp_path / "two", batch_size=2)
    assert same(two, run(splits, tmp_path / "accumulated", batch_size=1, accumulate=2))
    assert not same(two, run(splits, tmp_path / "one", batch_size=1))


@pytest.mark.slow
def test_parts_thaw_while_training_and_not_before(splits: tuple[Path, Path], tmp_path: Path) -> None:
    recipe = {"trainable": ("heads",), "unfreeze": {"fpn": 2, "stage4": 3}}
    whole = PROFILE.train.epochs + 2
    start = fresh(PROFILE, 4, "key", torch.device("cpu"))
    seen = []
    for epochs in range(1, whole + 1):
        # Other lengths have other rates, so each is a run of its own.
        last = run(splits, tmp_path / str(epochs), epochs=epochs, **recipe)
        model = run_model(last)
        moved = {k for k, v in start.state.items() if not torch.equal(v, last.state[k])}
        seen.append({parts_of(model)[k] for k in moved})
    assert seen == [{"heads"}, {"heads", "fpn"}, {"heads", "fpn", "stage4"}]


def run_model(checkpoint: Checkpoint) -> torch.nn.Module:
    from pipeline.models.checkpoint import model_of

    return model_of(checkpoint, Path("last.safetensors"))


def test_a_part_with_rate_nothing_stays(splits: tuple[Path, Path], tmp_path: Path) -> None:
    start = fresh(PROFILE, 4, "key", torch.device("cpu"))
    last = run(splits, tmp_path, lr_factors={"fpn": 0.0})
    part_of = parts_of(run_model(last))
    moved = {part_of[k] for k, v in start.state.items() if not torch.equal(v, last.state[k])}
    assert moved == {"heads"}


@pytest.mark.slow
def test_patience_ends_a_run_that_gets_no_better(
    splits: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a rate of next to nothing no epoch is better than the first."""
    last = run(splits, tmp_path, epochs=6, patience=2, lr=1e-12)
    assert (last.epoch, last.epochs) == (3, 6)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["best"] for line in lines] == [True, False, False]
    assert "[train] patience ends it" in capsys.readouterr().out
    # Killed before its stamp: repeated, it sees that it has ended.
    (tmp_path / ".train.stamp").unlink()
    assert run(splits, tmp_path, epochs=6, patience=2, lr=1e-12).epoch == 3
    assert run(splits, tmp_path, epochs=6, patience=2, lr=1e-12).epoch == 3


def test_steps_and_their_warm_up() -> None:
    config = TrainConfig(schedule="step", lr_steps=(0.5, 0.75), warmup_iterations=10)
    rates = [schedule(step, 100, config) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 11) and rates[10:50] == [1.0] * 40
    assert rates[50:75] == pytest.approx([0.1] * 25) and rates[75:] == pytest.approx([0.01] * 25)


@pytest.mark.slow
def test_clipping_shortens_a_step_and_can_be_left_out(splits: tuple[Path, Path], tmp_path: Path) -> None:
    options = {"optimizer": "sgd", "lr": 1e-4, "momentum": 0.0, "weight_decay": 0.0, "warmup_iterations": 0}
    start = fresh(PROFILE, 4, "key", torch.device("cpu"))

    def moved(norm: float) -> float:
        last = run(splits, tmp_path / str(norm), clip_grad_norm=norm, batch_size=4, **options)
        return float(sum((last.state[k] - v).square().sum() for k, v in start.state.items())) ** 0.5

    assert moved(0.01) == pytest.approx(0.01 * 1e-4, rel=0.02)
    assert moved(0.0) == pytest.approx(moved(1e9), rel=1e-3)
    assert moved(0.0) > 10 * 0.01 * 1e-4


def test_fp16_wants_a_gpu() -> None:
    with pytest.raises(UserError, match=r"fp16.* needs a GPU"):
        choose_precision("fp16", torch.device("cpu"))
    assert choose_precision("fp16", torch.device("cuda")) == "fp16"
    for wrong in ({"precision": "fp8"}, {"schedule": "poly"}, {"accumulate": 0}, {"copy_paste": 2.0},
                  {"patience": -1}, {"clip_grad_norm": -1.0}):  # fmt: skip
        with pytest.raises(ValueError, match=next(iter(wrong))):
            TrainConfig(**wrong)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["timm/resnet18", "timm/convnext_atto", "maskrcnn_resnet50_fpn_v2"])
def test_other_models_train_and_reload(name: str, splits: tuple[Path, Path], tmp_path: Path) -> None:
    model = dataclasses.replace(PROFILE.model, name=name, weights="none")
    last = run(splits, tmp_path, model, trainable=("heads", "fpn", "stage4"), precision="bf16")
    assert last.model == name and all(v.isfinite().all() for v in last.state.values())
    run_model(last)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile wants a compiler")
def test_a_compiled_body_takes_nearly_the_same_steps(splits: tuple[Path, Path], tmp_path: Path) -> None:
    model = dataclasses.replace(PROFILE.model, name="timm/resnet18", weights="none")
    options = {"trainable": ("heads", "fpn", "stage4"), "optimizer": "sgd", "lr": 1e-4}
    plain = run(splits, tmp_path / "plain", model, **options)
    compiled = run(splits, tmp_path / "compiled", model, compile=True, **options)
    assert set(plain.state) == set(compiled.state)
    worst = max(float((plain.state[k].float() - compiled.state[k].float()).abs().max()) for k in plain.state)
    assert worst < 1e-3
    losses = [
        json.loads((tmp_path / n / "metrics.jsonl").read_text())["losses"]["loss"]
        for n in ("plain", "compiled")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)


# ------------------------------------------------------------------------------ sight


@pytest.mark.slow
def test_each_epoch_can_be_seen(splits: tuple[Path, Path], tmp_path: Path) -> None:
    first = run(splits, tmp_path, epochs=2, pictures=3)
    names = {f"epoch-00{n}-{what}.jpg" for n in (1, 2) for what in ("batch", "validation")}
    assert {p.name for p in (tmp_path / "training").iterdir() if "tfevents" not in p.name} == names
    with Image.open(tmp_path / "training" / "epoch-001-batch.jpg") as batch:
        assert batch.width > 3 * WIDTH and np.ptp(np.asarray(batch)) > 100
    with Image.open(tmp_path / "training" / "epoch-001-validation.jpg") as found:
        assert found.width < 3 * WIDTH < 3 * found.height, "two validation images, the truth above"
    none = run(splits, tmp_path / "none", epochs=2, pictures=0)
    assert not (tmp_path / "none" / "training").exists() or not list((tmp_path / "none").rglob("*.jpg"))
    assert same(first, none), "pictures change no step"


def test_a_sample_is_drawn_with_all_it_holds(splits: tuple[Path, Path]) -> None:
    data = CocoDataset(splits[0] / "annotations.json", splits[0] / "images", CLASSES)
    image, target = data[0]
    target["ignore"] = torch.tensor([[0.0, 0, 20, 10]])
    target["keypoints"] = torch.zeros(2, 17, 3)
    target["keypoints"][0, 0], target["keypoints"][0, 1] = torch.tensor([[90.0, 4, 2], [90, 90, 1]])
    drawn = np.asarray(draw_truth((torch.zeros_like(image), target), CLASSES))
    scale = WIDTH / image.shape[2]
    assert drawn.shape == (WIDTH, WIDTH, 3)
    assert tuple(drawn[0, 5]) == IGNORED
    assert tuple(drawn[round(4 * scale), round(90 * scale)]) == MARKS[2]
    assert tuple(drawn[round(90 * scale), round(90 * scale)]) == MARKS[1]


@pytest.mark.slow
def test_tensorboard_gets_every_figure_if_it_is_there(
    splits: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: dict[tuple[str, int], float] = {}

    class SummaryWriter:
        def __init__(self, folder: str) -> None:
            assert folder == str(tmp_path / "out" / "training")

        def __enter__(self) -> SummaryWriter:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def add_scalar(self, name: str, value: float, epoch: int) -> None:
            written[name, epoch] = value

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    run(splits, tmp_path / "out", epochs=2)
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    for epoch, line in enumerate(lines, start=1):
        assert written["losses/loss", epoch] == line["losses"]["loss"]
        assert written["segm/pedestrian/AP", epoch] == line["val"]["classes"]["pedestrian"]["segm"]["AP"]


def test_without_tensorboard_nothing_is_missed(
    splits: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    run(splits, tmp_path)
    assert (tmp_path / "metrics.jsonl").is_file() and not list(tmp_path.rglob("*tfevents*"))
