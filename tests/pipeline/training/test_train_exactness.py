"""Interrupted and killed runs resume to the same bytes, and errors keep the last checkpoint."""

from __future__ import annotations

import dataclasses
import itertools
import json
import multiprocessing
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from blender.contract.files import _host
from pipeline.config import Profile, UserError
from pipeline.models import safetensors_file
from pipeline.models.checkpoint import load_checkpoint, save_checkpoint
from pipeline.training import fit, loop, train_state
from pipeline.training.command import train
from tests.conftest import ROOT
from tests.helpers import training
from tests.helpers.shapes import SIZE, write_split, write_table
from tests.helpers.synthetic import write_tiny_model
from tests.helpers.training import write_splits

PROFILE = training.with_train(epochs=2, pictures=1)


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_splits(tmp_path_factory.mktemp("splits"))


def with_train(**changes: Any) -> Profile:
    return training.with_train(PROFILE, **changes)


def outputs_of(out: Path) -> dict[str, bytes]:
    """Return the bytes of a run's files, without the time it took and without TensorBoard's files."""
    outputs = {}
    for path in sorted(p for p in out.rglob("*") if p.is_file() and "tfevents" not in p.name):
        data = path.read_bytes()
        if path.suffix == ".safetensors":
            tensors, metadata = safetensors_file.decode(data), safetensors_file.verify(data)
            data = safetensors_file.encode(tensors, metadata | {"seconds": "0.0"})
        elif path.suffix == ".jsonl":
            lines = [json.loads(line) | {"seconds": 0} for line in data.decode().splitlines()]
            data = json.dumps(lines).encode()
        elif path.suffix == ".stamp":
            continue  # it holds hashes of the other files
        outputs[str(path.relative_to(out))] = data
    return outputs


