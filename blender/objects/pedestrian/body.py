"""Baked bodies, as the people files hold them, and what cloth lies on."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from blender.geometry.mesh import Floats

REGIONS = ("head", "hair", "neck", "torso", "hips", "upper_arm", "forearm", "hand", "thigh", "shin", "foot")
"""As the people files number them."""


@lru_cache(maxsize=64)
def load_body(path: Path) -> dict[str, np.ndarray]:
    """A people file's arrays; see ``pipeline/people/bake.py``."""
    with np.load(path) as data:
        return {name: data[name] for name in data.files}


@lru_cache(maxsize=32)
def under_cloth(path: Path) -> tuple[Floats, Floats]:
    """What cloth lies on, the smoothed body, and its normals, (V, 3) each; the same in every frame."""
    body = load_body(path)
    vertices, faces = body["vertices"].astype(float), body["faces"].astype(np.int32)
    smoothed = _smooth(vertices, faces, 6)
    shoes = np.unique(faces[body["regions"] == REGIONS.index("foot")])
    smoothed[shoes] = _smooth(vertices, faces, 30)[shoes]  # no toes
    return smoothed, _normals(smoothed, faces)


def border(body: dict[str, np.ndarray], first: str, second: str) -> float:
    """Middle height of the border between two regions in the rest pose, metres."""
    regions = [REGIONS.index(first), REGIONS.index(second)]
    vertices = [np.unique(body["faces"][body["regions"] == region]) for region in regions]
    border = np.intersect1d(*vertices)
    return float(np.median(body["rest"].astype(float)[border, 2]))


def _normals(vertices: Floats, faces: np.ndarray) -> Floats:
    """Area-weighted vertex normals, (V, 3)."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    across = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for i in range(3):
        np.add.at(normals, faces[:, i], across)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def _smooth(vertices: Floats, faces: np.ndarray, rounds: int) -> Floats:
    """Laplacian smoothing: each vertex moves to the middle of its neighbours, ``rounds`` times."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    degree = np.bincount(edges[:, 0], minlength=len(vertices)).astype(float)
    lonely = degree == 0
    for _ in range(rounds):
        total = np.stack(
            [np.bincount(edges[:, 0], vertices[edges[:, 1], k], minlength=len(vertices)) for k in range(3)], 1
        )
        vertices = np.where(lonely[:, None], vertices, total / np.maximum(degree, 1)[:, None])
    return vertices
