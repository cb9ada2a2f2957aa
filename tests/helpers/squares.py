"""Videos of two squares that move in two lanes, and a detector that finds them at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pipeline.data.rle import encode_mask
from pipeline.inference.detections import Detections
from pipeline.inference.segmenter import Segmenter

WIDTH, HEIGHT = 160, 96
SIDE = 24
TOPS = (8, 60)
"""Upper edges of the red and the blue square."""
RATE = 10
"""Frames per second."""


def detect_squares(pixels: npt.NDArray[np.uint8]) -> Detections:
    """Detect a red square as label 1 and a blue one as label 2; the score is the brightness."""
    boxes, labels, scores, rles = [], [], [], []
    for label, channel in ((1, 0), (2, 2)):
        other = pixels[..., 2 - channel].astype(int)
        mask = (pixels[..., channel] > other + 30).astype(np.uint8)
        if mask.sum() < SIDE:
            continue
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        labels.append(label)
        scores.append(np.median(pixels[..., channel][mask > 0]) / 255)
        rles.append(encode_mask(mask))
    order = np.argsort(scores)[::-1]
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4)[order],
        np.array(labels, np.int64)[order],
        np.array(scores, np.float32)[order],
        [rles[index] for index in order],
        (pixels.shape[0], pixels.shape[1]),
    )


def squares_segmenter() -> Segmenter:
    """Return a model that detects red squares as pedestrians and blue ones as pallet trucks."""
    return Segmenter(None, ("pedestrian", "pallet_truck"), 0.5, detect_squares)


def left_edges(frame: int) -> tuple[int, int]:
    """Return the left edges of the red and the blue square in a frame: they move 5 pixels a frame."""
    red = 4 + 5 * frame % (WIDTH - SIDE)
    return red, WIDTH - 4 - 5 * frame % (WIDTH - SIDE - 8) - SIDE


def draw_squares(frame: int, red: Callable[[int], int] = lambda frame: 230) -> npt.NDArray[np.uint8]:
    """Return frame number ``frame`` (HEIGHT, WIDTH, 3); ``red`` gives the brightness of the red square."""
    pixels = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
    left, right = left_edges(frame)
    pixels[TOPS[0] : TOPS[0] + SIDE, left : left + SIDE, 0] = red(frame)
    pixels[TOPS[1] : TOPS[1] + SIDE, right : right + SIDE, 2] = 240
    return pixels
