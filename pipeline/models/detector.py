"""Mask R-CNN as one function of one picture, masks not yet pasted: what predicts is what is exported."""

import copy

import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RPNHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from pipeline.models.backbones import plain_convs
from pipeline.models.heads import CoarseRPNHead


class Detector(nn.Module):
    """The parts of a Mask R-CNN in eval mode, from a picture to boxes in it."""

    def __init__(self, model: MaskRCNN) -> None:
        """Share the parts of ``model``."""
        super().__init__()
        self.transform, self.backbone = model.transform, model.backbone
        self.rpn, self.roi_heads = model.rpn, model.roi_heads
        self.min_size, self.max_size = int(model.transform.min_size[-1]), int(model.transform.max_size)
        self.mask_margin = float(getattr(model.roi_heads.mask_roi_pool, "margin", 0.0))
        """What the masks' grids add at each side of a box, as a share of it."""
        self.mirror = bool(getattr(model, "mirror", False))
        """Whether each box is judged in the picture's mirror image too."""
        self.skipped = ""
        """The level that the RPN does not look at, if its parts do not leave it out themselves."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Find the objects in a picture.

        Args:
            image: (3, H, W) float RGB in 0..1.

        Returns:
            Boxes (N, 4) xyxy in pixels of the picture, labels (N,) int64 from 1, scores (N,) of the boxes,
            the best first, and masks (N, 28, 28): probabilities on a grid over each box, enlarged by
            ``mask_margin``.
        """
        prepared = self.prepared(image)
        sizes = [(prepared.shape[1], prepared.shape[2])]
        pictures = [prepared, prepared.flip(2)] if self.mirror else [prepared]
        batch = self.transform.batch_images(pictures)
        features: dict[str, Tensor] = {}
        mirrored: dict[str, Tensor] = {}
        for name, level in self.backbone(batch).items():
            features[name], mirrored[name] = level[:1], level[1:]
        images = ImageList(batch[:1], sizes)
        levels: dict[str, Tensor] = {}
        for name, level in features.items():
            if name != self.skipped:
                levels[name] = level
        proposals, _ = self.rpn(images, levels, None)
        if self.mirror:
            found, _ = self.roi_heads(features, proposals, sizes, None, mirrored)
        else:  # torchvision's own take no mirror image
            found, _ = self.roi_heads(features, proposals, sizes)
        own = [(image.shape[1], image.shape[2])]
        boxes = self.transform.postprocess([{"boxes": found[0]["boxes"]}], sizes, own)[0]["boxes"]
        return boxes, found[0]["labels"], found[0]["scores"], found[0]["masks"][:, 0]

    def prepared(self, image: Tensor) -> Tensor:
        """The picture (3, H, W) as the network sees it, (3, h, w).

        torchvision's own does the same, but where it is traced or compiled it computes the scale in float32:
        the picture can lose a row, and boxes a pixel.
        """
        image = self.transform.normalize(image)
        height, width = image.shape[1], image.shape[2]
        scale = min(self.min_size / min(height, width), self.max_size / max(height, width))
        size = [int(height * scale), int(width * scale)]
        return F.interpolate(image[None], size=size, mode="bilinear", align_corners=False)[0]


class TracedDetector(Detector):
    """The same for tracers, which follow tensors only, and for pixels 0..255.

    It picks rows and columns and blends them, as ``F.interpolate`` does: onnxruntime's own resizing rounds
    otherwise, which shows in thin masks, and wants the whole picture in float32.
    """

    def prepared(self, image: Tensor) -> Tensor:
        """The picture (3, H, W) uint8 as the network sees it, (3, h, w)."""
        # Vectors of float64 throughout: in ONNX a number, or a tensor without a dimension, would be float32.
        size = torch._shape_as_tensor(image)[1:].double()
        extremes = torch.cat([size.amin(0, keepdim=True), size.amax(0, keepdim=True)])
        wanted = torch.tensor([self.min_size, self.max_size], dtype=torch.float64)
        target = (size * (wanted / extremes).amin(0, keepdim=True)).floor()
        for axis in (1, 2):
            low, high, share = _places(size[axis - 1 : axis], target[axis - 1 : axis])
            share = share[:, None] if axis == 1 else share
            before, after = image.index_select(axis, low).float(), image.index_select(axis, high).float()
            image = before * (1 - share) + after * share
        prepared: Tensor = self.transform.normalize(image / 255)
        return prepared


def _places(length: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where ``count`` (1,) samples lie among ``length`` (1,) pixels: which two, how far from the first.

    Rounded to float32 where the kernel of ``F.interpolate`` rounds: the scale, and a fused multiply-add.
    """
    scale = (length / count).float().double()
    numbers = torch.arange(count[0].long())  # type: ignore[call-overload]  # where a tracer follows
    places = ((numbers.double() + 0.5) * scale - 0.5).float().clamp(min=0)
    low = places.floor()
    return low.long(), torch.minimum(low.long() + 1, length.long() - 1), places - low


class PlainGroupNorm(nn.GroupNorm):
    """GroupNorm for maps of one size, and for none of them, (0, C, H, W), in ONNX too."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W) by its groups."""
        # Numbers, not what tracers follow: onnxruntime would make of it a -1, by which nothing can't be cut.
        count, channels, height, width = x.shape[0], int(x.shape[1]), int(x.shape[2]), int(x.shape[3])
        groups = x.reshape(count, self.num_groups, channels // self.num_groups * height * width)
        middle = groups - groups.mean(2, keepdim=True)
        spread = (middle * middle).mean(2, keepdim=True)
        x = (middle / torch.sqrt(spread + self.eps)).reshape(count, channels, height, width)
        return x * self.weight[:, None, None] + self.bias[:, None, None]


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
    """The same for tracers, with the least score of a box as a second input."""

    def __init__(self, detector: Detector) -> None:
        """Let tracers follow ``detector``."""
        super().__init__()
        detector.__class__ = TracedDetector
        self.detector = detector

    def forward(self, image: Tensor, min_box_score: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Map (H, W, 3) uint8 and a score () to what ``Detector`` gives."""
        self.detector.roi_heads.score_thresh = min_box_score
        found: tuple[Tensor, Tensor, Tensor, Tensor] = self.detector(image.permute(2, 0, 1))
        return found


def plain_detector(model: MaskRCNN) -> Detector:
    """A copy of ``model`` on the CPU that tracers and the TorchScript compiler understand: the same function.

    Hooks, which only matter under autocast, are gone, and parts of classes of ours are torchvision's own.
    """
    model = copy.deepcopy(model).cpu().float().eval().to(memory_format=torch.contiguous_format)
    for module in plain_convs(model).modules():
        module._forward_hooks.clear()
    for module in model.roi_heads.modules():
        if isinstance(module, nn.GroupNorm):
            module.__class__ = PlainGroupNorm
    model.transform.__class__ = GeneralizedRCNNTransform
    detector = Detector(model).eval()
    if isinstance(model.rpn.head, CoarseRPNHead):
        detector.skipped = "0"
        model.rpn.head.__class__ = RPNHead
        model.rpn.anchor_generator.__class__ = AnchorGenerator
    return detector
