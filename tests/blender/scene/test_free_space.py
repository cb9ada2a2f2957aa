"""Footprints on the floor: overlap and distance."""

from __future__ import annotations

import numpy as np
import pytest

from blender.scene.free_space import corners_of, is_apart, overlap

SQUARE = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
DIAMOND = np.array([[0, -1], [1, 0], [0, 1], [-1, 0]], float)


def test_corners_are_turned_then_moved() -> None:
    corners = corners_of((0.0, 2.0, 0.0, 1.0), (5.0, 5.0, 0.0), np.pi / 2)
    assert corners == pytest.approx(np.array([[5, 5], [5, 7], [4, 7], [4, 5]]))


def test_overlap_is_the_depth_or_the_negative_distance() -> None:
    assert overlap(SQUARE, SQUARE + np.array([2, 0])) == pytest.approx(-1)
    assert overlap(SQUARE, SQUARE + np.array([0.9, 0])) == pytest.approx(0.1)
    assert overlap(SQUARE, DIAMOND + np.array([1.9, 1.9])) < 0
    assert overlap(SQUARE, DIAMOND + np.array([1.2, 1.2])) > 0


def test_is_apart_needs_the_gap_to_every_other() -> None:
    others = [SQUARE + np.array([3, 0]), SQUARE + np.array([0, 1.5])]
    assert is_apart(SQUARE, [], 0.1)
    assert is_apart(SQUARE, others, 0.4)
    assert not is_apart(SQUARE, others, 0.6)
