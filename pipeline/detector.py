"""Mask R-CNN as one function of one picture, masks not yet pasted: what predicts is what is exported."""

import copy

import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.rpn import RPNHead

from pipeline.model import CoarseRPNHead


class Detector(nn.Module):
    """The parts of a Mask R-CNN in eval mode, from a picture to boxes in it."""

    def __init__(self, model: MaskRCNN) -> None:
        """Share the parts of ``model``."""
        super().__init__()
        self.transform, self.backbone = model.transform, model.backbone
        self.rpn, self.roi_heads = model.rpn, model.roi_heads
        self.skipped = ""
        """The level that the RPN does not look at, if its parts do not leave it out themselves."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Find the objects in a picture.

        Args:
            image: (3, H, W) float RGB in 0..1.

        Returns:
            Boxes (N, 4) xyxy in pixels of the picture, labels (N,) int64 from 1, scores (N,) of the boxes,
            the best first, and masks (N, 28, 28): probabilities on a grid over each box.
        """
        sizes = [(image.shape[1], image.shape[2])]
        images, _ = self.transform([image], None)
        features = self.backbone(images.tensors)
        levels: dict[str, Tensor] = {}
        for name, level in features.items():
            if name != self.skipped:
                levels[name] = level
        proposals, _ = self.rpn(images, levels, None)
        found, _ = self.roi_heads(features, proposals, images.image_sizes, None)
        boxes = self.transform.postprocess([{"boxes": found[0]["boxes"]}], images.image_sizes, sizes)[0][
            "boxes"
        ]
        return boxes, found[0]["labels"], found[0]["scores"], found[0]["masks"][:, 0]


class PixelDetector(nn.Module):
    """What an exported file holds: a detector that takes pixels as they come, (H, W, 3) uint8 RGB."""

    def __init__(self, detector: Detector) -> None:
        """Put the conversion before ``detector``."""
        super().__init__()
        self.detector = detector

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Map (H, W, 3) uint8 to what ``Detector`` gives."""
        found: tuple[Tensor, Tensor, Tensor, Tensor] = self.detector(image.permute(2, 0, 1).float() / 255)
        return found


class TunableDetector(nn.Module):
    """The same with the least score of a box as a second input, where a tracer shall see it."""

    def __init__(self, detector: Detector) -> None:
        """Put the conversion before ``detector``."""
        super().__init__()
        self.pixels = PixelDetector(detector)

    def forward(self, image: Tensor, min_box_score: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Map (H, W, 3) uint8 and a score () to what ``Detector`` gives."""
        self.pixels.detector.roi_heads.score_thresh = min_box_score
        found: tuple[Tensor, Tensor, Tensor, Tensor] = self.pixels(image)
        return found


def plain_detector(model: MaskRCNN) -> Detector:
    """A copy of ``model`` on the CPU that tracers and the TorchScript compiler understand: the same function.

    Hooks, which only matter under autocast, are gone, and parts of classes of ours are torchvision's own.
    """
    model = copy.deepcopy(model).cpu().float().eval().to(memory_format=torch.contiguous_format)
    for module in model.modules():
        module._forward_hooks.clear()
    detector = Detector(model).eval()
    if isinstance(model.rpn.head, CoarseRPNHead):
        detector.skipped = "0"
        model.rpn.head.__class__ = RPNHead
        model.rpn.anchor_generator.__class__ = AnchorGenerator
    return detector
