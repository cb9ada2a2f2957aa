"""Sample the proposals that train the box head."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

POSITIVE_FRACTION = 0.25
"""Largest share of the sampled proposals that are objects of the classes, and of those that are objects of
auxiliary classes (torchvision's value for Mask R-CNN)."""


@dataclass(frozen=True)
class ProposalSampling:
    """How the proposals of an image are sampled for training."""

    count: int
    """Proposals per image."""
    hard_background: float = 0.0
    """Share of the sampled background proposals with the highest objectness, instead of random ones."""

    def sample(self, labels: Tensor, classes: int) -> Tensor:
        """Draw the indices of at most ``count`` proposals: objects, auxiliary objects, and background.

        Args:
            labels: (P,) of proposals in the order of falling objectness; 0: background; -1: not to be used.
            classes: number of classes with the background; labels from here on are auxiliary classes.
        """
        most = int(self.count * POSITIVE_FRACTION)
        objects = sample_indices((labels > 0) & (labels < classes), most)
        auxiliary = sample_indices(labels >= classes, most)
        room = self.count - len(objects) - len(auxiliary)
        background = labels == 0
        hard = background.nonzero()[: round(room * self.hard_background), 0]
        background[hard] = False
        return torch.cat([objects, auxiliary, hard, sample_indices(background, room - len(hard))])


def sample_indices(mask: Tensor, count: int) -> Tensor:
    """Draw the indices of at most ``count`` true entries of ``mask`` (N,)."""
    indices = mask.nonzero()[:, 0]
    if len(indices) <= count:
        return indices
    return indices[torch.randperm(len(indices))[:count].to(indices.device)]
