"""Build soft bodies: sacks, bags, and stretch wrap around loads. No bpy."""

from __future__ import annotations

import numpy as np

from blender.geometry.mesh import Colour, Floats, Material, Part, plates
from blender.parts.fittings import PAPER

AREA = (1.18, 0.78)
"""Area of a load on a EUR pallet, metres along x and y."""


def tone(rng: np.random.Generator, palette: tuple[Colour, ...]) -> Floats:
    """Draw a colour of a palette as an array, linear RGB (3,)."""
    return np.array(palette[int(rng.integers(len(palette)))])


def shade(rng: np.random.Generator, palette: tuple[Colour, ...]) -> Colour:
    """Draw a colour of a palette for a Material."""
    r, g, b = (round(float(c), 4) for c in tone(rng, palette))
    return (r, g, b)


def cushion(size: tuple[float, float, float], material: Material) -> Part:
    """Build a closed body of ``size`` metres about the origin: a superellipsoid of 10 x 5 quads."""
    u, v = np.meshgrid(
        np.linspace(0, 2 * np.pi, 10, endpoint=False), np.linspace(-1.45, 1.45, 6), indexing="ij"
    )
    points = np.stack(
        [_blunt(np.cos(u)) * _blunt(np.cos(v)), _blunt(np.sin(u)) * _blunt(np.cos(v)), _blunt(np.sin(v))], -1
    )
    i, j = np.meshgrid(np.arange(10), np.arange(5), indexing="ij")
    k = (i + 1) % 10
    faces = np.stack([i * 6 + j, k * 6 + j, k * 6 + j + 1, i * 6 + j + 1], -1).reshape(-1, 4)
    vertices = points.reshape(-1, 3) * np.array(size) / 2
    return Part(vertices, faces.astype(np.int32), material, smooth=np.ones(len(faces), bool))


def _blunt(wave: Floats) -> Floats:
    """Raise sines and cosines to a power below 1, which makes the superellipsoid's corners square."""
    return np.sign(wave) * np.abs(wave) ** 0.45


def wrapped(rng: np.random.Generator, height: float, wear: float) -> list[Part]:
    """Build a load in opaque stretch wrap or sheeting: one dented hull."""
    shades: tuple[Colour, ...] = (
        (0.55, 0.57, 0.58),
        (0.62, 0.63, 0.62),
        (0.42, 0.40, 0.36),
        (0.05, 0.05, 0.055),
    )
    parts = [hull(rng, height, Material("wrap", shade(rng, shades), round(wear * 0.4, 2)))]
    for side in (-1, 1):
        if rng.random() < 0.6:
            at = [(rng.uniform(-0.3, 0.3), side * (AREA[1] / 2 + 0.016), height * rng.uniform(0.4, 0.8))]
            parts.append(plates(at, (0.21, 0.15), 1, side, PAPER))
    return parts


def hull(rng: np.random.Generator, height: float, material: Material) -> Part:
    """Build a slightly dented hull around a load: rounded upright edges, a sunken top."""
    levels = np.linspace(-0.02, 1.0, max(3, round(height / 0.2))) * height
    edge = np.array(
        [
            (1, -0.8),
            (1, 0),
            (1, 0.8),
            (0.93, 1),
            (0, 1),
            (-0.93, 1),
            (-1, 0.8),
            (-1, 0),
            (-1, -0.8),
            (-0.93, -1),
            (0, -1),
            (0.93, -1),
        ]
    )
    ring = edge * (np.array(AREA) / 2 + 0.008)
    count, rows = len(ring), len(levels)
    scale = 1.0 + rng.uniform(-0.012, 0.006, (rows, count, 1))
    points = np.concatenate(
        [ring[None] * scale, np.broadcast_to(levels[:, None, None], (rows, count, 1))], -1
    )
    points[-1, :, :2] *= 0.965
    points[-1, :, 2] += rng.uniform(-0.03, 0.004, count)
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(count), indexing="ij")
    k = (j + 1) % count
    faces = np.stack([i * count + j, i * count + k, (i + 1) * count + k, (i + 1) * count + j], -1).reshape(
        -1, 4
    )
    top = (rows - 1) * count + np.arange(count)
    middle = rows * count
    fan = np.stack([top, np.roll(top, -1), np.full(count, middle), np.full(count, -1)], 1)
    vertices = np.concatenate([points.reshape(-1, 3), [[0.0, 0.0, height * 0.985]]])
    return Part(vertices, np.concatenate([faces, fan]).astype(np.int32), material)


def film(rng: np.random.Generator, height: float) -> list[Part]:
    """Build clear stretch wrap around a load."""
    return [hull(rng, height + 0.012, Material("film", (0.75, 0.77, 0.8), 0.0))]
