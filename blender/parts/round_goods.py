"""Build round goods: tyres, rolls, drums, kegs, buckets, and canisters. No bpy.

The functions of loads take (rng, height in metres, wear 0..1); a load stands on z = 0 within ``soft.AREA``.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from blender.geometry.mesh import Colour, Floats, Material, Part, boxes, cylinder, plates, repeat, tube
from blender.parts.fittings import PAPER, bright
from blender.parts.soft import AREA, shade

_HOLE = Material("rubber", (0.008, 0.008, 0.008), 0.2)
_DRUMS: tuple[Colour, ...] = (
    (0.015, 0.06, 0.3),
    (0.02, 0.02, 0.022),
    (0.35, 0.02, 0.02),
    (0.5, 0.5, 0.48),
    (0.03, 0.16, 0.05),
    (0.6, 0.33, 0.02),
)
_ROLLS: tuple[Colour, ...] = (
    (0.62, 0.62, 0.6),
    (0.45, 0.33, 0.2),
    (0.03, 0.03, 0.033),
    (0.5, 0.52, 0.55),
    (0.25, 0.25, 0.26),
    (0.06, 0.2, 0.4),
    (0.5, 0.42, 0.1),
)


def _ring(profile: list[tuple[float, float]], material: Material, segments: int = 14) -> Part:
    """Build a capped body of revolution about z; ``profile`` has pairs of height and radius, metres."""
    path = [(0.0, 0.0, z) for z, _ in profile]
    return tube(path, [r for _, r in profile], material, segments)


def _grid(nx: int, ny: int, layers: int, height: float) -> Floats:
    """Return the places (N, 3) of a grid on a pallet; z is the underside of each layer, metres."""
    cells = np.array(list(product(range(nx), range(ny), range(layers))), float)
    spacing = np.array([AREA[0] / nx, AREA[1] / ny, height])
    return (cells + np.array([0.5, 0.5, 0.0])) * spacing - [AREA[0] / 2, AREA[1] / 2, 0]


def tyre(radius: float, width: float, material: Material) -> Part:
    """Build a tyre that lies on z = 0; its sides are closed."""
    r, w = radius, width
    profile = [(0.02 * w, 0.62 * r), (0.0, 0.8 * r), (0.12 * w, 0.96 * r), (0.3 * w, r)]
    profile += [(w - z, s) for z, s in reversed(profile)]
    return _ring(profile, material, 18)


def _rim(radius: float, width: float, wheels: bool) -> list[Part]:
    """Build the hole of a lying tyre, or a wheel's rim with five spokes."""
    hole = cylinder((0, 0, 0.03 * width), (0, 0, width * 0.992), 0.6 * radius, _HOLE, 14)
    if not wheels:
        return [hole]
    alloy = Material("galvanised", (0.5, 0.5, 0.51), 0.2)
    angle = np.arange(5) * 2 * np.pi / 5
    spokes = 0.28 * radius * np.stack([np.cos(angle), np.sin(angle)], 1)
    centres = np.column_stack([spokes, np.full(5, width * 0.99)])
    return [
        hole,
        boxes(centres, (0.56 * radius, 0.1 * radius, 0.03 * width), alloy, yaw=angle),
        cylinder((0, 0, width * 0.98), (0, 0, width * 1.03), 0.14 * radius, alloy, 8),
    ]


def tyre_stack(rng: np.random.Generator, count: int, radius: float, width: float) -> list[Part]:
    """Build a stack of lying tyres; some are in coloured wrapping, some have wheels."""
    rubber = Material("rubber", (0.02, 0.02, 0.021), 0.5)
    if rng.random() < 0.2:
        rubber = Material("wrap", shade(rng, ((0.4, 0.36, 0.05), (0.5, 0.52, 0.53), (0.05, 0.1, 0.3))), 0.3)
    offsets = np.zeros((count, 3))
    offsets[:, :2] = rng.normal(0, 0.012, (count, 2))
    offsets[:, 2] = np.arange(count) * width
    parts = [repeat(tyre(radius, width, rubber), offsets)]
    for part in _rim(radius, width, rng.random() < 0.35):
        parts.append(part.moved(offsets[-1]))
    if rng.random() < 0.5:
        labels = offsets[rng.random(count) < 0.6] + [0, 0, width / 2]
        for axis, side in product((0, 1), (-1, 1)):
            out = np.zeros(3)
            out[axis] = side * (radius + 0.002)
            if len(labels):
                parts.append(plates(labels + out, (0.08, 0.06), axis, side, PAPER))
    return parts


