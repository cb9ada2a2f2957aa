"""A checkpoint of many classes that detects some of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline import load_model
from pipeline.config import ModelConfig, UserError
from pipeline.models.checkpoint import load_checkpoint, select_classes
from pipeline.models.registry import EMBEDDED, build_model
from tests.helpers.synthetic import write_tiny_model

CLASSES = ("pedestrian", "cage", "pallet_truck", "forklift")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A model of four classes and an auxiliary one, whose detections do not depend on other classes."""
    torch.manual_seed(0)
    config = ModelConfig(
        min_size=96, max_size=128, detections_per_img=5000, box_score_thresh=0.15, auxiliary=("clutter",)
    )
    state = build_model(EMBEDDED, 5, config).state_dict()
    file = tmp_path / "model.safetensors"
    write_tiny_model(file, CLASSES, config=vars(config), state=state)
    return file


def test_the_other_classes_become_background_and_nothing_else_changes(path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    every = load_model(path).predict(image, 0)
    some = load_model(path, classes=["forklift", "pedestrian"]).predict(image, 0)
    for label, name in ((1, "forklift"), (2, "pedestrian")):
        expected, found = every.labels == CLASSES.index(name) + 1, some.labels == label
        assert found.sum() > 1, name
        assert np.allclose(every.boxes[expected], some.boxes[found], atol=1e-3), name
        assert np.allclose(every.scores[expected], some.scores[found], atol=1e-5), name
        assert np.array_equal(every.masks[expected], some.masks[found]), name


def test_wrong_classes_are_named(path: Path) -> None:
    with pytest.raises(UserError, match=r"no class 'forklifts'; it has: pedestrian, cage.*'forklift'"):
        load_model(path, classes=["forklifts"])
    with pytest.raises(UserError, match="class 'cage' is named twice"):
        load_model(path, classes=["cage", "cage"])


def test_a_checkpoint_with_selected_classes_names_the_others_as_auxiliary(path: Path) -> None:
    selected = select_classes(load_checkpoint(path), ("cage",), path)
    assert selected.classes == ("cage",)
    assert selected.auxiliary == ("pedestrian", "pallet_truck", "forklift", "clutter")
