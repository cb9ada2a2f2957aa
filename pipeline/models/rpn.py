"""Ignore regions, which torchvision's Mask R-CNN does not know.

An ignore region is neither object nor background: nothing in it is sampled as background.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.rpn import RegionProposalNetwork

from pipeline.models.targets import Target

COVERED = 0.5
"""A box of which more than this lies in one ignore region is left out."""


def covered(boxes: Tensor, regions: Tensor) -> Tensor:
    """For boxes (N, 4): does more than ``COVERED`` of their area lie in one of the regions (K, 4)?"""
    if len(regions) == 0:
        return torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    low = torch.maximum(boxes[:, None, :2], regions[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], regions[None, :, 2:])
    inside = (high - low).clamp(min=0).prod(2)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return (inside > COVERED * area[:, None]).any(1)


class _RPN(RegionProposalNetwork):  # type: ignore[misc]
    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[Target]
    ) -> tuple[list[Tensor], list[Tensor]]:
        labels, boxes = super().assign_targets_to_anchors(anchors, targets)
        for label, anchor, target in zip(labels, anchors, targets, strict=True):
            label[(label == 0) & covered(anchor, target["ignore"])] = -1  # the sampler leaves -1 out
        return labels, boxes


def respect_ignore_regions(model: MaskRCNN) -> MaskRCNN:
    """Make ``model`` heed ``targets[i]["ignore"]`` while it trains; weights and inference stay as they are.

    Its RPN changes class in place; ``Transform`` and ``RefiningRoIHeads`` heed them by themselves.
    """
    model.rpn.__class__ = _RPN
    return model
