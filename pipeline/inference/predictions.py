"""What a model finds in a picture, as numpy: masks pasted one by one (together they are large). No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_utils

from pipeline.data.rle import encode_mask

MASK_THRESHOLD = 0.4
"""Probability from which a pixel belongs to an object. The best IoU lies below one half, at IoU/(1 + IoU),
half the best Dice score (Lipton, Elkan and Naryanaswamy 2014); at 0.5 tillers and forks would be lost."""
EXTENT_THRESHOLD = 0.15
"""Probability from which a pixel counts for where an object ends. A mask is unsure of a tiller long before it
is sure that there is none: at ``MASK_THRESHOLD``, boxes would lose it. On 120 renders, pallet trucks' box
AP50 was 0.647 at 0.4, 0.666 at 0.2, 0.682 at 0.15 and 0.668 at 0.1."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Prediction:
    """What the model found in one image, best score first."""

    boxes: np.ndarray
    """(N, 4) xyxy float32, pixels."""
    labels: np.ndarray
    """(N,) int64, from 1: the profile's order."""
    scores: np.ndarray
    """(N,) float32."""
    rles: list[dict[str, Any]]
    """N masks of the image's size, as compressed RLE (``counts`` a str)."""
    size: tuple[int, int]
    """H, W of the image."""

    @property
    def masks(self) -> np.ndarray:
        """(N, H, W) bool, decoded anew each time: N times the picture's pixels in bytes."""
        if not self.rles:
            return np.zeros((0, *self.size), bool)
        return np.ascontiguousarray(np.moveaxis(mask_utils.decode(self.rles), 2, 0)).astype(bool)

    def at_least(self, score: float) -> Prediction:
        """What was found with at least this score."""
        kept = np.flatnonzero(self.scores >= score)
        rles = [self.rles[number] for number in kept]
        return Prediction(self.boxes[kept], self.labels[kept], self.scores[kept], rles, self.size)


def pasted(
    boxes: Floats,
    labels: npt.NDArray[np.int64],
    scores: Floats,
    masks: Floats,
    size: tuple[int, int],
    threshold: float = MASK_THRESHOLD,
    margin: float = 0.0,
) -> Prediction:
    """Put the masks of N boxes into their picture, and order what was found.

    A score becomes the box's times how sure the mask is of its own pixels, the mean probability inside, so
    that among equal boxes the better mask ranks first (SOLOv2, Wang et al. 2020).

    Args:
        boxes: (N, 4) xyxy in pixels of the picture.
        labels: (N,) from 1.
        scores: (N,) of the boxes.
        masks: (N, M, M) probabilities on a grid over each box, enlarged by ``margin``.
        size: H, W of the picture.
        threshold: the probability from which a pixel is the object's.
        margin: what the grid adds at each side of a box, as a share of it. Where it adds something, masks
            know of edges what boxes do not: a box becomes the mean of itself and its mask's extent. That
            counts pixels from ``EXTENT_THRESHOLD``.
    """
    canvas = np.zeros(size, np.uint8, order="F")  # as pycocotools reads it
    sure, rles = np.zeros(len(boxes), np.float32), []
    extra = (boxes[:, 2:] - boxes[:, :2]) * np.float32(margin)
    grids, boxes = np.concatenate([boxes[:, :2] - extra, boxes[:, 2:] + extra], 1), boxes.copy()
    for number, (grid, mask) in enumerate(zip(grids, masks, strict=True)):
        probability, top, left = paste(grid, mask, size)
        inside = probability >= threshold
        area = canvas[top : top + inside.shape[0], left : left + inside.shape[1]]
        area[...] = inside
        rles.append(encode_mask(canvas))
        area[...] = 0
        sure[number] = probability[inside].mean() if inside.any() else 0
        if margin and inside.any():
            likely = probability >= min(threshold, EXTENT_THRESHOLD)
            rows, columns = np.flatnonzero(likely.any(1)), np.flatnonzero(likely.any(0))
            extent = (left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1)
            boxes[number] = (boxes[number] + np.array(extent, np.float32)) / 2
    scores = scores * sure
    order = np.argsort(-scores, kind="stable")
    return Prediction(boxes[order], labels[order], scores[order], [rles[n] for n in order], size)


def paste(box: Floats, mask: Floats, size: tuple[int, int]) -> tuple[Floats, int, int]:
    """Stretch a mask over its box, as torchvision's ``paste_masks_in_image`` does, inside the picture alone.

    Args:
        box: (4,) xyxy, pixels.
        mask: (M, M) probabilities.
        size: H, W of the picture.

    Returns:
        Probabilities (h, w) of that part of the picture which the box meets, and its first row and column.
    """
    cells = mask.shape[0] + 2  # a rim of nothing around the mask, and the box larger by as much
    half = (box[2:] - box[:2]) * np.float32(0.5) * np.float32(cells / mask.shape[0])
    middle = (box[2:] + box[:2]) * np.float32(0.5)
    (x0, y0), (x1, y1) = (middle - half).astype(np.int64), (middle + half).astype(np.int64) + 1
    rows, columns = (max(y0, 0), min(y1, size[0])), (max(x0, 0), min(x1, size[1]))
    down = _bilinear(rows[0] - y0, rows[1] - y0, max(y1 - y0, 1), cells)
    across = _bilinear(columns[0] - x0, columns[1] - x0, max(x1 - x0, 1), cells)
    return down @ np.pad(mask, 1) @ across.T, int(rows[0]), int(columns[0])


def _bilinear(start: int, stop: int, length: int, cells: int) -> Floats:
    """The weights of ``cells`` samples in the pixels ``start`` to ``stop`` of ``length``: (pixels, cells)."""
    pixels = np.arange(start, max(start, stop))
    place = np.maximum((pixels + 0.5) * (cells / length) - 0.5, 0)
    low = np.minimum(place.astype(np.int64), cells - 1)
    share = (place - low).astype(np.float32)
    weights = np.zeros((len(pixels), cells), np.float32)
    rows = np.arange(len(pixels))
    weights[rows, low] = 1 - share
    weights[rows, np.minimum(low + 1, cells - 1)] += share
    return weights


def to_coco(prediction: Prediction, image_id: int, categories: Mapping[int, int]) -> list[dict[str, Any]]:
    """One image's predictions as COCO results.

    Args:
        categories: label (from 1) to the annotation file's category id; others are left out.
    """
    results = []
    for box, label, score, rle in zip(
        prediction.boxes.tolist(), prediction.labels.tolist(), prediction.scores.tolist(), prediction.rles,
        strict=True,
    ):  # fmt: skip
        if label in categories:
            left, top, right, bottom = box
            results.append(
                {
                    "image_id": image_id,
                    "category_id": categories[label],
                    "bbox": [left, top, right - left, bottom - top],
                    "score": score,
                    "segmentation": rle,
                }
            )
    return results


def rounded(result: dict[str, Any]) -> dict[str, Any]:
    """A COCO result with its box to 1/1000 px and its score to six decimals, as it is written."""
    box = [round(value, 3) for value in result["bbox"]]
    return result | {"bbox": box, "score": round(result["score"], 6)}