def tyres(rng: np.random.Generator, height: float, wear: float) -> list[Part]:
    """Build two stacks of car tyres, or one of large tyres, on a pallet."""
    if rng.random() < 0.3:
        width = float(rng.uniform(0.24, 0.32))
        return tyre_stack(rng, max(1, int(height / width)), 0.38, width)
    radius, width = float(rng.uniform(0.26, 0.29)), float(rng.uniform(0.16, 0.22))
    parts: list[Part] = []
    for x in (-0.295, 0.295):
        count = max(1, int(height / width) - int(rng.integers(0, 3)))
        parts += [p.moved((x, rng.normal(0, 0.03), 0)) for p in tyre_stack(rng, count, radius, width)]
    return parts


def rolls(rng: np.random.Generator, height: float, wear: float) -> list[Part]:
    """Build rolls of film, paper or cable: standing in a grid, or lying across the pallet."""
    material = Material("wrap" if rng.random() < 0.6 else "plastic", shade(rng, _ROLLS), round(wear * 0.4, 2))
    if rng.random() < 0.5:
        nx, ny = ((2, 1), (3, 2), (4, 3))[int(rng.integers(3))]
        radius = min(AREA[0] / nx, AREA[1] / ny) / 2 - 0.006
        each = min(height, float(rng.uniform(0.4, 1.3)))
        places = _grid(nx, ny, max(1, int(height / each)), each)
        ends = [(0.0, 0.99 * radius), (0.006, radius)]
        roll = _ring([*ends, *[(each - 0.006 - z, r) for z, r in reversed(ends)]], material)
        core = _ring([(0.0, 0.2 * radius), (each - 0.001, 0.2 * radius)], _HOLE, 8)
        kept = places[rng.random(len(places)) < 0.93]
        kept = kept if len(kept) else places[:1]
        top = kept[kept[:, 2] == kept[:, 2].max()]
        return [repeat(roll, kept), repeat(core, top)]
    radius = min(float(rng.uniform(0.1, 0.19)), 0.5 * height)
    across, rows = int(AREA[0] / (2 * radius)), max(1, int(height / (1.75 * radius)))
    lying = [
        ((k - (across - 1 - row % 2) / 2) * 2 * radius, 0.0, radius * (1 + 1.74 * row))
        for row in range(min(rows, across)) for k in range(across - row % 2)
    ]  # fmt: skip
    half = AREA[1] / 2 - 0.01
    roll = tube([(0, -half, 0), (0, half, 0)], radius - 0.003, material, 14)
    core = tube([(0, -half - 0.003, 0), (0, half + 0.003, 0)], 0.25 * radius, _HOLE, 8)
    return [repeat(roll, lying), repeat(core, lying)]


def _vessel(kind: str) -> tuple[list[tuple[float, float]], tuple[int, int], float]:
    """Return a vessel's profile (height, radius), its grid on a pallet, and its height, metres."""
    if kind == "keg":  # with a collar at both ends
        r, h = 0.186, 0.52
        ends = [(0.0, 0.9 * r), (0.06, 0.9 * r), (0.075, 0.98 * r), (0.16, r)]
        return [*ends, (h / 2, 0.985 * r), *[(h - z, s) for z, s in reversed(ends)]], (3, 2), h
    if kind == "barrel":  # 60 litres, with a lid
        r, h = 0.186, 0.62
        return (
            [(0, 0.92 * r), (0.04, r), (0.52, r), (0.55, 0.88 * r), (0.6, 0.9 * r), (h, 0.88 * r)],
            (3, 2),
            h,
        )
    if kind == "bucket":
        r, h = 0.14, 0.26
        return [(0, 0.84 * r), (h - 0.03, 0.97 * r), (h - 0.03, 1.02 * r), (h, 1.0 * r)], (4, 2), h
    r, h = 0.288, 0.88  # 200 litres
    hoops = [(z + d, r * s) for z in (0.29, 0.58) for d, s in ((-0.02, 1), (0, 1.03), (0.02, 1))]
    return (
        [(0, r), (0.02, 1.02 * r), (0.03, r), *hoops, (h - 0.03, r), (h - 0.01, 1.02 * r), (h, r)],
        (2, 1),
        h,
    )


