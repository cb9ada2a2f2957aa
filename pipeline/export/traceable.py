"""The detector in a form that torch.onnx can trace, from raw pixels, for images of any size."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F  # noqa: N812 (the name that PyTorch users expect)
from torch import Tensor
from torchvision.ops import clip_boxes_to_image, nms

from pipeline.models.backbones.efficientnet import use_plain_convs
from pipeline.models.detector import Detector, RawDetections
from pipeline.models.mask_rcnn import TranspaletteMaskRCNN
from pipeline.models.roi.heads import CascadeRoIHeads

MIN_BOX_SIDE = 0.01
"""Shortest side of a detection in pixels of the resized image (as in torchvision)."""


class TraceableDetector(Detector):
    """A traceable detector whose inputs are pixels (H, W, 3) uint8 and the lowest box score."""

    def forward(  # type: ignore[override]  # torch.onnx passes the exported model's two inputs
        self, image: Tensor, min_box_score: Tensor
    ) -> RawDetections:
        """Detect objects with at least ``min_box_score`` () in an image (H, W, 3) uint8 RGB."""
        self.roi_heads.score_thresh = min_box_score
        boxes, labels, scores, masks = super().forward(image.permute(2, 0, 1))
        return boxes[:-1], labels[:-1], scores[:-1], masks[:-1]

    def preprocess(self, image: Tensor) -> Tensor:
        """Normalise and resize an image (3, H, W) uint8 to (3, h, w).

        It interpolates between selected rows and columns, with the result of ``F.interpolate``. onnxruntime's
        resizing rounds differently, which changes thin masks, and needs the original image in float32.
        """
        # As resized_size. All sizes are vectors, because the exporter converts scalar tensors to float32; and
        # whole numbers, because some runtimes (OpenVINO) compute float64 in float32.
        size = torch._shape_as_tensor(image)[1:]
        short, long = size.amin(0, keepdim=True), size.amax(0, keepdim=True)
        is_short_limited = self.min_size * long <= self.max_size * short
        numerator = torch.where(is_short_limited, self.min_size, self.max_size)
        denominator = torch.where(is_short_limited, short, long)
        target = torch.div(size * numerator, denominator, rounding_mode="floor").clamp(min=1)
        for axis in (1, 2):
            low, high, share = _interpolation(size[axis - 1 : axis], target[axis - 1 : axis])
            share = share[:, None] if axis == 1 else share
            before, after = image.index_select(axis, low).float(), image.index_select(axis, high).float()
            image = before * (1 - share) + after * share
        resized: Tensor = self.transform.normalize(image / 255)
        return resized


def _interpolation(length: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the positions of ``count`` (1,) samples among ``length`` (1,) pixels.

    It rounds to float32 where the kernel of ``F.interpolate`` does: the scale and a fused multiply-add.

    Returns:
        The pixel before each sample, the pixel after it, and the weight of the latter; (count,) each.
    """
    scale = (length.double() / count.double()).float().double()
    numbers = torch.arange(count[0])  # type: ignore[call-overload]  # a traced tensor
    positions = ((numbers.double() + 0.5) * scale - 0.5).float().clamp(min=0)
    low = positions.floor()
    return low.long(), torch.minimum(low.long() + 1, length - 1), positions - low


class TraceableRoIHeads(CascadeRoIHeads):
    """Region heads for one image that add a last row to the detections, so that no tensor is ever empty.

    Runtimes disagree about operators on empty tensors: OpenVINO returned a detection of uninitialised memory
    for an image without objects. The added row has label 0 and the lowest score; the caller removes it.
    """

    @classmethod
    def from_roi_heads(cls, heads: CascadeRoIHeads) -> TraceableRoIHeads:
        """Build heads that share the modules and settings of ``heads``."""
        made = cls.__new__(cls)
        made.__dict__.update(vars(heads))
        return made

    def postprocess_detections(
        self,
        class_logits: Tensor,
        box_regression: Tensor,
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Select detections as torchvision's ``RoIHeads`` does, and add the last row.

        Args:
            class_logits: (P, K).
            box_regression: (P, 4 K).
            proposals: (P, 4) xyxy, of one image.
            image_shapes: (H, W), of one image.

        Returns:
            Boxes (N + 1, 4), scores (N + 1,) and labels (N + 1,), for one image.
        """
        classes = class_logits.shape[1]
        boxes = clip_boxes_to_image(self.box_coder.decode(box_regression, proposals), image_shapes[0])
        boxes, scores = boxes[:, 1:].reshape(-1, 4), F.softmax(class_logits, 1)[:, 1:]
        labels = torch.arange(1, classes).expand_as(scores).reshape(-1)
        scores = scores.reshape(-1)
        large = ((boxes[:, 2:] - boxes[:, :2]) >= MIN_BOX_SIDE).all(1)
        selected = torch.where((scores > self.score_thresh) & large)[0]
        boxes = torch.cat([boxes[selected], torch.tensor([[0.0, 0.0, 1.0, 1.0]])])
        scores = torch.cat([scores[selected], torch.tensor([-1.0])])
        labels = torch.cat([labels[selected], torch.tensor([0])])
        # Boxes of different labels are moved apart, so that NMS compares only boxes of the same label.
        offsets = labels * (boxes.max() + 1)
        kept = nms(boxes + offsets[:, None], scores, self.nms_thresh)  # in the order of falling scores
        kept = torch.cat([kept[:-1][: self.detections_per_img], kept[-1:]])
        return [boxes[kept]], [scores[kept]], [labels[kept]]


def traceable_detector(model: TranspaletteMaskRCNN) -> TraceableDetector:
    """Build a traceable detector from a copy of ``model`` on the CPU, in eval mode and float32."""
    model = copy.deepcopy(model).cpu().float().eval().to(memory_format=torch.contiguous_format)
    use_plain_convs(model.backbone)
    model.roi_heads = TraceableRoIHeads.from_roi_heads(model.roi_heads)
    return TraceableDetector(model).eval()
