"""Build loads of pallets: cartons, goods, sacks, drinks, pallet collars; and the table of all loads.

A load stands on z = 0 with its middle at the origin and covers at most ``AREA``. No bpy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from blender.geometry.mesh import Colour, Floats, Material, Part, box, boxes, cylinder, move, plates, spin
from blender.parts.containers import containers, crates
from blender.parts.fittings import PAPER, ZINC, bright, wire_walls
from blender.parts.machine_parts import parts_box
from blender.parts.round_goods import canisters, drums, rolls, tyres
from blender.parts.soft import AREA, cushion, shade, tone, wrapped

CARD = ((0.44, 0.31, 0.19), (0.38, 0.27, 0.165), (0.50, 0.38, 0.25), (0.31, 0.22, 0.14), (0.45, 0.30, 0.16))
"""Colours of cardboard, linear RGB."""
_GOODS: tuple[Colour, ...] = (
    (0.5, 0.5, 0.48),
    (0.66, 0.66, 0.64),
    (0.62, 0.12, 0.02),
    (0.5, 0.03, 0.03),
    (0.7, 0.42, 0.03),
    (0.05, 0.12, 0.3),
    (0.35, 0.05, 0.04),
    (0.1, 0.22, 0.1),
    (0.03, 0.03, 0.035),
    (0.55, 0.45, 0.1),
)
_INK = Material("paper", (0.09, 0.06, 0.045), 0.1)
_MARKS = ((PAPER, (0.13, 0.09)), (PAPER, (0.21, 0.15)), (_INK, (0.16, 0.05)), (_INK, (0.05, 0.06)))
"""Labels and prints on a carton's side: material, and (width, height) in metres."""


def _cartons(rng: np.random.Generator, height: float, wear: float) -> list[Part]:
    """Build layers of equal cartons; the top layer is incomplete."""
    return _layers(rng, height, wear, "cardboard", tone(rng, CARD))


def _goods(rng: np.random.Generator, height: float, wear: float) -> list[Part]:
    """Build layers of equal printed or plastic packages."""
    return _layers(rng, height, wear, "plastic" if rng.random() < 0.5 else "cardboard", tone(rng, _GOODS))


def _layers(rng: np.random.Generator, height: float, wear: float, surface: str, base: Floats) -> list[Part]:
    """Build layers of equal packages with the kind of surface ``surface`` and the colour ``base``."""
    nx, ny = int(rng.integers(2, 5)), int(rng.integers(1, 4))
    layers = max(1, round(height / rng.uniform(0.16, 0.42)))
    size = np.array([AREA[0] / nx, AREA[1] / ny, height / layers])
    grid = np.stack(np.meshgrid(np.arange(nx), np.arange(ny), np.arange(layers), indexing="ij"), -1).reshape(
        -1, 3
    )
    present = (grid[:, 2] < layers - 1) | (rng.random(len(grid)) < 0.75) | (layers == 1)
    grid = grid[present]
    centres = (grid + 0.5) * size - [AREA[0] / 2, AREA[1] / 2, 0]
    centres[:, :2] += rng.normal(0, 0.005, (len(grid), 2))
    tint = base * rng.uniform(0.85, 1.12, (len(grid), 1)) / 0.5
    yaw = rng.normal(0, 0.01, len(grid))
    body = boxes(centres, size - 0.004, Material(surface, (0.5, 0.5, 0.5), round(wear * 0.6, 2)), tint, yaw)
    return [body, *_prints(rng, centres, np.broadcast_to(size - 0.004, centres.shape), yaw)]


def mixed_cartons(
    rng: np.random.Generator, height: float, wear: float, area: tuple[float, float] = AREA
) -> list[Part]:
    """Build columns of different cartons, up to ``height`` metres each."""
    cells: list[tuple[float, ...]] = []
    nx = int(rng.integers(2, 5)) if area[0] > 0.8 else int(rng.integers(1, 3))
    across = np.concatenate([[0], np.sort(rng.uniform(0.2, 0.8, nx - 1)), [1]]) * area[0] - area[0] / 2
    for x0, x1 in pairwise(across):
        ny = int(rng.integers(1, 3))
        split = np.linspace(-area[1] / 2, area[1] / 2, ny + 1)
        for y0, y1 in pairwise(split):
            z, top = 0.0, height * rng.uniform(0.4, 1.0)
            while z < top - 0.06 and x1 - x0 > 0.08:
                rise = min(top - z, rng.uniform(0.12, 0.42))
                cells.append(((x0 + x1) / 2, (y0 + y1) / 2, z + rise / 2, x1 - x0, y1 - y0, rise))
                z += rise
    table = np.array(cells)
    centres, sizes = table[:, :3], table[:, 3:] * [1.0, 1.0, 1.0]
    sizes[:, :2] *= rng.uniform(0.84, 0.97, (len(table), 2))
    palette = np.array(CARD)[rng.integers(len(CARD), size=len(table))]
    odd = rng.random(len(table)) < 0.12
    palette[odd] = np.array(_GOODS)[rng.integers(len(_GOODS), size=int(odd.sum()))]
    yaw = rng.normal(0, 0.02, len(table))
    material = Material("cardboard", (0.5, 0.5, 0.5), round(wear * 0.7, 2))
    return [
        boxes(centres, sizes - [0, 0, 0.003], material, palette / 0.5, yaw),
        *_prints(rng, centres, sizes, yaw),
    ]


