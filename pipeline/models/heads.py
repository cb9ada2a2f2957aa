"""The mask head of the light models."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 (the name that PyTorch users expect)
from torch import Tensor, nn
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads

from pipeline.models.norms import group_norm

MASK_CELLS = 14
"""Side of a pooled region in cells, for masks (as in torchvision)."""
POOLED_CELLS = MASK_CELLS // 2
"""Side in cells of the input of the fully connected branch: half of the region's, for a quarter of the
weights."""
SQUEEZED_CHANNELS = 32
"""Channels of the input of the fully connected branch."""
HIDDEN_FEATURES = 256
"""Features of the hidden layer of the fully connected branch."""
PLANES = 16
"""Channels of the output of the fully connected branch."""


class FusedMaskHead(nn.Module):
    """Convolutions over a region, fused with a fully connected branch over the complete region.

    As in PANet (Liu et al. 2018): a convolution has a small receptive field; the fully connected branch can
    distinguish parts by their position in the region.
    """

    def __init__(self, width: int) -> None:
        """Build the head for regions of ``width`` channels and 14 x 14 cells."""
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
        # The number of regions is not given as -1, which onnxruntime cannot infer if there are none.
        planes = planes.reshape(x.shape[0], PLANES, MASK_CELLS, MASK_CELLS)
        return F.relu(self.join(torch.cat([self.second(x), planes], 1)))
