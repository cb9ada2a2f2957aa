"""Mesh primitives and solids: closed, oriented outwards, of the right size."""

from __future__ import annotations

import numpy as np
import pytest

from blender.geometry.mesh import Material, Part, box, boxes, cylinder, prism, rounded_path, tube
from blender.geometry.solids import bevelled, decals, loft, slab, turned

GREY = Material("paint")


def volume(part: Part) -> float:
    """Return the signed volume by the divergence theorem; it is positive if the faces point outwards."""
    triangles = np.concatenate([part.faces[:, :3], part.faces[part.faces[:, 3] >= 0][:, [0, 2, 3]]])
    a, b, c = part.vertices[triangles].transpose(1, 0, 2)
    return float((a * np.cross(b, c)).sum() / 6)


def test_primitives_are_closed_and_face_outwards() -> None:
    assert volume(box((0, 0, 0), (1, 2, 3), GREY)) == pytest.approx(6)
    assert volume(boxes([(0, 0, 0), (5, 0, 0)], (1, 1, 1), GREY, yaw=[0.3, 0.0])) == pytest.approx(2)
    assert volume(prism([(0, 0), (1, 0), (1, 1)], 0, 2, 2, GREY)) == pytest.approx(1)
    assert volume(prism([(0, 0), (1, 0), (1, 1)], 0, 2, 0, GREY)) == pytest.approx(1)
    assert volume(prism([(0, 0), (1, 0), (1, 1)], 0, 2, 1, GREY)) == pytest.approx(1)
    assert volume(cylinder((0, 0, 0), (0, 0, 1), 1.0, GREY, 64)) == pytest.approx(np.pi, rel=0.01)
    ring = rounded_path([(1, 1, 0), (-1, 1, 0), (-1, -1, 0), (1, -1, 0)], 0.2, closed=True)
    assert volume(tube(ring, 0.1, GREY, 16, closed=True)) > 0.2


def test_solids_are_closed_and_face_outwards() -> None:
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], float)
    for axis in range(3):
        assert 0.9 < volume(bevelled(square, 0, 1, axis, GREY, 0.02)) < 1
    assert volume(slab((0, 0, 0), (1, 2, 3), GREY, 0.001)) == pytest.approx(6, rel=0.01)
    revolved = turned([(0, 1), (2, 1)], (0, 0, 0), (0, 1, 0), GREY, 64)
    assert volume(revolved) == pytest.approx(2 * np.pi, rel=0.01)
    rings = np.array([[(0, 0, z), (1, 0, z), (1, 1, z), (0, 1, z)] for z in (0.0, 1.0)])
    assert volume(loft(rings, GREY)) == volume(loft(rings[::-1], GREY)) == pytest.approx(1)


def test_decals_lie_just_above_their_face() -> None:
    face = np.array([(0, 0, 0), (2, 0, 0), (2, 1, 0), (0, 1, 0)], float)
    part = decals(face, [(0.25, 0.0, 0.5, 1.0)], GREY, 0.001)
    assert part.vertices == pytest.approx(
        np.array([(0.5, 0, 0.001), (1, 0, 0.001), (1, 1, 0.001), (0.5, 1, 0.001)])
    )
