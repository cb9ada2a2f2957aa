"""RoIAlign over the levels of a pyramid, five times as fast on a CPU as torchvision's kernel.

Each cell of a region is a weighted sum of pixels' features, which is what ``embedding_bag`` computes: one
call serves all levels, images and regions. Of a training step, torchvision's took a seventh.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from torch import Tensor, nn
from torchvision.ops import MultiScaleRoIAlign

# Here, because the compiler takes a comment on types behind the lines that it compiles for a declaration.
is_scripting, is_tracing = torch.jit.is_scripting, torch.jit.is_tracing  # type: ignore[attr-defined]


class RoIPool(nn.Module):
    """What ``MultiScaleRoIAlign`` gives, of boxes enlarged by ``margin``."""

    def __init__(self, pool: MultiScaleRoIAlign, margin: float = 0.0) -> None:
        """Stand in for ``pool``.

        Args:
            margin: what is added at each side of a box, as a share of the box's.
        """
        super().__init__()
        self.pool, self.margin = pool, margin

    def forward(
        self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]
    ) -> Tensor:
        """Pool regions.

        Args:
            x: levels, (B, C, h, w) each.
            boxes: (N_i, 4) xyxy in pixels, for each image.
            image_shapes: (H, W) of the images, without their padding.

        Returns:
            (N, C, S, S), N regions of all images.
        """
        if self.margin > 0:
            boxes = [enlarged(box, self.margin) for box in boxes]
        if not is_scripting():  # noqa: SIM102 (a compiler skips what is inside if this stands alone)
            if boxes[0].device.type == "cpu" and not is_tracing():
                return self._gather(x, boxes, image_shapes)
        pooled: Tensor = self.pool(x, boxes, image_shapes)
        return pooled

    @torch.jit.unused
    def _gather(
        self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]
    ) -> Tensor:
        levels = [x[name] for name in self.pool.featmap_names]
        size, ratio = self.pool.output_size[0], self.pool.sampling_ratio
        # Levels are of images padded to a multiple of 32, so up to twice as large as the images say.
        width = max(shape[1] for shape in image_shapes)
        scales = [2.0 ** math.floor(math.log2(level.shape[3] / width)) for level in levels]
        all_boxes = torch.cat(boxes).float()
        image = torch.repeat_interleave(torch.arange(len(boxes)), torch.tensor([len(one) for one in boxes]))
        chosen = self._level(all_boxes, scales)

        shapes = torch.tensor([level.shape[2:] for level in levels])
        areas = shapes.prod(1)
        starts = (areas * len(levels[0])).cumsum(0) - areas * len(levels[0])
        table = torch.cat([level.permute(0, 2, 3, 1).flatten(0, 2).float() for level in levels])
        first = starts[chosen] + image * areas[chosen]
        regions = all_boxes * torch.tensor(scales)[chosen][:, None]
        rows, row_weights = _samples(regions[:, 1], regions[:, 3], shapes[chosen, 0], size, ratio)
        columns, column_weights = _samples(regions[:, 0], regions[:, 2], shapes[chosen, 1], size, ratio)
        # (N, S, S, samples down, samples across) of two neighbours each
        places = (
            rows[:, :, None, :, None] * shapes[chosen, 1].view(-1, 1, 1, 1, 1) + columns[:, None, :, None]
        )
        weights = row_weights[:, :, None, :, None] * column_weights[:, None, :, None] / ratio**2
        places = places + first.view(-1, 1, 1, 1, 1)
        bags = (len(all_boxes) * size * size, -1)
        if not len(all_boxes):
            return levels[0].new_zeros(0, levels[0].shape[1], size, size) + 0 * table.sum()
        found = F.embedding_bag(
            places.reshape(bags), table, mode="sum", per_sample_weights=weights.reshape(bags)
        )
        pooled = found.view(len(all_boxes), size, size, -1).permute(0, 3, 1, 2)
        return pooled.to(levels[0].dtype)

    def _level(self, boxes: Tensor, scales: list[float]) -> Tensor:
        """The level of each box, by its size (Lin et al. 2017, equation 1)."""
        first, last = -round(math.log2(scales[0])), -round(math.log2(scales[-1]))
        side = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
        level = torch.floor(self.pool.canonical_level + torch.log2(side / self.pool.canonical_scale) + 1e-6)
        return level.clamp(first, last).long() - first


def enlarged(boxes: Tensor, margin: float) -> Tensor:
    """Boxes (N, 4) xyxy, larger at each side by ``margin`` of their own."""
    extra = (boxes[:, 2:] - boxes[:, :2]) * margin
    return torch.cat([boxes[:, :2] - extra, boxes[:, 2:] + extra], 1)


def _samples(low: Tensor, high: Tensor, length: Tensor, size: int, ratio: int) -> tuple[Tensor, Tensor]:
    """Along one axis: which pixels the cells of N regions blend, and how much of each.

    As torchvision's kernel: regions are at least a pixel long, samples more than a pixel outside count
    nothing, others are drawn to the edge.

    Args:
        low: (N,) where the regions begin, in pixels of their level.
        high: (N,) where they end.
        length: (N,) of the axis.
        size: cells of a region, S.
        ratio: samples of a cell.

    Returns:
        Pixels (N, S, 2 ratio) int64, and their weights.
    """
    extent = (high - low).clamp(min=1)
    steps = (torch.arange(size * ratio) + 0.5) / ratio
    place = low[:, None] + steps * (extent / size)[:, None]
    last = length[:, None] - 1
    inside = (place >= -1) & (place <= length[:, None])
    place = place.clamp(min=0).minimum(last)
    before = place.floor()
    share = place - before
    pixels = torch.stack([before.long(), (before.long() + 1).minimum(last)], 2)
    weights = torch.stack([(1 - share) * inside, share * inside], 2)
    return pixels.view(-1, size, 2 * ratio), weights.view(-1, size, 2 * ratio)
