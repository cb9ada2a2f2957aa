"""What training adds to torchvision's Mask R-CNN: ignore regions, and a mask loss for thin things.

An ignore region is neither object nor background: nothing in it is sampled as background.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.roi_heads import RoIHeads, project_masks_on_boxes
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.models.detection.transform import GeneralizedRCNNTransform, resize_boxes

from pipeline.targets import Target

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
        self.samples = samples
        return samples

    def forward(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[Target] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        logits: list[Tensor] = []
        handle = self.mask_predictor.register_forward_hook(lambda module, inputs, out: logits.append(out))
        try:
            found, losses = super().forward(features, proposals, image_shapes, targets)
        finally:
            handle.remove()
        if targets is not None:
            losses["loss_dice"] = dice_loss(logits[0].float(), self.samples, targets)
        return found, losses


def dice_loss(logits: Tensor, samples: tuple[list[Tensor], ...], targets: list[Target]) -> Tensor:
    """Mean of 1 - Dice over the sampled objects' masks (Milletari, Navab and Ahmadi 2016).

    Cross-entropy alone, torchvision's mask loss, is content with a blob: in a truck's box the tiller is a few
    pixels among hundreds. Dice counts the overlap.

    Args:
        logits: (K, classes, M, M) of the positive samples, in order.
        samples: what ``select_training_samples`` gave: boxes, matched objects, labels, per image.
    """
    truth, chosen = [], []
    for boxes, matched, labels, target in zip(*samples[:3], targets, strict=True):
        positive = labels > 0
        chosen.append(labels[positive])
        truth.append(
            project_masks_on_boxes(target["masks"], boxes[positive], matched[positive], logits.shape[-1])
        )
    labels, wanted = torch.cat(chosen), torch.cat(truth)
    if not len(labels):
        return logits.sum() * 0
    given = logits[torch.arange(len(labels)), labels].sigmoid()
    overlap = 2 * (given * wanted).sum((1, 2)) + 1
    total: Tensor = (1 - overlap / (given.square().sum((1, 2)) + wanted.square().sum((1, 2)) + 1)).mean()
    return total


def respect_ignore_regions(model: MaskRCNN) -> MaskRCNN:
    """Make ``model`` heed ``targets[i]["ignore"]`` while it trains; weights and inference stay as they are.

    The three parts change class in place: they gain a method or two and no weights.
    """
    model.transform.__class__ = _Transform
    model.rpn.__class__ = _RPN
    model.roi_heads.__class__ = _RoIHeads
    return model
