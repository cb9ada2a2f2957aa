"""Boxes of mirrored images, and auxiliary classes in the outputs of the box head."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 (the name that PyTorch users expect)
from torch import Tensor

from pipeline.models.samples import ALL_LABELLED, Target

Shapes = list[tuple[int, int]]
"""(H, W) of images, without their padding."""
IMPOSSIBLE = -1e4
"""Logit of a class of probability 0."""


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
    others = torch.cat([logits[:, :1], logits[:, classes:]], 1)
    # Their logsumexp. OpenVINO computes ONNX's operator ReduceLogSumExp over all axes.
    background = others[:, :1] - F.log_softmax(others, 1)[:, :1]
    return torch.cat([background, logits[:, 1:classes]], 1), offsets[:, : 4 * classes]


def accept_auxiliary_as_background(
    logits: Tensor, labels: list[Tensor], targets: list[Target], auxiliary: int
) -> Tensor:
    """Let auxiliary classes count as background in images in which they are not labelled.

    There the classification loss of a background box becomes -log(P(background) + P(auxiliary classes)): a
    forklift in a photograph may stay a forklift, but not become a pallet truck.

    Args:
        logits: class logits (P, K + A) of the boxes of all images, for A auxiliary classes.
        labels: for each image (P_i,), 0 for background.
        targets: of the images.
        auxiliary: A.

    Returns:
        Logits (P, K + A), in which auxiliary classes of such boxes have the probability 0.
    """
    unlabelled = torch.cat(
        [(n == 0) & ~t.get("auxiliary_labelled", ALL_LABELLED) for n, t in zip(labels, targets, strict=True)]
    )
    if not auxiliary or not unlabelled.any():
        return logits
    merged, _ = auxiliary_as_background(logits, logits.new_zeros(len(logits), 0), auxiliary)
    merged = F.pad(merged, [0, auxiliary], value=IMPOSSIBLE)
    return torch.where(unlabelled[:, None], merged, logits)
