"""The mask head of the light models, whose heads start from random weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 (the name that PyTorch users expect)
from torch import Tensor, nn
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads

from pipeline.models.norms import group_norm

MASK_CELLS = 14
"""Cells of a region, down and across, that a mask is computed from (as in torchvision)."""
POOLED_CELLS = MASK_CELLS // 2
"""Cells, down and across, that the fully connected branch gets: half, for a quarter of its weights."""
SQUEEZED_CHANNELS = 32
"""Channels of the region that the fully connected branch gets."""
HIDDEN_FEATURES = 256
"""Features of the fully connected branch's hidden layer."""
PLANES = 16
"""Channels that the fully connected branch adds to the convolutions' ones."""


class FusedMaskHead(nn.Module):
    """Convolutions over a region, fused with a fully connected branch over the complete region.

    As in PANet (Liu et al. 2018): a convolution has a small receptive field, and the fully connected branch
    can tell parts apart by their position in the region.
    """

    def __init__(self, width: int) -> None:
        """Build it for regions of ``width`` channels and 14 x 14 cells."""
        super().__init__()
        self.first = MaskRCNNHeads(width, (width,) * 3, 1, norm_layer=group_norm)
        self.second = MaskRCNNHeads(width, (width,) * 2, 1, norm_layer=group_norm)
        self.squeeze = nn.Conv2d(width, SQUEEZED_CHANNELS, 1)
        self.norm = group_norm(SQUEEZED_CHANNELS)
        self.whole = nn.Linear(SQUEEZED_CHANNELS * POOLED_CELLS**2, HIDDEN_FEATURES)
        self.place = nn.Linear(HIDDEN_FEATURES, PLANES * MASK_CELLS**2)
        self.join = nn.Conv2d(width + PLANES, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map regions (N, width, 14, 14) to the same shape."""
        x = self.first(x)
        small = F.relu(self.norm(self.squeeze(F.avg_pool2d(x, 2))))
        planes = self.place(F.relu(self.whole(small.flatten(1))))
        # Not -1 for the number of regions: onnxruntime cannot infer it if there are none.
        planes = planes.reshape(x.shape[0], PLANES, MASK_CELLS, MASK_CELLS)
        return F.relu(self.join(torch.cat([self.second(x), planes], 1)))
