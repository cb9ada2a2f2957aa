"""Batches of the training data loader."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.models.checkpoint import load_checkpoint
from pipeline.training.command import train
from pipeline.training.data_loader import TrainLoader
from pipeline.training.dataset import CocoDataset
from pipeline.training.feature_cache import FeatureCache
from pipeline.training.sampling.images import shuffled_batches
from tests.helpers import training
from tests.helpers.shapes import CLASSES
from tests.helpers.training import same_weights, write_splits

PROFILE = training.with_train(epochs=2)


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_splits(tmp_path_factory.mktemp("splits"), train=5)


def test_an_image_has_the_same_position_in_every_batch() -> None:
    batches = shuffled_batches(7, 2, np.random.default_rng(0))
    assert sorted(i for batch in batches for i in batch) == list(range(7))
    assert [len(batch) for batch in batches] == [2, 2, 2, 1]
    assert all(i % 2 == position for batch in batches for position, i in enumerate(batch))
    assert batches != shuffled_batches(7, 2, np.random.default_rng(1))


def test_an_epoch_has_every_image_once_per_pass(splits: tuple[Path, Path]) -> None:
    data = CocoDataset(splits[0] / "annotations.json", splits[0] / "images", CLASSES)
    config = dataclasses.replace(PROFILE.train, passes=2, batch_size=2)
    loader = TrainLoader(data, config, 0, FeatureCache(0), torch.device("cpu"))
    batches = list(loader.batches(1))
    assert len(batches) == len(loader) == 6
    assert [batch.data_pass for batch in batches] == [2, 2, 2, 3, 3, 3]
    for data_pass in (2, 3):
        indices = [i for batch in batches if batch.data_pass == data_pass for i in batch.indices]
        assert sorted(indices) == list(range(5))
    for batch in batches:
        assert [chunk.indices for chunk in batch.chunks] == [[i] for i in batch.indices]
        assert all(len(chunk.images) == len(chunk.targets) == 1 for chunk in batch.chunks)


@pytest.mark.slow
def test_an_epoch_of_two_passes_equals_two_epochs(splits: tuple[Path, Path], tmp_path: Path) -> None:
    two_epochs, two_passes = tmp_path / "two_epochs", tmp_path / "two_passes"
    train(PROFILE, *splits, two_epochs)
    train(training.with_train(PROFILE, epochs=1, passes=2), *splits, two_passes)
    first, second = (load_checkpoint(folder / "last.safetensors") for folder in (two_epochs, two_passes))
    assert same_weights(first, second)
    assert len((two_passes / "metrics.jsonl").read_text().splitlines()) == 1
