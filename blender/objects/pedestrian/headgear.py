"""Helmets and caps: a dome, a brim or peak, a rim."""

from __future__ import annotations

from typing import Any

import numpy as np

from blender.geometry.mesh import Colour, Floats, Material, Part, tube
from blender.objects.pedestrian.body import REGIONS
from blender.objects.pedestrian.clothes import CLOTH

HELMETS: dict[str, Colour] = {
    "white": (0.75, 0.75, 0.73),
    "yellow": (0.8, 0.5, 0.02),
    "blue": (0.03, 0.12, 0.5),
    "orange": (0.85, 0.2, 0.02),
    "red": (0.6, 0.03, 0.02),
}


def headgear(params: dict[str, Any], body: dict[str, np.ndarray]) -> list[Part]:
    """Build a helmet or a cap, moved from the rest pose to the head's pose; empty for a bare head."""
    if params["head"] == "bare":
        return []
    head = np.isin(body["regions"], [REGIONS.index("head"), REGIONS.index("hair")])
    index = np.unique(body["faces"][head])
    rest, posed = body["rest"][index].astype(float), body["vertices"][index].astype(float)
    rotation, shift = _rigid(rest, posed)
    low, high = rest.min(0), rest.max(0)
    helmet = params["head"] == "helmet"
    brow = low[2] + 0.70 * (high[2] - low[2])
    centre = np.array([(low[0] + high[0]) / 2 - 0.005, (low[1] + high[1]) / 2, brow])
    grow = 0.022 if helmet else 0.012
    half = np.array(
        [
            (high[0] - low[0]) / 2 + grow,
            (high[1] - low[1]) / 2 * 0.92 + grow,
            high[2] - brow + (0.045 if helmet else grow),
        ]
    )
    colour = HELMETS[params["head_colour"]] if helmet else CLOTH[params["head_colour"]]
    material = Material("plastic" if helmet else "fabric", colour, 0.3)
    # The dome is made of rings that shrink towards the top.
    rise = np.linspace(0, 0.97, 9)
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    rings = [
        centre
        + np.stack([np.cos(angle) * half[0] * c, np.sin(angle) * half[1] * c, np.full(24, half[2] * s)], 1)
        for s, c in zip(np.sin(rise * np.pi / 2), np.cos(rise * np.pi / 2), strict=True)
    ]
    vertices = np.concatenate(rings)
    i, j = np.meshgrid(np.arange(8), np.arange(24), indexing="ij")
    k = (j + 1) % 24
    faces = np.stack([i * 24 + j, i * 24 + k, (i + 1) * 24 + k, (i + 1) * 24 + j], -1).reshape(-1, 4)
    peak = 0.055 if helmet else 0.075
    brim_angle = np.linspace(-1.1, 1.1, 9)
    brim = centre + np.stack(
        [
            np.cos(brim_angle) * (half[0] + peak * np.cos(brim_angle) ** 2),
            np.sin(brim_angle) * half[1],
            np.full(9, 0.0),
        ],
        1,
    )
    parts = [
        Part(vertices, faces.astype(np.int32), material, smooth=np.ones(len(faces), bool)),
        _brim(centre, half, brim, brim_angle, material),
        tube(
            centre + np.stack([np.cos(angle) * half[0], np.sin(angle) * half[1], angle * 0], 1),
            0.006,
            material,
            6,
            True,
        ),
    ]
    return [Part(p.vertices @ rotation.T + shift, p.faces, p.material, p.tint, p.smooth) for p in parts]


def _brim(centre: Floats, half: Floats, outer: Floats, angle: Floats, material: Material) -> Part:
    """Build the peak over the brow, between the dome and the points ``outer`` (N, 3)."""
    inner = centre + np.stack(
        [np.cos(angle) * half[0] * 0.98, np.sin(angle) * half[1] * 0.98, angle * 0 + 0.004], 1
    )
    outer = outer - [0, 0, 0.012]
    n = len(angle)
    i = np.arange(n - 1)
    faces = np.stack([i, i + n, i + n + 1, i + 1], 1)
    return Part(np.concatenate([inner, outer]), faces.astype(np.int32), material, smooth=np.ones(n - 1, bool))


def _rigid(source: Floats, target: Floats) -> tuple[Floats, Floats]:
    """Compute the rotation and translation that best map source (N, 3) to target (Kabsch 1976)."""
    a, b = source.mean(0), target.mean(0)
    u, _, vt = np.linalg.svd((source - a).T @ (target - b))
    sign = np.diag([1, 1, np.sign(np.linalg.det(vt.T @ u.T))])
    rotation = vt.T @ sign @ u.T
    return rotation, b - rotation @ a
