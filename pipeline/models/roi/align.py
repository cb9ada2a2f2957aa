"""RoIAlign over the levels of a pyramid, five times as fast on a CPU as torchvision's kernel.

Each cell of a region is a weighted sum of the features of pixels. ``embedding_bag`` computes such sums, for
all levels, images and regions in one call. torchvision's kernel took a seventh of a training step.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 (the name that PyTorch users expect)
from torch import Tensor
from torchvision.ops import MultiScaleRoIAlign

LEVELS = ("0", "1", "2", "3")
"""Names of the pyramid's levels that regions are pooled from, strides 4 to 32."""
CANONICAL_SIZE = 224
"""Side in pixels of the box that is pooled from the level of stride 16 (Lin et al. 2017, equation 1)."""
SAMPLES_PER_CELL = 2
"""Samples per cell, down and across, that are averaged (as in torchvision)."""


class RoIAlign(MultiScaleRoIAlign):  # type: ignore[misc]
    """torchvision's MultiScaleRoIAlign with a margin around the boxes, and with a faster algorithm on CPUs.

    On a GPU, and while torch.onnx traces the network, it runs torchvision's kernel.
    """

    def __init__(self, cells: int, margin: float = 0.0, canonical_size: int = CANONICAL_SIZE) -> None:
        """Build the layer.

        Args:
            cells: side of a pooled region in cells.
            margin: width that is added at each side of a box, as a share of the box's side.
            canonical_size: side in pixels of the box (without margins) that is pooled from stride 16.
        """
        scale = round(canonical_size * (1 + 2 * margin))
        super().__init__(list(LEVELS), cells, SAMPLES_PER_CELL, canonical_scale=scale)
        self.margin, self.canonical_size = margin, canonical_size

    def without_margin(self) -> MultiScaleRoIAlign:
        """Build torchvision's own RoIAlign, which chooses the same levels for boxes without margins."""
        return MultiScaleRoIAlign(
            self.featmap_names, self.output_size, self.sampling_ratio, canonical_scale=self.canonical_size
        )

    def forward(
        self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]
    ) -> Tensor:
        """Pool regions.

        Args:
            x: the levels, (B, C, h, w) each.
            boxes: (N_i, 4) xyxy in pixels, for each image.
            image_shapes: (H, W) of the images without their padding.

        Returns:
            (N, C, S, S): the N regions of all images, of S x S cells.
        """
        if self.margin > 0:
            boxes = [enlarge_boxes(box, self.margin) for box in boxes]
        if boxes[0].device.type == "cpu" and not torch.jit.is_tracing():  # type: ignore[attr-defined]
            return self._pool_on_cpu(x, boxes, image_shapes)
        pooled: Tensor = super().forward(x, boxes, image_shapes)
        return pooled

    def _pool_on_cpu(
        self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]
    ) -> Tensor:
        levels = [x[name] for name in self.featmap_names]
        size, ratio = self.output_size[0], self.sampling_ratio
        # Images are padded to a multiple of 32, so a level can be up to twice as wide as the image suggests.
        width = max(shape[1] for shape in image_shapes)
        scales = [2.0 ** math.floor(math.log2(level.shape[3] / width)) for level in levels]
        all_boxes = torch.cat(boxes).float()
        image = torch.repeat_interleave(torch.arange(len(boxes)), torch.tensor([len(b) for b in boxes]))
        chosen = self._choose_levels(all_boxes, scales)

        # All pixels of all levels and images as rows of one table.
        shapes = torch.tensor([level.shape[2:] for level in levels])
        areas = shapes.prod(1)
        starts = (areas * len(levels[0])).cumsum(0) - areas * len(levels[0])
        table = torch.cat([level.permute(0, 2, 3, 1).flatten(0, 2).float() for level in levels])
        first_row = starts[chosen] + image * areas[chosen]
        regions = all_boxes * torch.tensor(scales)[chosen][:, None]
        rows, row_weights = _sample_axis(regions[:, 1], regions[:, 3], shapes[chosen, 0], size, ratio)
        columns, column_weights = _sample_axis(regions[:, 0], regions[:, 2], shapes[chosen, 1], size, ratio)
        # (N, S, S, 2 ratio, 2 ratio): the neighbours, down and across, of each cell's samples.
        pixels = (
            rows[:, :, None, :, None] * shapes[chosen, 1].view(-1, 1, 1, 1, 1) + columns[:, None, :, None]
        )
        weights = row_weights[:, :, None, :, None] * column_weights[:, None, :, None] / ratio**2
        pixels = pixels + first_row.view(-1, 1, 1, 1, 1)
        bags = (len(all_boxes) * size * size, -1)
        if not len(all_boxes):  # the sum keeps the result connected to the levels, for the gradient
            return levels[0].new_zeros(0, levels[0].shape[1], size, size) + 0 * table.sum()
        cells = F.embedding_bag(
            pixels.reshape(bags), table, mode="sum", per_sample_weights=weights.reshape(bags)
        )
        pooled = cells.view(len(all_boxes), size, size, -1).permute(0, 3, 1, 2)
        return pooled.to(levels[0].dtype)

    def _choose_levels(self, boxes: Tensor, scales: list[float]) -> Tensor:
        """Return the index of each box's level, by the box's size (Lin et al. 2017, equation 1)."""
        first, last = -round(math.log2(scales[0])), -round(math.log2(scales[-1]))
        side = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
        level = torch.floor(self.canonical_level + torch.log2(side / self.canonical_scale) + 1e-6)
        return level.clamp(first, last).long() - first


def enlarge_boxes(boxes: Tensor, margin: float) -> Tensor:
    """Enlarge boxes (N, 4) xyxy at each side by ``margin``, a share of their own width or height."""
    extra = (boxes[:, 2:] - boxes[:, :2]) * margin
    return torch.cat([boxes[:, :2] - extra, boxes[:, 2:] + extra], 1)


def _sample_axis(low: Tensor, high: Tensor, length: Tensor, size: int, ratio: int) -> tuple[Tensor, Tensor]:
    """Compute the pixels along one axis that the cells of N regions interpolate between, and their weights.

    As in torchvision's kernel, a region is at least a pixel long, a sample more than a pixel outside the map
    has the weight 0, and other samples outside are moved to the edge.

    Args:
        low: (N,) starts of the regions, in pixels of their level.
        high: (N,) their ends.
        length: (N,) length of the axis, in pixels of their level.
        size: cells of a region, S.
        ratio: samples per cell.

    Returns:
        Pixels (N, S, 2 ratio) int64, and their weights.
    """
    extent = (high - low).clamp(min=1)
    steps = (torch.arange(size * ratio) + 0.5) / ratio
    position = low[:, None] + steps * (extent / size)[:, None]
    last = length[:, None] - 1
    inside = (position >= -1) & (position <= length[:, None])
    position = position.clamp(min=0).minimum(last)
    before = position.floor()
    share = position - before
    pixels = torch.stack([before.long(), (before.long() + 1).minimum(last)], 2)
    weights = torch.stack([(1 - share) * inside, share * inside], 2)
    return pixels.view(-1, size, 2 * ratio), weights.view(-1, size, 2 * ratio)
