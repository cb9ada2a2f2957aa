"""The images written after each epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.training.dataset import CocoDataset
from pipeline.training.epoch_images import IMAGE_WIDTH, KEYPOINT_COLOURS, draw_ground_truth
from pipeline.viz.overlays import IGNORED
from tests.helpers.shapes import CLASSES
from tests.helpers.training import same_weights, write_splits
from tests.pipeline.training.test_train_recipe import run


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_splits(tmp_path_factory.mktemp("splits"))


@pytest.mark.slow
def test_each_epoch_has_images_and_they_do_not_change_the_weights(
    splits: tuple[Path, Path], tmp_path: Path
) -> None:
    with_images = run(splits, tmp_path, epochs=2, pictures=3)
    names = {f"epoch-00{epoch}-{part}.jpg" for epoch in (1, 2) for part in ("batch", "validation")}
    assert {p.name for p in (tmp_path / "training").iterdir() if "tfevents" not in p.name} == names
    with Image.open(tmp_path / "training" / "epoch-001-batch.jpg") as batch:
        assert batch.width > 3 * IMAGE_WIDTH and np.ptp(np.asarray(batch)) > 100
    with Image.open(tmp_path / "training" / "epoch-001-validation.jpg") as validation:
        two_rows = validation.width < 3 * IMAGE_WIDTH < 3 * validation.height
        assert two_rows, "two validation images, the ground truth above the detections"
    without_images = run(splits, tmp_path / "none", epochs=2, pictures=0)
    assert not list((tmp_path / "none").rglob("*.jpg"))
    assert same_weights(with_images, without_images)


def test_ground_truth_is_drawn_with_ignore_regions_and_keypoints(splits: tuple[Path, Path]) -> None:
    data = CocoDataset(splits[0] / "annotations.json", splits[0] / "images", CLASSES)
    image, target = data[0]
    target["ignore"] = torch.tensor([[0.0, 0, 20, 10]])
    target["keypoints"] = torch.zeros(2, 17, 3)
    target["keypoints"][0, 0], target["keypoints"][0, 1] = torch.tensor([[90.0, 4, 2], [90, 90, 1]])
    drawn = np.asarray(draw_ground_truth((torch.zeros_like(image), target), CLASSES))
    scale = IMAGE_WIDTH / image.shape[2]
    assert drawn.shape == (IMAGE_WIDTH, IMAGE_WIDTH, 3)
    assert tuple(drawn[0, 5]) == IGNORED
    assert tuple(drawn[round(4 * scale), round(90 * scale)]) == KEYPOINT_COLOURS[2]
    assert tuple(drawn[round(90 * scale), round(90 * scale)]) == KEYPOINT_COLOURS[1]
