"""Checkpoints on disk: saved and loaded without loss, and refused in one line if anything is wrong."""

from __future__ import annotations

import dataclasses
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from safetensors import safe_open

from pipeline.config import ModelConfig, UserError
from pipeline.models import safetensors_file
from pipeline.models.checkpoint import (
    Checkpoint,
    ResumeState,
    load_checkpoint,
    load_model,
    save_checkpoint,
)
from pipeline.models.checkpoint_metadata import is_checkpoint, read_checkpoint_metadata
from pipeline.models.registry import EMBEDDED, build_model
from tests.conftest import run
from tests.helpers.shapes import CLASSES

CONFIG = ModelConfig(min_size=96, max_size=96)


def same_tensors(first: dict[Any, torch.Tensor], second: dict[Any, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    weights = {"fpn.weight": torch.rand(3, 2, 3, 3).to(memory_format=torch.channels_last)}
    moments = {"step": torch.tensor(7.0), "exp_avg": torch.rand(3, 2, 3, 3)}
    return Checkpoint(
        model=EMBEDDED,
        config=dataclasses.asdict(CONFIG) | {"auxiliary": []},
        classes=CLASSES,
        start={"kind": "none", "source": "nothing", "fallback": ""},
        metrics={"classes": {"pedestrian": {"AP": None}}},
        epoch=2,
        epochs=3,
        seed=5,
        seconds=1.5,
        images=4,
        score_threshold=0.25,
        state=build_model(EMBEDDED, 3, CONFIG).state_dict(),
        resume=ResumeState(
            inputs_hash="abc",
            precision="fp16",
            cached_views=2,
            best_ap=0.1,
            epochs_without_improvement=1,
            weights=weights,
            optimizer={"state": {3: moments}, "param_groups": [{"lr": 1e-3 / 7, "params": [3]}]},
            scaler={"scale": 65536.0},
        ),
    )


@pytest.fixture
def path(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, checkpoint)
    return path


def error_message(path: Path) -> str:
    with pytest.raises(UserError) as error:
        load_model(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message


def test_save_and_load_round_trip(checkpoint: Checkpoint, path: Path) -> None:
    loaded, tensor_fields = load_checkpoint(path), ("state", "resume")
    assert {k: v for k, v in vars(loaded).items() if k not in tensor_fields} == {
        k: v for k, v in vars(checkpoint).items() if k not in tensor_fields
    }
    assert same_tensors(loaded.state, checkpoint.state)
    assert {"python", "torch", "torchvision", "transpalette"} <= set(loaded.versions)
    assert list(path.parent.iterdir()) == [path]


def test_resume_state_round_trip(checkpoint: Checkpoint, path: Path) -> None:
    loaded, saved = load_checkpoint(path).resume, checkpoint.resume
    assert loaded is not None and saved is not None
    tensors = ("weights", "optimizer")
    assert {k: v for k, v in vars(loaded).items() if k not in tensors} == {
        k: v for k, v in vars(saved).items() if k not in tensors
    }
    assert same_tensors(loaded.weights, saved.weights)
    assert loaded.optimizer["param_groups"] == saved.optimizer["param_groups"]
    assert same_tensors(loaded.optimizer["state"][3], saved.optimizer["state"][3])


def test_a_checkpoint_without_resume_state_has_none_after_loading(checkpoint: Checkpoint, path: Path) -> None:
    save_checkpoint(path, dataclasses.replace(checkpoint, resume=None))
    assert load_checkpoint(path).resume is None


def test_safetensors_tools_read_the_state_dict(checkpoint: Checkpoint, path: Path) -> None:
    save_checkpoint(path, dataclasses.replace(checkpoint, resume=None))
    assert same_tensors(safetensors.torch.load_file(path), checkpoint.state)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == "pt" and metadata["classes"] == '["pedestrian", "pallet_truck"]'
    assert len(metadata["sha256"]) == 64


def test_equal_checkpoints_have_equal_bytes(path: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_checkpoint(tmp_path / name, load_checkpoint(path))
        assert (tmp_path / name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("place", [0.0, 0.001, 0.3, 0.77, 0.9999, 1.0])
def test_a_flipped_bit_is_detected_anywhere(path: Path, place: float) -> None:
    data = bytearray(path.read_bytes())
    data[round(place * (len(data) - 1))] ^= 0x10
    path.write_bytes(data)
    assert "damaged" in error_message(path)


def test_flipped_bits_are_detected_in_the_whole_header() -> None:
    data = safetensors_file.encode({"weight": torch.zeros(3)}, {"note": "a text"})
    for position in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            with pytest.raises(ValueError):
                safetensors_file.verify(bytes(damaged))


@pytest.mark.parametrize("size", [0, 1, 100, 10_000, 1_000_000, -1])
def test_a_truncated_file_is_refused(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])
    assert "truncated" in error_message(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "no such checkpoint" in error_message(tmp_path / "absent.safetensors")


class Exploit:
    """An object whose unpickling makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_a_pickle_is_never_executed(tmp_path: Path) -> None:
    path, folder = tmp_path / "model.safetensors", tmp_path / "made"
    path.write_bytes(pickle.dumps(Exploit(folder)))
    error_message(path)
    torch.save({"format": 1, "state": Exploit(folder)}, path)
    error_message(path)
    path.write_bytes(path.read_bytes() + b"transpalette sha256:" + b"0" * 64)
    error_message(path)
    assert not folder.exists()


def test_checkpoints_of_other_tools_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.pth"
    torch.save({"model": {"weight": torch.zeros(2)}, "epoch": 3}, path)
    assert "not a Transpalette checkpoint" in error_message(path)
    assert not is_checkpoint(path.read_bytes())
    safetensors.torch.save_file({"weight": torch.zeros(2)}, path)
    assert "not a Transpalette checkpoint" in error_message(path)
    assert not is_checkpoint(path.read_bytes())


def test_checkpoints_of_other_formats_are_named(path: Path, tmp_path: Path) -> None:
    old = tmp_path / "model.pt"
    torch.save({"format": 1}, old)
    old.write_bytes(old.read_bytes() + b"transpalette sha256:" + b"0" * 64)
    assert "a checkpoint of an earlier version" in error_message(old) and is_checkpoint(old.read_bytes())
    data = path.read_bytes()
    tensors, metadata = safetensors_file.decode(data), safetensors_file.verify(data)
    path.write_bytes(safetensors_file.encode(tensors, metadata | {"transpalette_format": "3"}))
    assert "a checkpoint of format 3" in error_message(path) and is_checkpoint(path.read_bytes())


def test_incomplete_metadata_are_refused(path: Path) -> None:
    data = path.read_bytes()
    tensors, metadata = safetensors_file.decode(data), safetensors_file.verify(data)
    del metadata["seed"]
    path.write_bytes(safetensors_file.encode(tensors, metadata))
    assert "metadata" in error_message(path)


def test_weights_for_other_classes_are_refused(checkpoint: Checkpoint, path: Path) -> None:
    save_checkpoint(path, dataclasses.replace(checkpoint, classes=("forklift",)))
    assert "do not fit" in error_message(path)
    save_checkpoint(path, dataclasses.replace(checkpoint, model="maskrcnn_resnet50_fpn"))
    assert "do not fit" in error_message(path)
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


def test_metadata_are_read_without_the_tensors_and_without_torch(path: Path) -> None:
    checkpoint, metadata = load_checkpoint(path), read_checkpoint_metadata(path)
    assert vars(metadata) == {name: vars(checkpoint)[name] for name in vars(metadata)}
    code = "from pathlib import Path\nfrom pipeline.models.checkpoint_metadata import *\n"
    code += f"import sys\nread_checkpoint_metadata(Path({str(path)!r}))\nassert 'torch' not in sys.modules"
    done = run("-c", code)
    assert done.returncode == 0, done.stderr
