"""Sample the proposals that train the box head."""

from __future__ import annotations

import torch
from torch import Tensor

POSITIVE_FRACTION = 0.25
"""Largest share of the sampled proposals that are objects of the classes, and of those that are objects of
auxiliary classes (torchvision's value for Mask R-CNN)."""


def sample_proposals(labels: Tensor, count: int, classes: int) -> Tensor:
    """Draw the indices of at most ``count`` proposals: objects, auxiliary objects, and background.

    Args:
        labels: (P,) of the proposals; 0: background; -1: not to be used.
        count: proposals per image.
        classes: number of classes with the background; labels from here on are auxiliary classes.
    """
    most = int(count * POSITIVE_FRACTION)
    objects = sample_indices((labels > 0) & (labels < classes), most)
    auxiliary = sample_indices(labels >= classes, most)
    background = sample_indices(labels == 0, count - len(objects) - len(auxiliary))
    return torch.cat([objects, auxiliary, background])


def sample_indices(mask: Tensor, count: int) -> Tensor:
    """Draw the indices of at most ``count`` true entries of ``mask`` (N,)."""
    indices = mask.nonzero()[:, 0]
    if len(indices) <= count:
        return indices
    return indices[torch.randperm(len(indices))[:count].to(indices.device)]
