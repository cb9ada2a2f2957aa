"""Masks to polygons and back: every pixel returns, holes, diagonals and single pixels included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_utils

from pipeline.data.polygons import clip_polygon, mask_polygons, one_polygon, polygon_loss, trace_rings


def picture(*rows: str) -> np.ndarray:
    return np.array([[pixel == "#" for pixel in row] for row in rows])


SHAPES = {
    "one pixel": picture("...", ".#.", "..."),
    "the whole image": np.ones((5, 7), bool),
    "a corner pixel": picture("#..", "...", "..."),
    "a ring": picture("#####", "#...#", "#...#", "#####"),
    "a ring within a ring": picture(
        "#######", "#.....#", "#.###.#", "#.#.#.#", "#.###.#", "#.....#", "#######"
    ),
    "two holes": picture("#######", "#.###.#", "#######"),
    "holes that touch": picture("#####", "#.###", "##.##", "#####"),
    "falling diagonal": picture("#..", ".#.", "..#"),
    "rising diagonal": picture("..#", ".#.", "#.."),
    "checkers": np.indices((6, 7)).sum(axis=0) % 2 == 0,
    "two pieces": picture("##..#", "##..#", "....#"),
    "a fork": picture("#####", "#....", "#####", "#....", "#####"),
    "hole open at a corner": picture("####", "#.##", "##.#", "###."),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_nothing_is_lost(name: str) -> None:
    mask = SHAPES[name]
    assert polygon_loss(mask, mask_polygons(mask)) == 0
    assert polygon_loss(mask, [one_polygon(mask)]) == 0


def test_a_piece_is_a_polygon_and_a_hole_is_none() -> None:
    assert mask_polygons(SHAPES["one pixel"]) == [[1, 1, 2, 1, 2, 2, 1, 2]]
    assert len(mask_polygons(SHAPES["two pieces"])) == 2
    assert len(mask_polygons(SHAPES["falling diagonal"])) == 3
    assert len(mask_polygons(SHAPES["a ring"])) == 1
    assert [len(rings) for rings in trace_rings(SHAPES["a ring within a ring"])] == [2, 2]
    assert len(mask_polygons(SHAPES["a ring within a ring"])) == 2
    assert mask_polygons(np.zeros((3, 3))) == [] == one_polygon(np.zeros((3, 3)))


def test_the_loss_is_counted() -> None:
    ring = np.zeros((400, 400), bool)
    ring[50:350, 50:350] = True
    ring[150:250, 150:250] = False
    assert polygon_loss(ring, mask_polygons(ring)) == 0
    outline = [[50.0, 50.0, 350.0, 50.0, 350.0, 350.0, 50.0, 350.0]]
    assert polygon_loss(ring, outline) == 10_000  # what an outer polygon alone does (cocoapi#153)
    assert polygon_loss(ring, []) == 80_000


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(1, 24), st.integers(1, 24), st.floats(0.05, 0.95), st.integers(0, 2**32 - 1))
def test_any_mask_comes_back(height: int, width: int, share: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    assert polygon_loss(mask, mask_polygons(mask)) == 0
    assert polygon_loss(mask, [one_polygon(mask)] if mask.any() else []) == 0


def test_large_masks_with_smooth_outlines() -> None:
    y, x = np.mgrid[:480, :640]
    disc = (x - 320) ** 2 + (y - 240) ** 2 < 200**2
    disc &= (x - 300) ** 2 + (y - 200) ** 2 > 60**2
    assert polygon_loss(disc, mask_polygons(disc)) == 0


def test_clipping_keeps_what_lies_within() -> None:
    assert clip_polygon([1, 1, 5, 1, 5, 5], 10, 10) == [1, 1, 5, 1, 5, 5]
    assert clip_polygon([20, 20, 30, 20, 30, 30], 10, 10) == []
    rng = np.random.default_rng(0)
    for _ in range(50):
        polygon = rng.uniform(-15, 45, 8).tolist()
        inside = mask_utils.decode(mask_utils.merge(mask_utils.frPyObjects([polygon], 30, 30)))
        clipped = clip_polygon(polygon, 30, 30)
        assert all(0 <= value <= 30 for value in clipped)
        if clipped:
            drawn = mask_utils.decode(mask_utils.merge(mask_utils.frPyObjects([clipped], 30, 30)))
            assert (drawn != inside).sum() <= 15  # the rasteriser rounds along the cut edges
        else:
            assert inside.sum() <= 5
