"""The model that the tests of prediction share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.data.rle import encode_mask
from pipeline.inference.detections import Detections
from pipeline.inference.segmenter import Segmenter
from tests.helpers.synthetic import write_tiny_model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    write_tiny_model(path)
    return path


@pytest.fixture
def quick_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that finds one object in each image at once, with a score that depends on the pixels."""

    def predict_all(pixels: npt.NDArray[np.uint8]) -> Detections:
        mask = np.zeros(pixels.shape[:2], np.uint8)
        mask[: mask.shape[0] // 2] = 1
        box = np.array([[0, 0, mask.shape[1], mask.shape[0] // 2]], np.float32)
        score = np.array([pixels.mean() / 255], np.float32)
        return Detections(box, np.array([1]), score, [encode_mask(mask)], (mask.shape[0], mask.shape[1]))

    segmenter = Segmenter(None, ("pedestrian", "pallet_truck"), 0.3, predict_all)
    monkeypatch.setattr("pipeline.inference.predict.load", lambda path, classes: segmenter)
    path = tmp_path / "quick.safetensors"
    path.write_bytes(b"model")
    return path
