"""Heads for networks whose heads learn from nothing: light ones, for the people and trucks of a warehouse."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads
from torchvision.models.detection.rpn import RPNHead

from pipeline.models.backbones import group_norm

CELLS = 14
"""Of a region, down and across, that a mask is made from."""


class CoarseRPNHead(RPNHead):  # type: ignore[misc]
    """An RPN head that leaves out the finest level, three quarters of its work: boxes start at stride 8.

    Masks are still pooled from stride 4.
    """

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Give logits and box deltas of all levels but the first."""
        found: tuple[list[Tensor], list[Tensor]] = super().forward(x[1:])
        return found


class CoarseAnchorGenerator(AnchorGenerator):  # type: ignore[misc]
    """The anchors that go with ``CoarseRPNHead``."""

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        """Give each image's anchors, (A, 4), over all levels but the first."""
        anchors: list[Tensor] = super().forward(image_list, feature_maps[1:])
        return anchors


class WholeMaskHead(nn.Module):
    """Convolutions over a region, which see parts of it, and beside them a layer that sees it whole.

    As in PANet (Liu et al. 2018), whose fully connected branch tells parts apart by where they are.
    """

    def __init__(self, width: int) -> None:
        """Take and give regions of ``width`` channels, 14 x 14 cells."""
        super().__init__()
        self.cells, self.planes, seen = CELLS, 16, 32
        self.first = MaskRCNNHeads(width, (width,) * 3, 1, norm_layer=group_norm)
        self.second = MaskRCNNHeads(width, (width,) * 2, 1, norm_layer=group_norm)
        self.squeeze = nn.Conv2d(width, seen, 1)
        self.norm = group_norm(seen)
        self.whole = nn.Linear(seen * (CELLS // 2) ** 2, 256)
        self.place = nn.Linear(256, self.planes * CELLS**2)
        self.join = nn.Conv2d(width + self.planes, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, width, 14, 14) to as much."""
        x = self.first(x)
        small = F.relu(self.norm(self.squeeze(F.avg_pool2d(x, 2))))
        planes = self.place(F.relu(self.whole(small.flatten(1))))
        # Not -1 for the number of regions: of none, onnxruntime could not tell it.
        planes = planes.reshape(x.shape[0], self.planes, self.cells, self.cells)
        return F.relu(self.join(torch.cat([self.second(x), planes], 1)))
