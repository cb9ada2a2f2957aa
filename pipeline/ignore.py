"""Ignore regions in training: neither object nor background, so nothing in them is sampled as background."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.models.detection.transform import GeneralizedRCNNTransform, resize_boxes

from pipeline.dataset import Target

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


class _Transform(GeneralizedRCNNTransform):  # type: ignore[misc]
    def resize(self, image: Tensor, target: Target | None = None) -> tuple[Tensor, Target | None]:
        before = image.shape[-2:]
        image, target = super().resize(image, target)
        if target is not None:
            target["ignore"] = resize_boxes(target["ignore"], before, image.shape[-2:])
        return image, target


class _RPN(RegionProposalNetwork):  # type: ignore[misc]
    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[Target]
    ) -> tuple[list[Tensor], list[Tensor]]:
        labels, boxes = super().assign_targets_to_anchors(anchors, targets)
        for label, anchor, target in zip(labels, anchors, targets, strict=True):
            label[(label == 0) & covered(anchor, target["ignore"])] = -1  # the sampler leaves -1 out
        return labels, boxes


class _RoIHeads(RoIHeads):  # type: ignore[misc]
    def select_training_samples(
        self, proposals: list[Tensor], targets: list[Target]
    ) -> tuple[list[Tensor], ...]:
        # True objects are appended after this, so that one behind an ignore region is still learnt.
        kept = [p[~covered(p, t["ignore"])] for p, t in zip(proposals, targets, strict=True)]
        samples: tuple[list[Tensor], ...] = super().select_training_samples(kept, targets)
        return samples


def respect_ignore_regions(model: MaskRCNN) -> MaskRCNN:
    """Make ``model`` heed ``targets[i]["ignore"]`` while it trains; weights and inference stay as they are.

    The three parts change class in place: they gain one method each and no state.
    """
    model.transform.__class__ = _Transform
    model.rpn.__class__ = _RPN
    model.roi_heads.__class__ = _RoIHeads
    return model
