"""The region proposal network (RPN): anchors, and ignore regions in training.

An ignore region is neither object nor background: no anchor or proposal inside one counts as background.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

from pipeline.models.samples import Target

MAX_IGNORED_SHARE = 0.5
"""A box is ignored if more than this share of its area lies in one ignore region."""

# torchvision's values for Mask R-CNN (He et al. 2017).
FOREGROUND_IOU = 0.7
"""Least IoU with a ground-truth box from which an anchor counts as an object ..."""
BACKGROUND_IOU = 0.3
"""... and the IoU below which it counts as background."""
ANCHORS_PER_IMAGE = 256
"""Anchors that are sampled in each image for the RPN's losses."""
POSITIVE_FRACTION = 0.5
"""Largest share of objects among the sampled anchors."""
NMS_IOU = 0.7
"""IoU from which non-maximum suppression drops the lower-scoring one of two proposals."""
COCO_ANCHOR_SIZES = ((32,), (64,), (128,), (256,), (512,))
"""Square roots of the anchors' areas, in pixels of the resized image, for each level of COCO's models."""
COCO_ANCHOR_RATIOS = (0.5, 1.0, 2.0)
"""Height / width of the anchors of COCO's models."""

LIGHT_ANCHOR_SIZES = ((24, 40), (60, 90), (128, 180), (256, 360))
"""Square roots of the anchors' areas, in pixels of the resized image, for the levels of strides 8 to 64."""
LIGHT_ANCHOR_RATIOS = (0.6, 1.3, 2.8)
"""Height / width of the anchors: pallet trucks lie, people stand."""


class IgnoringRPN(RegionProposalNetwork):  # type: ignore[misc]
    """torchvision's RPN, which in training also respects ``targets[i]["ignore"]``."""

    def __init__(
        self,
        anchor_generator: AnchorGenerator,
        head: nn.Module,
        pre_nms_top_n: dict[str, int],
        post_nms_top_n: dict[str, int],
    ) -> None:
        """Build it with torchvision's thresholds.

        Args:
            anchor_generator: gives the anchors of each level.
            head: maps the levels to logits and box offsets of the anchors.
            pre_nms_top_n: proposals per level before non-maximum suppression, by "training" and "testing".
            post_nms_top_n: proposals per image after it.
        """
        super().__init__(
            anchor_generator, head, FOREGROUND_IOU, BACKGROUND_IOU, ANCHORS_PER_IMAGE, POSITIVE_FRACTION,
            pre_nms_top_n, post_nms_top_n, NMS_IOU,
        )  # fmt: skip
        head.register_forward_hook(_to_float32)

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[Target]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Label anchors: 1 object, 0 background, -1 not sampled; and the ground-truth box of each."""
        labels, boxes = super().assign_targets_to_anchors(anchors, targets)
        for label, anchor, target in zip(labels, anchors, targets, strict=True):
            label[(label == 0) & in_ignore_region(anchor, target["ignore"])] = -1
        return labels, boxes


class CoarseRPNHead(RPNHead):  # type: ignore[misc]
    """An RPN head that skips the finest level, three quarters of its work: proposals start at stride 8.

    Masks are still pooled from stride 4.
    """

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Map the levels, (B, C, h, w) each, to logits and box offsets of all levels but the first."""
        outputs: tuple[list[Tensor], list[Tensor]] = super().forward(x[1:])
        return outputs


class CoarseAnchorGenerator(AnchorGenerator):  # type: ignore[misc]
    """The anchor generator that goes with ``CoarseRPNHead``."""

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        """Return each image's anchors (A, 4) xyxy, over all levels but the first."""
        anchors: list[Tensor] = super().forward(image_list, feature_maps[1:])
        return anchors


def in_ignore_region(boxes: Tensor, regions: Tensor) -> Tensor:
    """Whether more than ``MAX_IGNORED_SHARE`` of each box lies in one of the regions.

    Args:
        boxes: (N, 4) xyxy.
        regions: (K, 4) xyxy.

    Returns:
        (N,) bool.
    """
    if len(regions) == 0:
        return torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    low = torch.maximum(boxes[:, None, :2], regions[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], regions[None, :, 2:])
    intersection = (high - low).clamp(min=0).prod(2)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return (intersection > MAX_IGNORED_SHARE * area[:, None]).any(1)


def _to_float32(module: nn.Module, inputs: Any, outputs: tuple[list[Tensor], ...]) -> tuple[Any, ...]:
    """A forward hook that converts an RPN head's outputs from autocast's type to float32.

    torchvision computes boxes in the type of the head's outputs. bfloat16 has 8 bits of mantissa: at pixel
    300 it moves in steps of 2, so a box of one pixel can become empty, which makes the box loss NaN.
    """
    return tuple([x.float() for x in levels] for levels in outputs)
