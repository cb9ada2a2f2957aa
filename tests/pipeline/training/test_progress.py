"""TensorBoard's event files."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import pytest

from tests.helpers.training import write_splits
from tests.pipeline.training.test_train_recipe import run


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_splits(tmp_path_factory.mktemp("splits"))


@pytest.mark.slow
def test_tensorboard_gets_all_losses_and_metrics(
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


def test_training_works_without_tensorboard(
    splits: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    run(splits, tmp_path)
    assert (tmp_path / "metrics.jsonl").is_file() and not list(tmp_path.rglob("*tfevents*"))
