"""Masks are resized from their runs as from their pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as T  # noqa: N812 (the field's own name)

from pipeline.data.rle import as_rle, encode_mask, resize_rle, sample_mask

SIDE = st.integers(1, 60)


def resized(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a mask (H, W) by torchvision's nearest neighbours."""
    mode = T.InterpolationMode.NEAREST_EXACT
    return T.resize(torch.from_numpy(mask)[None], [size[1], size[0]], interpolation=mode)[0].numpy()


@example(size=(1, 54), divisor=1.09375, share=0.1)  # a sample on an edge between pixels
@given(size=st.tuples(SIDE, SIDE), divisor=st.floats(1, 12), share=st.sampled_from([0, 0.1, 0.5, 0.9, 1]))
def test_a_sampled_mask_is_the_resized_mask(size: tuple[int, int], divisor: float, share: float) -> None:
    mask = (np.random.default_rng([*size]).random(size[::-1]) < share).astype(np.uint8)
    smaller = (max(1, round(size[0] / divisor)), max(1, round(size[1] / divisor)))
    is_tie = [on_an_edge(old, new) for old, new in zip(size[::-1], smaller[::-1], strict=True)]
    differ = sample_mask(encode_mask(mask), size, smaller) != resized(mask, smaller)
    assert not differ[~is_tie[0]][:, ~is_tie[1]].any()


def on_an_edge(old: int, new: int) -> np.ndarray:
    """Return whether each of ``new`` samples lies on an edge of ``old`` pixels, where rounding decides."""
    return (2 * np.arange(new) + 1) * old % (2 * new) == 0


@given(old=st.tuples(SIDE, SIDE), new=st.tuples(SIDE, SIDE), share=st.sampled_from([0, 0.1, 0.5, 0.9, 1]))
def test_resized_runs_are_those_of_the_sampled_mask(
    old: tuple[int, int], new: tuple[int, int], share: float
) -> None:
    mask = (np.random.default_rng([*old]).random(old[::-1]) < share).astype(np.uint8)
    rle = encode_mask(mask)
    assert resize_rle(rle, old, new) == encode_mask(sample_mask(rle, old, new))


POLYGON = [[3.5, 2, 40, 7.25, 55, 50, 20, 30], [60, 60, 79, 60, 70, 69]]
KINDS: dict[str, Any] = {
    "polygons": POLYGON,
    "RLE as bytes": as_rle(POLYGON, 80, 70),
    "uncompressed RLE": {"size": [70, 80], "counts": [0, 300, 5000, 300]},
    "outside of the image": [[100, 100, 120, 100, 120, 120]],
}


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_of_segmentation_are_sampled(kind: str) -> None:
    full = sample_mask(KINDS[kind], (80, 70), (80, 70))
    assert full.shape == (70, 80) and full.any() == (kind != "outside of the image")
    assert np.array_equal(sample_mask(KINDS[kind], (80, 70), (27, 23)), resized(full, (27, 23)))
