"""Convert masks to polygons without loss, however they are filled: holes, diagonals, single pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_utils

from pipeline.data.polygons import (
    INSET,
    clip_polygon,
    flatten_points,
    mask_to_polygons,
    mask_to_single_polygon,
    through_pixels,
)
from pipeline.data.rasterise import FILLS, count_changed_pixels


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


OPENCV = "Ultralytics (OpenCV, corners cut to integers)"
ROUNDED = "supervision and SAHI (OpenCV, corners rounded)"


def changes(mask: np.ndarray, polygons: list[list[float]]) -> dict[str, int]:
    """The ways of filling that change pixels, and how many, without that of rounded corners."""
    counts = count_changed_pixels(mask, polygons)
    return {name: pixels for name, pixels in counts.items() if pixels and name != ROUNDED}


def area(polygon: list[float]) -> float:
    """The area by the shoelace formula, which subtracts a part that runs the other way round."""
    (x0, y0), (x1, y1) = np.reshape(polygon, (-1, 2)).T, np.roll(np.reshape(polygon, (-1, 2)), -1, axis=0).T
    return float((x0 * y1 - x1 * y0).sum()) / 2


@pytest.mark.parametrize("name", SHAPES)
def test_polygons_reproduce_the_mask_however_they_are_filled(name: str) -> None:
    mask = SHAPES[name]
    polygons = mask_to_polygons(mask)
    assert changes(mask, polygons) == {}
    assert changes(mask, [mask_to_single_polygon(mask)]).keys() <= {OPENCV}
    opencv = count_changed_pixels(mask, [through_pixels(polygon) for polygon in polygons])
    assert opencv[OPENCV] == opencv[ROUNDED] == 0
    assert sum(map(area, polygons)) == pytest.approx(mask.sum(), rel=5 * INSET)


def test_each_piece_becomes_one_polygon_with_its_holes() -> None:
    assert mask_to_polygons(SHAPES["one pixel"]) == [[1.001, 1.001, 1.999, 1.001, 1.999, 1.999, 1.001, 1.999]]
    assert len(mask_to_polygons(SHAPES["two pieces"])) == 2
    assert len(mask_to_polygons(SHAPES["falling diagonal"])) == 3
    assert len(mask_to_polygons(SHAPES["a ring"])) == 1
    assert len(mask_to_polygons(SHAPES["two holes"])) == 1
    assert len(mask_to_polygons(SHAPES["a ring within a ring"])) == 2
    assert mask_to_polygons(np.zeros((3, 3))) == [] == mask_to_single_polygon(np.zeros((3, 3)))


def test_a_hole_runs_the_other_way_round_than_its_outline() -> None:
    (polygon,) = mask_to_polygons(np.pad(np.ones((6, 6)), 4) - np.pad(np.ones((2, 2)), 6))
    assert area(polygon) == pytest.approx(32, abs=40 * INSET)


def test_pieces_are_joined_over_the_shortest_distance() -> None:
    mask = np.zeros((12, 40), bool)
    mask[2:5, 2:5] = mask[2:5, 30:38] = mask[7:12, 6:28] = True
    # Two columns from the first piece to the middle one, three from there to the last; not 25 directly.
    assert changes(mask, [mask_to_single_polygon(mask)]) == {OPENCV: 4}


def test_changed_pixels_are_counted_for_each_way_of_filling() -> None:
    ring = np.zeros((400, 400), bool)
    ring[50:350, 50:350] = True
    ring[150:250, 150:250] = False
    assert changes(ring, mask_to_polygons(ring)) == {}
    outline = [50.0, 50.0, 350.0, 50.0, 350.0, 350.0, 50.0, 350.0]
    hole = [50.0, 50.0, 150.0, 150.0, 250.0, 150.0, 250.0, 250.0, 150.0, 250.0, 150.0, 150.0]
    filled = changes(ring, [outline])  # the hole is filled (cocoapi#153)
    assert filled[OPENCV] == 10_000 + 601 and {
        filled[name] for name in FILLS if name in filled and name != OPENCV
    } == {10_000}
    same_way_round = changes(ring, [outline + hole])
    assert same_way_round["a canvas (non-zero rule)"] == 10_000 and "pycocotools" not in same_way_round
    assert set(count_changed_pixels(ring, []).values()) == {80_000}


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(1, 24), st.integers(1, 24), st.floats(0.05, 0.95), st.integers(0, 2**32 - 1))
def test_polygons_reproduce_random_masks(height: int, width: int, share: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    assert changes(mask, mask_to_polygons(mask)) == {}
    assert changes(mask, [mask_to_single_polygon(mask)] if mask.any() else []).keys() <= {OPENCV}


def test_polygons_reproduce_large_masks_with_smooth_outlines() -> None:
    y, x = np.mgrid[:480, :640]
    disc = (x - 320) ** 2 + (y - 240) ** 2 < 200**2
    disc &= (x - 300) ** 2 + (y - 200) ** 2 > 60**2
    assert changes(disc, mask_to_polygons(disc)) == changes(disc, [mask_to_single_polygon(disc)]) == {}


def test_outlines_survive_32_bit_shares_of_a_large_image() -> None:
    size = np.array([8192, 5464])
    first = np.random.default_rng(0).integers(0, size, (10_000, 2))
    for inside in (first + INSET, first + 1 - INSET):  # both ends of a pixel
        shares = (inside / size).round(8).astype(np.float32)
        assert np.array_equal(np.trunc(shares * size.astype(np.float32)), first)


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
