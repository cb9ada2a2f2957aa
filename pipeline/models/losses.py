"""Losses of the detection heads: boxes, masks, and the segmentation branch."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 (the name that PyTorch users expect)
from torch import Tensor
from torchvision.models.detection.roi_heads import fastrcnn_loss

from pipeline.models.samples import ALL_LABELLED, Target

MASK_SMOOTHING = 1
"""Cells added to numerator and denominator of a region's Dice score, which defines it for empty masks."""
SEGMENTATION_SMOOTHING = 20
"""The same for a class in an image, in pixels of the finest level: reduces the loss of classes with few
pixels."""
CROSS_ENTROPY_WEIGHT = 2.0
"""Weight of the segmentation branch's cross-entropy, which is small because most pixels are easy."""
DICE_WEIGHT = 0.5
"""Weight of the segmentation branch's Dice loss."""
FINEST_STRIDE = 4
"""Stride of the pyramid's finest level."""


def box_losses(
    logits: Tensor, offsets: Tensor, labels: list[Tensor], regression_targets: list[Tensor]
) -> Tensor:
    """Compute torchvision's classification and box regression losses.

    They are 0 if there are no boxes, where torchvision returns NaN.

    Args:
        logits: class logits (P, K) of P boxes.
        offsets: predicted box offsets (P, 4 K).
        labels: for each image (P_i,), 0 for background.
        regression_targets: for each image (P_i, 4), the true offsets.

    Returns:
        The two losses (2,).
    """
    if not len(logits):
        return torch.stack([logits.sum(), offsets.sum()]) * 0
    return torch.stack(fastrcnn_loss(logits, offsets, labels, regression_targets))


def background_losses(logits: Tensor, labels: list[Tensor]) -> Tensor:
    """Compute for each image the mean classification loss of its background boxes (B,), without a gradient.

    It is 0 for an image without such a box.

    Args:
        logits: class logits (P, K) of the boxes of all images.
        labels: for each image (P_i,), 0 for background.
    """
    losses = -F.log_softmax(logits.detach(), 1)[:, 0]
    of_image = losses.split([len(image_labels) for image_labels in labels])
    return torch.stack(
        [
            (values * (n == 0)).sum() / (n == 0).sum().clamp(min=1)
            for values, n in zip(of_image, labels, strict=True)
        ]
    )


def mask_losses(logits: Tensor, labels: Tensor, target_masks: Tensor) -> dict[str, Tensor]:
    """Compute Mask R-CNN's cross-entropy and the Dice loss (Milletari, Navab and Ahmadi 2016) of masks.

    With cross-entropy alone, thin parts are lost: a truck's tiller is a few pixels among hundreds. The Dice
    loss measures the overlap.

    Args:
        logits: mask logits (N, K, M, M) of N objects.
        labels: (N,).
        target_masks: (N, M, M), the share 0..1 of each cell that the object covers.

    Returns:
        The means over the objects as ``loss_mask`` and ``loss_dice``.
    """
    if not len(labels):
        return {"loss_mask": logits.sum() * 0, "loss_dice": logits.sum() * 0}
    class_logits = logits[torch.arange(len(labels), device=labels.device), labels]
    probabilities = class_logits.sigmoid()
    cross_entropy = F.binary_cross_entropy_with_logits(class_logits, target_masks)
    dice = dice_losses(probabilities, target_masks, MASK_SMOOTHING).mean()
    return {"loss_mask": cross_entropy, "loss_dice": dice}


def dice_losses(probabilities: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Compute 1 - Dice score (N,) of maps (N, h, w), smoothed by ``smoothing`` pixels."""
    overlap = 2 * (probabilities * targets).sum((1, 2)) + smoothing
    total = probabilities.square().sum((1, 2)) + targets.square().sum((1, 2)) + smoothing
    return 1 - overlap / total


def segmentation_losses(logits: Tensor, targets: list[Target], auxiliary: int = 0) -> dict[str, Tensor]:
    """Compute the losses of the segmentation branch: cross-entropy of pixels, and Dice of classes per image.

    As in panoptic feature pyramid networks (Kirillov et al. 2019), which train such a branch beside the
    region heads. Pixels of ignore regions do not count, unless a labelled object is in front of them. Nor do
    auxiliary classes in images in which they are not labelled.

    Args:
        logits: (B, K, h, w) of K classes, at a quarter of the padded images' size.
        targets: of the resized images.
        auxiliary: number of auxiliary classes, the last of the K.

    Returns:
        ``loss_pixels`` (cross-entropy) and ``loss_regions`` (Dice).
    """
    losses = []
    for image_logits, target in zip(logits.float(), targets, strict=True):
        is_complete = target.get("auxiliary_labelled", ALL_LABELLED)
        classes = len(image_logits) - (0 if is_complete else auxiliary)
        truth, weights = _segmentation_target(target, classes)
        inside = image_logits[:classes, : truth.shape[1], : truth.shape[2]]  # without the padding
        pixel_losses = F.binary_cross_entropy_with_logits(inside, truth, reduction="none")
        dice = dice_losses(inside.sigmoid() * weights, truth, SEGMENTATION_SMOOTHING).mean()
        losses.append(torch.stack([(pixel_losses * weights).mean(), dice]))
    factors = torch.tensor((CROSS_ENTROPY_WEIGHT, DICE_WEIGHT), device=logits.device)
    cross_entropy, dice = torch.stack(losses).mean(0) * factors
    return {"loss_pixels": cross_entropy, "loss_regions": dice}


def _segmentation_target(target: Target, classes: int) -> tuple[Tensor, Tensor]:
    """Compute the target of one image at a quarter of its size.

    Returns:
        The share of each class in each pixel (K, h, w), and the weight of each pixel (h, w).
    """
    masks, labels = target["masks"], target["labels"]
    height, width = masks.shape[-2:]
    truth = torch.zeros(classes, height, width, device=masks.device)
    for number in range(classes):
        class_masks = masks[labels == number + 1]
        if len(class_masks):
            truth[number] = class_masks.amax(0).float()
    weights = torch.ones(height, width, device=masks.device)
    for x0, y0, x1, y1 in target["ignore"].round().long().clamp(min=0).tolist():
        weights[y0:y1, x0:x1] = 0
    weights = torch.maximum(weights, truth.amax(0))
    truth = F.avg_pool2d(truth[None], FINEST_STRIDE, ceil_mode=True)[0]
    weights = F.avg_pool2d(weights[None, None], FINEST_STRIDE, ceil_mode=True)[0, 0]
    return truth, weights