def printed_carton(rng: np.random.Generator, colour: Colour, size: Sequence[float]) -> list[Part]:
    """Build one carton of ``size`` (3,) metres with tape, labels and prints."""
    centre, extent = np.array([[0.0, 0.0, size[2] / 2]]), np.array([size])
    return [
        boxes(centre, extent, Material("cardboard", colour, 0.3)),
        *_prints(rng, centre, extent, np.zeros(1)),
    ]


def _prints(rng: np.random.Generator, centres: Floats, sizes: Floats, yaw: Floats) -> list[Part]:
    """Build tape over the seams, and labels and prints on some sides of cartons.

    Args:
        rng: draws labels, prints and their sides.
        centres: (N, 3) metres.
        sizes: (N, 3) metres.
        yaw: (N,) radians.
    """
    parts: list[Part] = []
    tape = Material("plastic", (0.40, 0.29, 0.17) if rng.random() < 0.7 else (0.55, 0.55, 0.52), 0.1)
    if rng.random() < 0.75:
        parts.append(plates(centres + sizes * [0, 0, 0.503], _pair(sizes[:, 0], 0.05), 2, 1, tape, yaw=yaw))
        for side in (-1, 1):
            hang = np.minimum(0.09, sizes[:, 2] * 0.4)
            at = np.stack([side * (sizes[:, 0] / 2 + 0.002), 0 * hang, sizes[:, 2] / 2 - hang / 2], 1)
            parts.append(plates(centres + spin(at, yaw), _pair(0.05, hang), 0, side, tape, yaw=yaw))
    for axis, side in ((0, -1), (0, 1), (1, -1), (1, 1)):
        material, (w, h) = _MARKS[int(rng.integers(len(_MARKS)))]
        chosen = rng.random(len(centres)) < 0.35
        centre, size = centres[chosen], sizes[chosen]
        at = rng.uniform(-0.32, 0.32, (len(centre), 3)) * (size - [0.1, 0.1, 0.08]).clip(0)
        at[:, axis] = side * (size[:, axis] / 2 + 0.003)
        plate = _pair(np.minimum(w, size[:, 1 - axis] * 0.6), np.minimum(h, size[:, 2] * 0.5))
        if len(centre):
            at = centre + spin(at, yaw[chosen])
            parts.append(plates(at, plate, axis, side, material, yaw=yaw[chosen]))
    return parts


def _pair(a: Floats | float, b: Floats | float) -> Floats:
    """Return pairs (N, 2) of two arrays or numbers."""
    return np.stack(np.broadcast_arrays(a, b), -1).reshape(-1, 2)


def _sacks(rng: np.random.Generator, height: float, wear: float) -> list[Part]:
    """Build layers of six sacks."""
    shades: tuple[Colour, ...] = (
        (0.55, 0.52, 0.45),
        (0.62, 0.62, 0.60),
        (0.40, 0.30, 0.19),
        (0.1, 0.2, 0.35),
    )
    cloth = Material("plastic" if rng.random() < 0.6 else "fabric", shade(rng, shades), wear)
    parts: list[Part] = []
    for layer in range(max(1, min(int(height / 0.16), 9))):
        for at in (-0.39, 0.0, 0.39):
            for y in (-0.195, 0.195):
                middle = (at + rng.normal(0, 0.008), y + rng.normal(0, 0.006), 0.15 * layer + 0.078)
                parts.append(cushion((0.385, 0.385, 0.165), cloth).moved(middle, rng.normal(0, 0.03)))
    return parts


def _drinks(rng: np.random.Generator, height: float, wear: float) -> list[Part]:
    """Build trays of drinks: two bright colours in a fine pattern."""
    size = np.array([0.197, 0.195, float(rng.uniform(0.13, 0.24))])
    layers = max(1, int(height / size[2]))
    grid = np.stack(np.meshgrid(np.arange(6), np.arange(4), np.arange(layers), indexing="ij"), -1).reshape(
        -1, 3
    )
    outside = (grid[:, 0] % 5 == 0) | (grid[:, 1] % 3 == 0) | (grid[:, 2] == layers - 1)
    grid = grid[outside]  # nothing inside is visible
    centres = (grid + 0.5) * size - [AREA[0] / 2, AREA[1] / 2, 0]
    upper, lower = np.array(bright(rng)), np.array(bright(rng) if rng.random() < 0.5 else (0.6, 0.6, 0.58))
    body = Material("plastic", (1.0, 1.0, 1.0), round(wear * 0.3, 2))
    tint = np.ones((len(grid), 1)) * upper * rng.uniform(0.8, 1.1, (len(grid), 1))
    band = centres - [0, 0, size[2] * 0.22]
    return [
        boxes(centres, size - 0.008, body, tint),
        boxes(band, size * [1.0, 1.0, 0.4] - [0.004, 0.004, 0.0], body, np.broadcast_to(lower, tint.shape)),
    ]


