"""RoIAlign on a CPU against torchvision's kernel."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.ops import MultiScaleRoIAlign

from pipeline.models.roi.align import RoIAlign, enlarge_boxes
from tests.pipeline.models.regions import SHAPES, make_boxes, make_levels


def pool(roi_align: torch.nn.Module, boxes: list[Tensor]) -> list[Tensor]:
    """The pooled regions, and the gradients of the levels."""
    levels = make_levels(len(boxes))
    pooled = roi_align(levels, boxes, SHAPES[: len(boxes)])
    pooled.backward(torch.arange(pooled.numel()).reshape(pooled.shape) % 7 - 3.0)
    return [pooled.detach(), *(levels[str(i)].grad for i in range(4))]


@pytest.mark.parametrize(
    ("cells", "counts", "size"), [(7, [40], 224), (14, [9, 0], 448), (5, [3, 20], 100), (14, [0], 224)]
)
@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_pooling_equals_torchvisions(cells: int, counts: list[int], size: int, margin: float) -> None:
    boxes = [make_boxes(count, seed) for seed, count in enumerate(counts)]
    scale = round(size * (1 + 2 * margin))
    plain = MultiScaleRoIAlign(["0", "1", "2", "3"], cells, 2, canonical_scale=scale)
    actual = pool(RoIAlign(cells, margin, size), boxes)
    expected = pool(plain, [enlarge_boxes(b, margin) for b in boxes])
    for a, b in zip(actual, expected, strict=True):
        assert (a is None) == (b is None) or b is None
        if b is not None:
            assert torch.allclose(a, b, atol=2e-4)


def test_without_margin_chooses_the_levels_of_the_plain_box() -> None:
    plain = RoIAlign(14, 0.15, 448).without_margin()
    assert type(plain) is MultiScaleRoIAlign
    assert (plain.canonical_scale, plain.output_size, plain.sampling_ratio) == (448, (14, 14), 2)
