"""Convert masks to polygons and back without loss: holes, diagonals and single pixels included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_utils

from pipeline.data.polygons import (
    clip_polygon,
    count_changed_pixels,
    flatten_points,
    mask_to_polygons,
    mask_to_single_polygon,
    trace_rings,
)


def mask_from(*rows: str) -> np.ndarray:
    return np.array([[pixel == "#" for pixel in row] for row in rows])


SHAPES = {
    "one pixel": mask_from("...", ".#.", "..."),
    "the full image": np.ones((5, 7), bool),
    "a corner pixel": mask_from("#..", "...", "..."),
    "a ring": mask_from("#####", "#...#", "#...#", "#####"),
    "a ring within a ring": mask_from(
        "#######", "#.....#", "#.###.#", "#.#.#.#", "#.###.#", "#.....#", "#######"
    ),
    "two holes": mask_from("#######", "#.###.#", "#######"),
    "holes that touch": mask_from("#####", "#.###", "##.##", "#####"),
    "falling diagonal": mask_from("#..", ".#.", "..#"),
    "rising diagonal": mask_from("..#", ".#.", "#.."),
    "checkers": np.indices((6, 7)).sum(axis=0) % 2 == 0,
    "two pieces": mask_from("##..#", "##..#", "....#"),
    "a fork": mask_from("#####", "#....", "#####", "#....", "#####"),
    "hole open at a corner": mask_from("####", "#.##", "##.#", "###."),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_polygons_reproduce_the_mask(name: str) -> None:
    mask = SHAPES[name]
    assert count_changed_pixels(mask, mask_to_polygons(mask)) == 0
    assert count_changed_pixels(mask, [mask_to_single_polygon(mask)]) == 0


def test_each_piece_becomes_one_polygon_with_its_holes() -> None:
    assert mask_to_polygons(SHAPES["one pixel"]) == [[1, 1, 2, 1, 2, 2, 1, 2]]
    assert len(mask_to_polygons(SHAPES["two pieces"])) == 2
    assert len(mask_to_polygons(SHAPES["falling diagonal"])) == 3
    assert len(mask_to_polygons(SHAPES["a ring"])) == 1
    assert [len(rings) for rings in trace_rings(SHAPES["a ring within a ring"])] == [2, 2]
    assert len(mask_to_polygons(SHAPES["a ring within a ring"])) == 2
    assert mask_to_polygons(np.zeros((3, 3))) == [] == mask_to_single_polygon(np.zeros((3, 3)))


def test_changed_pixels_are_counted() -> None:
    ring = np.zeros((400, 400), bool)
    ring[50:350, 50:350] = True
    ring[150:250, 150:250] = False
    assert count_changed_pixels(ring, mask_to_polygons(ring)) == 0
    outline = [[50.0, 50.0, 350.0, 50.0, 350.0, 350.0, 50.0, 350.0]]
    assert count_changed_pixels(ring, outline) == 10_000  # the hole is filled (cocoapi#153)
    assert count_changed_pixels(ring, []) == 80_000


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(1, 24), st.integers(1, 24), st.floats(0.05, 0.95), st.integers(0, 2**32 - 1))
def test_polygons_reproduce_random_masks(height: int, width: int, share: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    assert count_changed_pixels(mask, mask_to_polygons(mask)) == 0
    assert count_changed_pixels(mask, [mask_to_single_polygon(mask)] if mask.any() else []) == 0


def test_polygons_reproduce_large_masks_with_smooth_outlines() -> None:
    y, x = np.mgrid[:480, :640]
    disc = (x - 320) ** 2 + (y - 240) ** 2 < 200**2
    disc &= (x - 300) ** 2 + (y - 200) ** 2 > 60**2
    assert count_changed_pixels(disc, mask_to_polygons(disc)) == 0


def test_clipped_polygon_covers_the_part_within_the_image() -> None:
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


def test_points_are_flattened_to_coordinates() -> None:
    assert flatten_points([[1, 2], [3, 4]]) == flatten_points([1, 2, 3, 4]) == [1, 2, 3, 4]
    assert flatten_points([[1, 2], 3]) is flatten_points([None]) is flatten_points("1, 2") is None
