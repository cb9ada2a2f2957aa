"""Load posed body meshes: regions, hands, and the smoothed surface below clothes."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from blender.assets import Assets
from blender.geometry.mesh import Floats
from blender.spec import Params

REGIONS = ("head", "hair", "neck", "torso", "hips", "upper_arm", "forearm", "hand", "thigh", "shin", "foot")
"""Body regions in the order of their numbers in the people files."""

LEFT_WRIST, RIGHT_WRIST = 9, 10
"""Numbers of the COCO keypoints."""
CLOTH_SMOOTHING, SHOE_SMOOTHING = 6, 30
"""Smoothing iterations below clothes and on feet; shoes need enough to remove the toes."""


@lru_cache(maxsize=64)
def load_body(path: Path) -> dict[str, np.ndarray]:
    """Load the arrays of a people file; ``pipeline/people/bake.py`` documents them."""
    with np.load(path) as data:
        return {name: data[name] for name in data.files}


@lru_cache(maxsize=32)
def under_cloth(path: Path) -> tuple[Floats, Floats]:
    """Return the smoothed body that clothes lie on, and its normals, (V, 3) each. Cached across frames."""
    body = load_body(path)
    vertices, faces = body["vertices"].astype(float), body["faces"].astype(np.int32)
    smoothed = _smooth(vertices, faces, CLOTH_SMOOTHING)
    shoes = np.unique(faces[body["regions"] == REGIONS.index("foot")])
    smoothed[shoes] = _smooth(vertices, faces, SHOE_SMOOTHING)[shoes]
    return smoothed, _normals(smoothed, faces)


def border(body: dict[str, np.ndarray], first: str, second: str) -> float:
    """Return the median height of the border between two regions in the rest pose, metres."""
    regions = [REGIONS.index(first), REGIONS.index(second)]
    vertices = [np.unique(body["faces"][body["regions"] == region]) for region in regions]
    shared = np.intersect1d(*vertices)
    return float(np.median(body["rest"].astype(float)[shared, 2]))


def palms(params: Params, assets: Assets) -> Floats:
    """Return the middle of the left and of the right hand, (2, 3) metres in the person's frame."""
    body = load_body(assets.people_dir / params["body"])
    hands = body["vertices"][np.unique(body["faces"][body["regions"] == REGIONS.index("hand")])].astype(float)
    wrists = np.asarray(body["keypoints"][LEFT_WRIST : RIGHT_WRIST + 1], float)
    nearest = np.linalg.norm(hands[:, None] - wrists, axis=2).argmin(1)
    return np.stack([hands[nearest == side].mean(0) for side in (0, 1)])


def region(params: Params, assets: Assets, *names: str) -> Floats:
    """Return the bare body's vertices in some of ``REGIONS``, (N, 3) metres in the person's frame."""
    body = load_body(assets.people_dir / params["body"])
    faces = body["faces"][np.isin(body["regions"], [REGIONS.index(name) for name in names])]
    return np.asarray(body["vertices"][np.unique(faces)], float)


def _normals(vertices: Floats, faces: np.ndarray) -> Floats:
    """Compute area-weighted vertex normals, (V, 3)."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    across = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for i in range(3):
        np.add.at(normals, faces[:, i], across)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def _smooth(vertices: Floats, faces: np.ndarray, iterations: int) -> Floats:
    """Laplacian smoothing: move each vertex to the mean of its neighbours; repeat ``iterations`` times."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    degree = np.bincount(edges[:, 0], minlength=len(vertices)).astype(float)
    isolated = degree == 0
    for _ in range(iterations):
        total = np.stack(
            [np.bincount(edges[:, 0], vertices[edges[:, 1], k], minlength=len(vertices)) for k in range(3)], 1
        )
        vertices = np.where(isolated[:, None], vertices, total / np.maximum(degree, 1)[:, None])
    return vertices
