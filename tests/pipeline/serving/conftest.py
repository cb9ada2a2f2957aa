"""The models and the service that the tests of the page share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pipeline.data.rle import encode_mask
from pipeline.inference.detections import Detections
from pipeline.inference.segmenter import Segmenter
from pipeline.inference.video import open_video
from pipeline.labelling.collection import Collection
from pipeline.serving.service import Service

CLASSES = ("pedestrian", "pallet_truck", "forklift")
SCORES = (0.9, 0.6, 0.33, 0.02)
LABELS = (1, 2, 3, 1)


def predict_all(pixels: npt.NDArray[np.uint8]) -> Detections:
    """Find four objects in any image, each in a quarter of its width; the last has a very low score."""
    height, width = pixels.shape[:2]
    masks = np.zeros((4, height, width), bool)
    for number in range(4):
        masks[number, :, number * width // 4 : (number + 1) * width // 4] = True
    boxes = [[n * width // 4, 0, (n + 1) * width // 4, height] for n in range(4)]
    return Detections(
        np.array(boxes, np.float32),
        np.array(LABELS),
        np.array(SCORES, np.float32),
        [encode_mask(mask) for mask in masks],
        (height, width),
    )


@pytest.fixture
def segmenter() -> Segmenter:
    return Segmenter(None, CLASSES, 0.5, predict_all)


@pytest.fixture
def service(segmenter: Segmenter, tmp_path: Path) -> Service:
    folder = tmp_path / "results"
    folder.mkdir()
    return Service(segmenter, folder, Collection(tmp_path / "kept", "coco", CLASSES), max_frames=4)


def write_picture(path: Path, size: tuple[int, int] = (80, 60), level: int = 90) -> Path:
    Image.new("RGB", size, (level,) * 3).save(path)
    return path


def write_video(path: Path, frames: int, size: tuple[int, int] = (80, 60)) -> Path:
    """Write a video of 10 frames per second whose frames are of different greys."""
    with open_video(path, size) as append:
        for number in range(frames):
            append(Image.new("RGB", size, (20 * number,) * 3), number / 10)
    return path