def _blanks(rng: np.random.Generator, height: float, wear: float) -> list[Part]:
    """Build stacks of flat cardboard blanks."""
    count = max(3, int(height / 0.06))
    shifts = rng.normal(0, 0.008, (count, 3)) * np.array([1, 1, 0])
    centres = shifts + np.arange(count)[:, None] * np.array([0, 0, 0.06]) + np.array([0, 0, 0.03])
    tint = tone(rng, CARD) * rng.uniform(0.7, 1.2, (count, 1)) / 0.5
    size = (rng.uniform(0.9, 1.16), rng.uniform(0.6, 0.76), 0.052)
    return [boxes(centres, size, Material("cardboard", (0.5, 0.5, 0.5), round(wear, 2)), tint)]


def _tank(rng: np.random.Generator, height: float, wear: float) -> list[Part]:
    """Build an IBC tank: a white bottle in a cage of tubes, with a label and a lid; up to 1.0 m high."""
    white = Material("plastic", shade(rng, ((0.6, 0.6, 0.56), (0.55, 0.52, 0.4), (0.03, 0.03, 0.03))), wear)
    note = Material("paper", shade(rng, ((0.65, 0.66, 0.66), (0.03, 0.12, 0.4))), 0.1)
    high = min(1.0, max(0.5, height))
    return [
        box((-0.56, -0.36, 0.03), (0.56, 0.36, high - 0.04), white),
        wire_walls((1.16, 0.76), (0.02, high), 0.19, ZINC, thick=0.02),
        cylinder((0, 0, high - 0.04), (0, 0, high), 0.12, Material("plastic", bright(rng), 0.2), 12),
        plates([(-0.592, 0.0, 0.6 * high)], (0.4, 0.3), 0, -1, note),
        plates([(0.1, -0.392, 0.6 * high)], (0.45, 0.3), 1, -1, note),
        cylinder((-0.59, 0, 0.1), (-0.56, 0, 0.1), 0.06, Material("plastic", (0.4, 0.02, 0.02), 0.3), 10),
    ]


def _collars(rng: np.random.Generator, height: float, wear: float, lid: bool = False) -> list[Part]:
    """Build wooden pallet collars with hinges and labels.

    The top has a lid, cartons or nothing; with ``lid`` it always has a lid.
    """
    rings = max(1, int(height / 0.2))
    middle = 0.2 * np.arange(rings) + 0.1
    long = [(0, y, z) for z in middle for y in (-0.39, 0.39)]
    short = [(x, 0, z) for z in middle for x in (-0.59, 0.59)]
    sizes = [(1.2, 0.02, 0.193)] * len(long) + [(0.02, 0.76, 0.193)] * len(short)
    tint = rng.uniform(0.75, 1.12, (len(sizes), 1)) * np.ones(3)
    wood = Material("wood", (0.46, 0.36, 0.24), round(wear, 2))
    steel = Material("galvanised", (0.5, 0.5, 0.5), 0.3)
    hinges = [(x, y, z) for z in middle for x in (-0.57, 0.57) for y in (-0.393, 0.393)]
    parts = [boxes(long + short, sizes, wood, tint), boxes(hinges, (0.07, 0.018, 0.15), steel)]
    for side in (-1, 1):
        note = PAPER if rng.random() < 0.6 else Material("paper", (0.25, 0.6, 0.12), 0.1)
        centres = [(rng.uniform(-0.4, 0.4), side * 0.4015, z) for z in middle if rng.random() < 0.6]
        if centres:
            parts.append(plates(centres, (0.22, 0.15), 1, side, note))
    top = 0.2 * rings
    if lid or rng.random() < 0.5:
        parts.append(box((-0.6, -0.4, top), (0.6, 0.4, top + 0.015), wood))
    elif rng.random() < 0.5:
        parts += mixed_cartons(rng, 0.12 + top, wear, (1.1, 0.72))
    return parts


LOADS: dict[str, Callable[[np.random.Generator, float, float], list[Part]]] = {
    "cartons": _cartons,
    "goods": _goods,
    "mixed": mixed_cartons,
    "sacks": _sacks,
    "drinks": _drinks,
    "crates": crates,
    "containers": containers,
    "crate": _collars,
    "bundle": wrapped,
    "tyres": tyres,
    "rolls": rolls,
    "drums": drums,
    "canisters": canisters,
    "parts": parts_box,
    "blanks": _blanks,
    "tank": _tank,
}
"""Load -> function that builds it from (rng, height in metres, wear 0..1)."""


def build(
    name: str, rng: np.random.Generator, height: float, wear: float, at: float, bearing: bool = False
) -> list[Part]:
    """Build a load.

    Args:
        name: a key of ``LOADS``.
        rng: draws the details.
        height: nominal height of the load, metres; the load may exceed it a little.
        wear: 0: new, 1: worn.
        at: height of the load's underside, metres.
        bearing: the load must be able to carry another pallet.
    """
    if bearing and name == "crate":
        return move(_collars(rng, height, wear, lid=True), (0, 0, at))
    return move(LOADS[name](rng, height, wear), (0, 0, at))
