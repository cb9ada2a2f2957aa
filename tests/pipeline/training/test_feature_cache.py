"""The feature cache changes no loss, and its size follows the machine's memory."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest
import torch
from torchvision.models.detection import MaskRCNN

from pipeline.config import TrainConfig
from pipeline.models.checkpoint import load_checkpoint
from pipeline.training.command import train
from pipeline.training.dataset import CocoDataset, collate_fn
from pipeline.training.feature_cache import (
    FeatureCache,
    choose_cached_views,
    forward_frozen,
    forward_losses,
)
from pipeline.training.train_state import initial_checkpoint, restore
from tests.helpers import training
from tests.helpers.shapes import CLASSES
from tests.helpers.training import same_weights, write_splits

PROFILE = training.with_train(epochs=2)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_splits(tmp_path_factory.mktemp("splits"), train=5)


@pytest.fixture(scope="module")
def train_set(splits: tuple[Path, Path]) -> CocoDataset:
    return CocoDataset(splits[0] / "annotations.json", splits[0] / "images", CLASSES)


@pytest.fixture
def model() -> MaskRCNN:
    return restore(initial_checkpoint(PROFILE, 5, "hash", CPU), PROFILE.train, CPU).model.train()


@pytest.mark.slow
def test_cached_features_give_the_same_weights(splits: tuple[Path, Path], tmp_path: Path) -> None:
    """With as many views as epochs none is used twice; with one view, epoch 2 uses that of epoch 1."""
    uncached, cached, one_view = (tmp_path / name for name in ("uncached", "cached", "one_view"))
    train(PROFILE, *splits, uncached)
    train(training.with_train(PROFILE, cache_features=2), *splits, cached)
    first, second = (load_checkpoint(folder / "last.safetensors") for folder in (uncached, cached))
    assert same_weights(first, second)
    train(training.with_train(PROFILE, cache_features=1), *splits, one_view)
    lines = [(folder / "metrics.jsonl").read_text().splitlines() for folder in (uncached, one_view)]
    assert json.loads(lines[0][0])["losses"] == json.loads(lines[1][0])["losses"]
    assert json.loads(lines[0][1])["losses"] != json.loads(lines[1][1])["losses"]


def test_the_cache_holds_fewer_views_if_memory_is_short(
    model: MaskRCNN, train_set: CocoDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(PROFILE.train, cache_features=3)
    assert choose_cached_views(model, train_set, config, CPU) == 3
    image, target = train_set[0]
    nbytes = forward_frozen(model, [image], [target]).nbytes
    assert nbytes > 96 * 96 * 24 / 16
    memory = {"SC_PHYS_PAGES": 5 * nbytes * 3, "SC_PAGE_SIZE": 1}
    monkeypatch.setattr(os, "sysconf", lambda name: memory[name])
    assert choose_cached_views(model, train_set, config, CPU) <= 2
    assert choose_cached_views(model, train_set, config, torch.device("cuda")) == 0


def test_the_cache_needs_a_frozen_stage() -> None:
    with pytest.raises(ValueError, match="frozen stage1"):
        TrainConfig(cache_features=1, trainable=("heads", "fpn", "stage1"))


def test_losses_from_features_equal_those_of_the_model(model: MaskRCNN, train_set: CocoDataset) -> None:
    images, targets = collate_fn([train_set[0], train_set[1]])
    torch.manual_seed(1)
    expected = model(images, [dict(t) for t in targets])
    torch.manual_seed(1)
    losses = forward_losses(model, forward_frozen(model, images, [dict(t) for t in targets]))
    assert set(losses) == set(expected)
    assert all(torch.equal(losses[name], expected[name]) for name in expected)


def test_features_are_computed_once_per_view_and_image(model: MaskRCNN, train_set: CocoDataset) -> None:
    image, target = train_set[0]
    cache = FeatureCache(2)
    features = cache.features(model, (1, 0), [image], [target])
    assert (1, 0) in cache and (0, 0) not in cache
    assert cache.features(model, (1, 0), [], []) is features
    assert cache.mean_nbytes() == features.nbytes > 0
    assert [cache.view_of(data_pass) for data_pass in range(4)] == [0, 1, 0, 1]
    assert [cache.repeats(data_pass) for data_pass in range(4)] == [False, False, True, True]
    without = FeatureCache(0)
    without.features(model, (1, 0), [image], [target])
    assert (1, 0) not in without and without.mean_nbytes() == 0
    assert without.view_of(3) == 3 and not without.repeats(3)
