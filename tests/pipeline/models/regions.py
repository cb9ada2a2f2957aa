"""Random pyramid levels and boxes for the tests of region heads."""

from __future__ import annotations

import torch
from torch import Tensor

SHAPES = [(250, 340), (256, 352)]
"""Height and width of two images, before they are padded to 256 x 352."""


def make_levels(images: int, seed: int = 0, channels: int = 16) -> dict[str, Tensor]:
    """Random levels "0" to "3", which require gradients, and "pool"."""
    generator = torch.Generator().manual_seed(seed)
    levels = {
        str(i): torch.randn(images, 16, 256 >> i + 2, 352 >> i + 2, generator=generator)
        .repeat(1, channels // 16, 1, 1)
        .requires_grad_()
        for i in range(4)
    }
    return levels | {"pool": torch.zeros(images, channels, 4, 6)}


def make_boxes(count: int, seed: int = 1) -> Tensor:
    """Random boxes (N, 4) of every size, and three odd ones: outside the image, empty, and at its corner."""
    generator = torch.Generator().manual_seed(seed)
    centre = torch.rand(count, 2, generator=generator) * torch.tensor([340.0, 250.0])
    half = torch.rand(count, 2, generator=generator) ** 2 * 150 + 1
    boxes = torch.cat([centre - half, centre + half], 1)
    odd = torch.tensor([[-90.0, -80, -40, -30], [50, 50, 50, 50], [339, 249, 352, 256]])
    return torch.cat([boxes, odd]) if count else boxes
