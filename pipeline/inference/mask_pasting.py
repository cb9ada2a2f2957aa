"""Paste a network's small masks into the image, one by one, because together they would need much memory.

This module does not use torch.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.data.rle import encode_mask
from pipeline.inference.detections import Detections

MASK_THRESHOLD = 0.4
"""Probability from which a pixel belongs to an object. The threshold with the best IoU is IoU / (1 + IoU),
half
the best Dice score, and so below 0.5 (Lipton, Elkan and Naryanaswamy 2014). At 0.5 tillers and forks are
lost."""
EXTENT_THRESHOLD = 0.15
"""Probability from which a pixel belongs to the extent of an object, which corrects its box. Probabilities
are
low on tillers, so boxes lose them at ``MASK_THRESHOLD``. On 120 renders the box AP50 of pallet trucks was
0.647 at 0.4, 0.666 at 0.2, 0.682 at 0.15 and 0.668 at 0.1."""

Floats = npt.NDArray[np.float32]


def paste_masks(
    boxes: Floats,
    labels: npt.NDArray[np.int64],
    scores: Floats,
    masks: Floats,
    image_size: tuple[int, int],
    threshold: float = MASK_THRESHOLD,
    margin: float = 0.0,
) -> Detections:
    """Paste the masks of N boxes into their image, and rank the detections.

    A box's score is multiplied by the mean probability inside its mask. So among equal boxes the box with the
    best mask ranks first (SOLOv2, Wang et al. 2020).

    Args:
        boxes: (N, 4) xyxy in pixels of the image.
        labels: (N,) from 1.
        scores: (N,) of the boxes.
        masks: (N, M, M) probabilities on a grid over each box, enlarged by ``margin``.
        image_size: height and width of the image.
        threshold: probability from which a pixel belongs to the object.
        margin: width that the grid adds at each side of a box, as a share of its side. If it is above 0,
        masks
            correct boxes: a box becomes the mean of itself and its mask's extent (see ``EXTENT_THRESHOLD``).

    Returns:
        The detections, the highest score first.
    """
    canvas = np.zeros(image_size, np.uint8, order="F")  # the order that pycocotools reads without a copy
    mask_scores, rles = np.zeros(len(boxes), np.float32), []
    extra = (boxes[:, 2:] - boxes[:, :2]) * np.float32(margin)
    grids, boxes = np.concatenate([boxes[:, :2] - extra, boxes[:, 2:] + extra], 1), boxes.copy()
    for number, (grid, mask) in enumerate(zip(grids, masks, strict=True)):
        probability, top, left = paste_mask(grid, mask, image_size)
        inside = probability >= threshold
        area = canvas[top : top + inside.shape[0], left : left + inside.shape[1]]
        area[...] = inside
        rles.append(encode_mask(canvas))
        area[...] = 0
        mask_scores[number] = probability[inside].mean() if inside.any() else 0
        if margin and inside.any():
            likely = probability >= min(threshold, EXTENT_THRESHOLD)
            rows, columns = np.flatnonzero(likely.any(1)), np.flatnonzero(likely.any(0))
            extent = (left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1)
            boxes[number] = (boxes[number] + np.array(extent, np.float32)) / 2
    scores = scores * mask_scores
    order = np.argsort(-scores, kind="stable")
    return Detections(boxes[order], labels[order], scores[order], [rles[n] for n in order], image_size)


def paste_mask(box: Floats, mask: Floats, image_size: tuple[int, int]) -> tuple[Floats, int, int]:
    """Resize a mask to its box, as torchvision's ``paste_masks_in_image`` does, but clip it to the image.

    Args:
        box: (4,) xyxy, in pixels.
        mask: (M, M) probabilities.
        image_size: height and width of the image.

    Returns:
        Probabilities (h, w) of the part of the image that the box covers, and its first row and column.
    """
    cells = mask.shape[0] + 2  # the mask is padded with a border of zeros, and the box enlarged accordingly
    half = (box[2:] - box[:2]) * np.float32(0.5) * np.float32(cells / mask.shape[0])
    centre = (box[2:] + box[:2]) * np.float32(0.5)
    (x0, y0), (x1, y1) = (centre - half).astype(np.int64), (centre + half).astype(np.int64) + 1
    rows, columns = (max(y0, 0), min(y1, image_size[0])), (max(x0, 0), min(x1, image_size[1]))
    down = _bilinear_weights(rows[0] - y0, rows[1] - y0, max(y1 - y0, 1), cells)
    across = _bilinear_weights(columns[0] - x0, columns[1] - x0, max(x1 - x0, 1), cells)
    return down @ np.pad(mask, 1) @ across.T, int(rows[0]), int(columns[0])


def _bilinear_weights(start: int, stop: int, length: int, cells: int) -> Floats:
    """Compute the weights of bilinear resizing from ``cells`` samples to ``length`` pixels.

    Returns:
        Weights (stop - start, cells) for the pixels from ``start`` to ``stop``.
    """
    pixels = np.arange(start, max(start, stop))
    position = np.maximum((pixels + 0.5) * (cells / length) - 0.5, 0)
    low = np.minimum(position.astype(np.int64), cells - 1)
    share = (position - low).astype(np.float32)
    weights = np.zeros((len(pixels), cells), np.float32)
    rows = np.arange(len(pixels))
    weights[rows, low] = 1 - share
    weights[rows, np.minimum(low + 1, cells - 1)] += share
    return weights