def drums(rng: np.random.Generator, height: float, wear: float) -> list[Part]:
    """Build metal kegs with collars, plastic barrels, 200-litre drums or buckets on a pallet."""
    kind = ("keg", "barrel", "drum", "bucket")[int(rng.integers(4))]
    profile, (nx, ny), each = _vessel(kind)
    if kind == "keg":
        material = Material("galvanised", (0.5, 0.5, 0.51), round(wear * 0.6, 2))
    else:
        material = Material("paint" if kind == "drum" else "plastic", (1.0, 1.0, 1.0), round(wear * 0.7, 2))
    places = _grid(nx, ny, max(1, min(4, int(height / each))), each)
    places = places[(places[:, 2] < places[:, 2].max()) | (rng.random(len(places)) < 0.9)]
    if not len(places):
        places = _grid(nx, ny, 1, each)
    places[:, :2] += rng.normal(0, 0.002, (len(places), 2))
    base = np.array(shade(rng, _DRUMS) if kind != "bucket" or rng.random() < 0.4 else (0.6, 0.6, 0.58))
    tint = np.ones((len(places), 3)) if kind == "keg" else base * rng.uniform(0.85, 1.1, (len(places), 1))
    parts = [repeat(_ring(profile, material), places, tint)]
    lid = Material("plastic", (0.02, 0.02, 0.022) if rng.random() < 0.6 else bright(rng), 0.3)
    if kind == "keg":
        lid = _HOLE  # the sunken head
        band = _ring([(0.24, 0.188), (0.29, 0.188)], Material("paint", bright(rng), 0.4))
        parts.append(repeat(band, places))
    radius, top = profile[-1][1], profile[-1][0]
    parts.append(repeat(_ring([(top - 0.03, radius * 0.95), (top + 0.004, radius * 0.93)], lid), places))
    wide = max(r for _, r in profile)
    for axis, side in product((0, 1), (-1, 1)):
        out = np.array([0.0, 0.0, 0.5 * each])
        out[axis] = side * (wide + 0.003)
        labelled = places[rng.random(len(places)) < 0.4] + out
        if len(labelled) and kind != "keg":
            parts.append(plates(labelled, (0.6 * wide, 0.6 * wide), axis, side, PAPER))
    return parts


def canisters(rng: np.random.Generator, height: float, wear: float) -> list[Part]:
    """Build layers of plastic canisters with grips and coloured caps."""
    nx, ny, each = (4, 3, 0.36) if rng.random() < 0.6 else (5, 4, 0.29)
    places = _grid(nx, ny, max(1, int(height / (each + 0.05))), each + 0.05)
    places = places[(places[:, 2] < places[:, 2].max()) | (rng.random(len(places)) < 0.85)]
    if not len(places):
        places = _grid(nx, ny, 1, each)
    colour = shade(
        rng, ((0.55, 0.55, 0.52), (0.02, 0.08, 0.3), (0.3, 0.03, 0.03), (0.03, 0.03, 0.03), (0.4, 0.42, 0.4))
    )
    body = Material("plastic", colour, round(wear * 0.6, 2))
    cap = Material("plastic", bright(rng), 0.2)
    w, d = AREA[0] / nx - 0.015, AREA[1] / ny - 0.015
    up = np.array([0.0, 0.0, 1.0])
    parts = [
        boxes(places + up * each * 0.45, (w, d, each * 0.9), body),
        boxes(places + up * each * 0.94, (w * 0.75, d * 0.7, each * 0.1), body),
        boxes(places + np.array([w * 0.3, 0, each * 0.97]), (0.045, 0.045, each * 0.1), cap),
        boxes(places + np.array([-w * 0.05, 0, each * 1.02]), (w * 0.5, 0.025, 0.025), body),
    ]
    for axis, side in product((0, 1), (-1, 1)):
        out = np.array([0.0, 0.0, each * 0.45])
        out[axis] = side * ((w if axis == 0 else d) / 2 + 0.002)
        parts.append(plates(places + out, ((d if axis == 0 else w) * 0.7, each * 0.45), axis, side, PAPER))
    return parts
