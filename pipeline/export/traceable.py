"""The detector in a form that torch.onnx can trace, from raw pixels, for images of any size."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from pipeline.models.backbones.efficientnet import use_plain_convs
from pipeline.models.detector import Detector, RawDetections
from pipeline.models.mask_rcnn import TranspaletteMaskRCNN
from pipeline.models.norms import replace_modules


class TraceableDetector(Detector):
    """A traceable detector whose inputs are pixels (H, W, 3) uint8 and the lowest box score."""

    def forward(  # type: ignore[override]  # torch.onnx passes the exported model's two inputs
        self, image: Tensor, min_box_score: Tensor
    ) -> RawDetections:
        """Detect objects with at least ``min_box_score`` () in an image (H, W, 3) uint8 RGB."""
        self.roi_heads.score_thresh = min_box_score
        return super().forward(image.permute(2, 0, 1))

    def preprocess(self, image: Tensor) -> Tensor:
        """Normalise and resize an image (3, H, W) uint8 to (3, h, w).

        It interpolates between selected rows and columns, with the result of ``F.interpolate``. onnxruntime's
        resizing rounds differently, which changes thin masks, and needs the original image in float32.
        """
        # All sizes are float64 vectors, because the exporter converts numbers and scalar tensors to float32.
        size = torch._shape_as_tensor(image)[1:].double()
        extremes = torch.cat([size.amin(0, keepdim=True), size.amax(0, keepdim=True)])
        limits = torch.tensor([self.min_size, self.max_size], dtype=torch.float64)
        target = (size * (limits / extremes).amin(0, keepdim=True)).floor().clamp(min=1)
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
    scale = (length / count).float().double()
    numbers = torch.arange(count[0].long())  # type: ignore[call-overload]  # a traced tensor
    positions = ((numbers.double() + 0.5) * scale - 0.5).float().clamp(min=0)
    low = positions.floor()
    return low.long(), torch.minimum(low.long() + 1, length.long() - 1), positions - low


class TraceableGroupNorm(nn.GroupNorm):
    """GroupNorm that works in ONNX for maps of a fixed size, also if there are none: (0, C, H, W)."""

    @classmethod
    def from_group_norm(cls, norm: nn.GroupNorm) -> TraceableGroupNorm:
        """Build a layer that shares the parameters of ``norm``."""
        made = cls(norm.num_groups, norm.num_channels, norm.eps)
        made.weight, made.bias = norm.weight, norm.bias
        return made

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W) by its groups."""
        # Plain numbers, because traced numbers would become a -1 in ONNX, which fails if N is 0.
        count, channels, height, width = x.shape[0], int(x.shape[1]), int(x.shape[2]), int(x.shape[3])
        groups = x.reshape(count, self.num_groups, channels // self.num_groups * height * width)
        centred = groups - groups.mean(2, keepdim=True)
        variance = (centred * centred).mean(2, keepdim=True)
        x = (centred / torch.sqrt(variance + self.eps)).reshape(count, channels, height, width)
        return x * self.weight[:, None, None] + self.bias[:, None, None]


def traceable_detector(model: TranspaletteMaskRCNN) -> TraceableDetector:
    """Build a traceable detector from a copy of ``model`` on the CPU, in eval mode and float32."""
    model = copy.deepcopy(model).cpu().float().eval().to(memory_format=torch.contiguous_format)
    use_plain_convs(model.backbone)
    replace_modules(model.roi_heads, _traceable_group_norm)
    return TraceableDetector(model).eval()


def _traceable_group_norm(module: nn.Module) -> nn.Module | None:
    return TraceableGroupNorm.from_group_norm(module) if isinstance(module, nn.GroupNorm) else None
