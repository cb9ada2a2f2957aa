"""The file on disk: whole or refused, in one line."""

from __future__ import annotations

import dataclasses
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.config import ModelConfig, UserError
from pipeline.models.checkpoint import Checkpoint, load_checkpoint, load_model, save_checkpoint, seal
from pipeline.models.registry import EMBEDDED, build_model
from tests.helpers.shapes import CLASSES

CONFIG = ModelConfig(min_size=96, max_size=96)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    return Checkpoint(
        model=EMBEDDED,
        config=dataclasses.asdict(CONFIG),
        classes=CLASSES,
        start={"kind": "none", "source": "nothing", "fallback": ""},
        metrics={"classes": {}},
        epoch=2,
        epochs=3,
        seed=5,
        seconds=1.5,
        images=4,
        score_threshold=0.25,
        state=build_model(EMBEDDED, 3, CONFIG).state_dict(),
        resume={"key": "abc", "optimizer": {}},
    )


@pytest.fixture
def path(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    path = tmp_path / "model.pt"
    save_checkpoint(path, checkpoint)
    return path


def refused(path: Path) -> str:
    with pytest.raises(UserError) as error:
        load_model(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message


def test_what_is_saved_is_loaded(checkpoint: Checkpoint, path: Path) -> None:
    again = load_checkpoint(path)
    assert {k: v for k, v in vars(again).items() if k != "state"} == {
        k: v for k, v in vars(checkpoint).items() if k != "state"
    }
    assert list(again.state) == list(checkpoint.state)
    assert all(torch.equal(again.state[k], v) for k, v in checkpoint.state.items())
    assert {"python", "torch", "torchvision", "transpalette"} <= set(again.versions)
    assert list(path.parent.iterdir()) == [path]


def test_plain_torch_reads_it_without_running_code(path: Path) -> None:
    assert torch.load(path, weights_only=True)["classes"] == list(CLASSES)


@pytest.mark.parametrize("place", [0.0, 0.001, 0.3, 0.77, 0.9999, 1.0])
def test_a_flipped_byte_is_caught_wherever_it_is(path: Path, place: float) -> None:
    data = bytearray(path.read_bytes())
    data[round(place * (len(data) - 1))] ^= 0x10
    path.write_bytes(data)
    assert "damaged" in refused(path)


@pytest.mark.parametrize("size", [0, 1, 100, 10_000, -1])
def test_a_truncated_file_is_refused(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])
    refused(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "no such checkpoint" in refused(tmp_path / "absent.pt")


class Malice:
    """Its pickle would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_a_pickle_that_would_run_code_does_not(tmp_path: Path) -> None:
    path, folder = tmp_path / "model.pt", tmp_path / "made"
    path.write_bytes(pickle.dumps(Malice(folder)))
    refused(path)
    torch.save({"format": 1, "state": Malice(folder)}, path)
    refused(path)
    path.write_bytes(seal(path.read_bytes()))  # even with our seal on it
    refused(path)
    assert not folder.exists()


def test_a_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.pt"
    torch.save({"model": {"weight": torch.zeros(2)}, "epoch": 3}, path)
    assert "not a Transpalette checkpoint" in refused(path)
    path.write_bytes(seal(path.read_bytes()))
    assert "format" in refused(path)


def test_weights_for_other_classes_are_refused(checkpoint: Checkpoint, path: Path) -> None:
    save_checkpoint(path, dataclasses.replace(checkpoint, classes=("forklift",)))
    assert "do not fit" in refused(path)
    save_checkpoint(path, dataclasses.replace(checkpoint, model="maskrcnn_resnet50_fpn"))
    assert "do not fit" in refused(path)
    save_checkpoint(path, dataclasses.replace(checkpoint, model="yolo"))
    with pytest.raises(UserError, match="'yolo' is unknown"):
        load_model(path)


def test_a_failed_save_leaves_the_old_file(
    checkpoint: Checkpoint, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(path, checkpoint)
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]