def stop_after(epochs: int, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make training raise ``error`` after this number of epochs."""
    train_one_epoch = loop.train_one_epoch

    def stopped(
        model: Any, optimizer: Any, data_loader: Any, device: Any, epoch: int, **options: Any
    ) -> dict[str, float]:
        if epoch == epochs:
            raise error
        return train_one_epoch(model, optimizer, data_loader, device, epoch, **options)

    monkeypatch.setattr(fit, "train_one_epoch", stopped)


RECIPES: dict[str, dict[str, Any]] = {
    "adamw, unfreezing": {
        "epochs": 3,
        "trainable": ("heads",),
        "unfreeze": {"fpn": 2, "stage4": 3},
        "copy_paste": 0.5,
    },
    "sgd, steps": {
        "optimizer": "sgd",
        "lr": 1e-4,
        "schedule": "step",
        "accumulate": 2,
        "clip_grad_norm": 0.0,
    },
    "cached features": {
        "cache_features": 3,
        "passes": 2,
        "patience": 9,
        "ema": 0.9,
        "unfreeze": {"stage4": 2},
    },
    "cached features, negatives, mining": {
        "cache_features": 3,
        "passes": 2,
        "patience": 9,
        "ema": 0.9,
        "unfreeze": {"stage4": 2},
        "negatives": ("val/images",),
        "negatives_share": 0.25,
        "mining": 0.7,
    },
    "fp16": {"precision": "fp16"},
}


@pytest.mark.parametrize(
    "recipe",
    [pytest.param(r, marks=[] if "mining" in r else [pytest.mark.slow]) for r in RECIPES],
)
def test_a_resumed_run_has_the_bytes_of_an_uninterrupted_one(
    recipe: str, splits: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted before its last epoch, and resumed."""
    if recipe == "fp16":  # to test the scaler's state; refused without a GPU otherwise
        monkeypatch.setattr(train_state, "choose_precision", lambda requested, device: requested)
    monkeypatch.chdir(splits[0].parent)  # the folder of negatives is relative to it
    profile = with_train(**RECIPES[recipe])
    last = profile.train.epochs
    train(profile, *splits, tmp_path / "uninterrupted")
    with monkeypatch.context() as patch:
        stop_after(last - 1, patch, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            train(profile, *splits, tmp_path / "resumed")
    assert load_checkpoint(tmp_path / "resumed" / "last.safetensors").epoch == last - 1
    train(profile, *splits, tmp_path / "resumed")
    uninterrupted, resumed = outputs_of(tmp_path / "uninterrupted"), outputs_of(tmp_path / "resumed")
    names = {"model.safetensors", "last.safetensors", "metrics.jsonl", f"training/epoch-00{last}-batch.jpg"}
    assert names <= set(uninterrupted) == set(resumed)
    assert [name for name in uninterrupted if uninterrupted[name] != resumed[name]] == []
    resume = load_checkpoint(tmp_path / "uninterrupted" / "last.safetensors").resume
    assert resume is not None and bool(resume.scaler) == (recipe == "fp16")
    assert (sum(resume.background_losses) > 0) == ("mining" in recipe)


# ------------------------------------------------------------------------------ SIGKILL


def start(splits: tuple[Path, Path], out: Path) -> subprocess.Popen[bytes]:
    command = training.train_command(splits, out, "epochs = 2\nprocesses = 1\npictures = 1\n")
    return subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@pytest.fixture(scope="module")
def uninterrupted(
    splits: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, bytes], float]:
    """The outputs of a run that is not killed, and the seconds it takes."""
    out, began = tmp_path_factory.mktemp("uninterrupted") / "run", time.monotonic()
    assert start(splits, out).wait() == 0
    return outputs_of(out), time.monotonic() - began


@pytest.mark.slow
def test_a_run_killed_between_two_files_resumes_to_the_same_bytes(
    splits: tuple[Path, Path], uninterrupted: tuple[dict[str, bytes], float], tmp_path: Path
) -> None:
    """Killed as soon as an epoch's first file exists: the others do not exist yet or are being written."""
    out = tmp_path / "run"
    process, deadline = start(splits, out), time.monotonic() + 120
    while not (out / "model.safetensors").is_file():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    fragment = out / f".last.safetensors.{_host()}.{process.pid}.tmp"
    fragment.write_bytes(b"half")  # as if killed while writing
    assert start(splits, out).wait() == 0
    assert outputs_of(out) == uninterrupted[0]


@pytest.mark.slow
@pytest.mark.parametrize("instant", range(10))
def test_a_run_killed_at_any_time_resumes_to_the_same_bytes(
    instant: int, splits: tuple[Path, Path], uninterrupted: tuple[dict[str, bytes], float], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = start(splits, out)
    time.sleep(uninterrupted[1] * np.random.default_rng(instant).uniform(instant / 10, (instant + 1) / 10))
    process.kill()
    process.wait()
    assert start(splits, out).wait() == 0
    assert outputs_of(out) == uninterrupted[0]


def save_repeatedly(path: Path) -> None:
    """Overwrite a checkpoint again and again."""
    first = load_checkpoint(path)
    for epoch in itertools.count(first.epoch + 1):
        state = {"weight": torch.full((2_000_000,), float(epoch))}
        save_checkpoint(path, dataclasses.replace(first, epoch=epoch, state=state))


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_a_kill_while_a_checkpoint_is_written_keeps_the_one_before(tmp_path: Path) -> None:
    path, rng, epoch = tmp_path / "last.safetensors", np.random.default_rng(0), 1
    write_tiny_model(path)
    for _ in range(3):
        process = multiprocessing.get_context("fork").Process(target=save_repeatedly, args=(path,))
        process.start()
        deadline = time.monotonic() + 60
        while (written := load_checkpoint(path)).epoch < epoch + 2:  # complete at any time
            assert process.is_alive() and time.monotonic() < deadline
        time.sleep(rng.uniform(0, 0.05))
        process.kill()
        process.join()
        after = load_checkpoint(path)
        assert after.epoch >= written.epoch
        assert (after.state["weight"] == after.epoch).all()
        epoch = after.epoch


# ------------------------------------------------------------------------------ errors


def test_a_loss_that_is_not_finite_keeps_the_last_checkpoint(
    splits: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_one_epoch = loop.train_one_epoch

    def with_nan(
        model: Any, optimizer: Any, data_loader: Any, device: Any, epoch: int, **options: Any
    ) -> dict[str, float]:
        if epoch == 1:
            with torch.no_grad():
                model.roi_heads.box_head.fc6.weight[0] = float("nan")
        return train_one_epoch(model, optimizer, data_loader, device, epoch, **options)

    monkeypatch.setattr(fit, "train_one_epoch", with_nan)
    with pytest.raises(UserError, match=r"the loss is not finite in epoch 2 on 00000\d\.png") as error:
        train(with_train(), *splits, tmp_path)
    assert "last.safetensors" in str(error.value) and "\n" not in str(error.value)
    last = load_checkpoint(tmp_path / "last.safetensors")
    assert last.epoch == 1 and all(v.isfinite().all() for v in last.state.values())
    monkeypatch.undo()
    train(with_train(), *splits, tmp_path)
    assert load_checkpoint(tmp_path / "last.safetensors").epoch == 2


def test_a_gradient_that_is_not_finite_names_the_images(
    splits: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore = train_state.restore

    def with_infinite_gradient(*args: Any) -> Any:
        state = restore(*args)
        state.model.roi_heads.box_head.fc6.weight.register_hook(lambda gradient: gradient * float("inf"))
        return state

    monkeypatch.setattr(fit, "restore", with_infinite_gradient)
    names = r"00000\d\.png, 00000\d\.png"
    with pytest.raises(UserError, match=f"the gradient is not finite in epoch 1 on {names};"):
        train(with_train(batch_size=2), *splits, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_out_of_memory_error_keeps_the_last_checkpoint(
    splits: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(1, monkeypatch, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(UserError, match=r"out of memory .*cache_features \(now 2\).*box_batch.* \(now 16\)"):
        train(with_train(cache_features=2), *splits, tmp_path)
    assert load_checkpoint(tmp_path / "last.safetensors").epoch == 1


def test_data_are_checked_before_the_first_step(splits: tuple[Path, Path], tmp_path: Path) -> None:
    table = write_split(tmp_path / "val", 2, seed=2, empty=0)
    table["annotations"][1]["segmentation"]["size"] = [SIZE, SIZE + 1]
    write_table(tmp_path / "val", table)
    with pytest.raises(UserError, match=r"val/annotations\.json: 1 errors, the first: rle-"):
        train(with_train(), splits[0], tmp_path / "val", tmp_path / "out")
    assert not (tmp_path / "out").exists()
