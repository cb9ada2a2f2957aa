"""Boxes of mirrored images, and auxiliary classes in the outputs of the box head."""

from __future__ import annotations

import torch
from torch import Tensor

Shapes = list[tuple[int, int]]
"""(H, W) of images, without their padding."""


def mirror_boxes(boxes: list[Tensor], image_shapes: Shapes) -> list[Tensor]:
    """Map boxes (N_i, 4) xyxy of images to the same boxes in the mirrored images."""
    mirrored: list[Tensor] = []
    for image_boxes, shape in zip(boxes, image_shapes, strict=True):
        x0, y0, x1, y1 = image_boxes.unbind(1)
        mirrored.append(torch.stack([shape[1] - x1, y0, shape[1] - x0, y1], 1))
    return mirrored


def auxiliary_as_background(logits: Tensor, offsets: Tensor, auxiliary: int) -> tuple[Tensor, Tensor]:
    """Add the probability of the auxiliary classes to the background's, and drop their columns.

    The probabilities of the other classes do not change.

    Args:
        logits: (P, K + A) for K classes with the background and A auxiliary classes.
        offsets: (P, 4 (K + A)).
        auxiliary: A.

    Returns:
        Logits (P, K) and offsets (P, 4 K).
    """
    if not auxiliary:
        return logits, offsets
    classes = logits.shape[1] - auxiliary
    others = torch.cat([logits[:, :1], logits[:, classes:]], 1).logsumexp(1, keepdim=True)
    return torch.cat([others, logits[:, 1:classes]], 1), offsets[:, : 4 * classes]
