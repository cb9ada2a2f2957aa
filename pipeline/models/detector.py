"""Mask R-CNN as a function of one image, for prediction and export. It does not paste the masks."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812 (the name that PyTorch users expect)
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.image_list import ImageList

from pipeline.models.mask_rcnn import TranspaletteMaskRCNN

RawDetections = tuple[Tensor, Tensor, Tensor, Tensor]
"""The detections in one image, the highest score first: boxes (N, 4) xyxy in pixels of the image, labels (N,)
int64 from 1, scores (N,) of the boxes, and masks (N, M, M): probabilities on a grid over each box, enlarged
by the model's mask margin."""


class Detector(nn.Module):
    """The modules of a Mask R-CNN in eval mode, as a function of one image.

    It also takes torchvision's own models, which have no mask margin and use no mirror image.
    """

    def __init__(self, model: MaskRCNN) -> None:
        """Build a detector that shares the modules of ``model``."""
        super().__init__()
        self.transform, self.backbone = model.transform, model.backbone
        self.rpn, self.roi_heads = model.rpn, model.roi_heads
        self.min_size, self.max_size = int(model.transform.min_size[-1]), int(model.transform.max_size)
        self.mask_margin, self.mirror = 0.0, False
        if isinstance(model, TranspaletteMaskRCNN):
            self.mask_margin, self.mirror = model.mask_margin, model.mirror

    def forward(self, image: Tensor) -> RawDetections:
        """Detect the objects in an image (3, H, W), float RGB in 0..1."""
        resized = self.preprocess(image)
        sizes = [(resized.shape[1], resized.shape[2])]
        batch = self.transform.batch_images([resized, resized.flip(2)] if self.mirror else [resized])
        levels = self.backbone(batch)
        features = {name: level[:1] for name, level in levels.items()}
        proposals, _ = self.rpn(ImageList(batch[:1], sizes), features, None)
        if self.mirror:
            mirrored = {name: level[1:] for name, level in levels.items()}
            (detections,), _ = self.roi_heads(features, proposals, sizes, None, mirrored)
        else:
            (detections,), _ = self.roi_heads(features, proposals, sizes)
        original = [(image.shape[1], image.shape[2])]
        (scaled,) = self.transform.postprocess([{"boxes": detections["boxes"]}], sizes, original)
        return scaled["boxes"], detections["labels"], detections["scores"], detections["masks"][:, 0]

    def preprocess(self, image: Tensor) -> Tensor:
        """Normalise and resize an image (3, H, W) to (3, h, w).

        It replaces torchvision's transform, whose result depends on the precision of the scale: it can lose a
        row, and in float32 (if the network is traced or compiled) more often than in float64.
        """
        image = self.transform.normalize(image)
        size = resized_size(image.shape[1], image.shape[2], self.min_size, self.max_size)
        return F.interpolate(image[None], size=list(size), mode="bilinear", align_corners=False)[0]


def resized_size(height: int, width: int, min_size: int, max_size: int) -> tuple[int, int]:
    """Compute the size of a resized image, in whole numbers and so exactly.

    Args:
        height: height of the image in pixels.
        width: its width.
        min_size: shorter side of the resized image, as far as ``max_size`` allows.
        max_size: largest longer side of the resized image.

    Returns:
        Height and width in pixels, rounded down, at least 1.
    """
    short, long = min(height, width), max(height, width)
    numerator, denominator = (min_size, short) if min_size * long <= max_size * short else (max_size, long)
    return max(1, height * numerator // denominator), max(1, width * numerator // denominator)
