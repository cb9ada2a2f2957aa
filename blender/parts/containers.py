"""Build plastic containers: stacks of crates, rows of open-front bins and Euro containers. No bpy."""

from __future__ import annotations

from itertools import product

import numpy as np

from blender.geometry.mesh import Colour, Floats, Material, Part, boxes, plates, repeat
from blender.parts.fittings import PAPER

PLASTICS: dict[str, tuple[Colour, float]] = {
    "red": ((0.48, 0.012, 0.018), 5.0),
    "dark_red": ((0.25, 0.02, 0.03), 1.0),
    "blue": ((0.015, 0.07, 0.32), 4.0),
    "light_blue": ((0.06, 0.22, 0.45), 1.0),
    "grey": ((0.24, 0.25, 0.26), 3.0),
    "green": ((0.02, 0.2, 0.06), 1.0),
    "yellow": ((0.72, 0.42, 0.015), 2.0),
    "orange": ((0.62, 0.14, 0.01), 1.0),
    "black": ((0.02, 0.02, 0.022), 2.0),
    "white": ((0.6, 0.6, 0.57), 0.5),
}
"""Colours of containers and bins, linear RGB, and how often warehouses have them."""
_SHADOW = Material("plastic", (0.012, 0.012, 0.012), 0.2)
_WHITE = Material("plastic", (1.0, 1.0, 1.0), 0.25)
"""Material of parts whose colours are tints."""


def plastic(rng: np.random.Generator) -> Floats:
    """Draw a colour of containers, linear RGB (3,), by how often warehouses have it."""
    table = list(PLASTICS.values())
    share = np.array([weight for _, weight in table])
    return np.array(table[int(rng.choice(len(table), p=share / share.sum()))][0])


def crates(rng: np.random.Generator, height: float, wear: float) -> list[Part]:
    """Build four equally high stacks of plastic crates (600 x 400 mm)."""
    return _stacks(rng, height, wear, ragged=False)


def containers(rng: np.random.Generator, height: float, wear: float) -> list[Part]:
    """Build four stacks of plastic crates (600 x 400 mm) of which some are lower or missing."""
    return _stacks(rng, height, wear, ragged=True)


def _stacks(rng: np.random.Generator, height: float, wear: float, ragged: bool) -> list[Part]:
    """Build stacks of crates with rims, dark slots or grips on their sides, and labels."""
    each = float(rng.choice([0.17, 0.22, 0.22, 0.32]))
    layers = max(1, int(height / each))
    base, other = plastic(rng), plastic(rng)
    second, slotted = rng.random() < 0.25, rng.random() < 0.5
    cells = np.array(list(product((-0.297, 0.297), (-0.197, 0.197), range(layers))))
    if ragged:
        tops = rng.integers(max(0, layers // 2 - 1), layers + 1, 4)
        tops[int(rng.integers(4))] = layers
        cells = cells[cells[:, 2] < np.repeat(tops, layers)]
    centres = cells * [1, 1, each] + [0, 0, each / 2]
    centres[:, :2] += rng.normal(0, 0.004, (len(cells), 2))
    odd = (rng.random(len(cells)) < 0.3) & second
    tint = np.where(odd[:, None], other, base) * rng.uniform(0.85, 1.15, (len(cells), 1))
    surface = Material("plastic", (1.0, 1.0, 1.0), round(wear * 0.5, 2))
    rims = centres + np.array([0, 0, each / 2 - 0.022])
    parts = [
        boxes(centres - [0, 0, 0.015], (0.572, 0.372, each - 0.035), surface, tint),
        boxes(rims, (0.592, 0.392, 0.036), surface, tint),
    ]
    for axis, side in product((0, 1), (-1, 1)):
        outside = centres[centres[:, axis] * side > 0]
        if not len(outside):
            continue
        face = np.zeros(3)
        face[axis] = side * (0.2865 if axis == 0 else 0.1865)
        parts += _openings(rng, outside + face, axis, side, each, slotted)
        labelled = outside[rng.random(len(outside)) < 0.45] + face * 1.012
        if len(labelled):
            labelled[:, 1 - axis] += rng.uniform(-0.06, 0.06, len(labelled))
            parts.append(plates(labelled - [0, 0, each * 0.12], (0.11, 0.07), axis, side, PAPER))
    return parts


def _openings(
    rng: np.random.Generator, faces: Floats, axis: int, side: int, each: float, slotted: bool
) -> list[Part]:
    """Build the dark grips of crates or rows of slots; ``faces`` (N, 3) are the middles of their sides."""
    length = 0.53 if axis == 1 else 0.33
    if not slotted:
        return [plates(faces + np.array([0, 0, each * 0.22]), (0.12, 0.03), axis, side, _SHADOW)]
    across = np.linspace(-0.45, 0.45, 7 if axis == 1 else 5) * length
    offsets = np.zeros((len(across), 3))
    offsets[:, 1 - axis] = across
    rows = [offsets + np.array([0, 0, each * z]) for z in (0.2, -0.14)]
    slots = (faces[:, None] + np.concatenate(rows)[None]).reshape(-1, 3)
    return [plates(slots, (0.05, each * 0.2), axis, side, _SHADOW)]


def bin_row(
    rng: np.random.Generator, width: float, depth: float, height: float, colours: list[Floats]
) -> list[Part]:
    """Build a row of open-front bins along x; their open fronts face -y. The row starts at y = 0, z = 0.

    Args:
        rng: draws the bins' width, gaps, fillings and colours.
        width: length of the row, metres; its middle is at x = 0.
        depth: maximum depth of a bin, metres.
        height: maximum height of a bin, metres.
        colours: linear RGB (3,); neighbours are mostly equal.
    """
    w = float(rng.choice([0.105, 0.15, 0.21, 0.31]))
    d, h = min(depth, 1.7 * w + 0.05), min(height, 0.35 * w + 0.085)
    count = max(1, int(width / (w + 0.006)))
    x = (np.arange(count) - (count - 1) / 2) * width / count
    present = rng.random(count) < rng.uniform(0.75, 1.0)
    x = x[present] if present.any() else x[:1]
    shift = np.stack([x, rng.uniform(0, 0.03, len(x)), np.zeros(len(x))], 1)
    runs = np.cumsum(rng.random(len(x)) < 0.25)  # equal colours stand side by side
    chosen = np.array(colours)[runs % len(colours)]
    tint = chosen * rng.uniform(0.85, 1.1, (len(x), 1))
    low, t = 0.5 * h, 0.004
    walls = boxes(
        [(-w / 2, d / 2, h / 2), (w / 2, d / 2, h / 2), (0, d, h / 2), (0, 0, low / 2), (0, -0.008, low)],
        [(t, d, h), (t, d, h), (w, t, h), (w, t, low), (w, 0.024, 0.014)],
        _WHITE,
    )
    parts = [repeat(walls, shift, tint)]
    filled = shift[rng.random(len(shift)) < 0.8]
    if len(filled):
        level = rng.uniform(0.3, 0.95, len(filled)) * h
        sizes = np.stack([np.full(len(filled), w * 0.9), np.full(len(filled), d * 0.9), level], 1)
        shades = np.array([(0.4, 0.29, 0.17), (0.03, 0.03, 0.032), (0.25, 0.25, 0.25), (0.55, 0.55, 0.53)])
        stuff = shades[rng.integers(len(shades), size=len(filled))]
        middle = filled + np.stack([0 * level, np.full(len(filled), d / 2), level / 2], 1)
        parts.append(boxes(middle, sizes, Material("cardboard", (1.0, 1.0, 1.0), 0.4), stuff))
    parts.append(plates(shift + np.array([0, -0.0205, low - 0.004]), (w * 0.5, 0.022), 1, -1, PAPER))
    return parts


def container_row(
    rng: np.random.Generator, width: float, depth: float, height: float, colours: list[Floats]
) -> list[Part]:
    """Build Euro containers side by side and on each other, as in ``bin_row``; short side to -y."""
    w, d = (0.3, 0.4) if rng.random() < 0.35 else (0.4, 0.6)
    d, each = min(d, depth), min(float(rng.choice([0.12, 0.17, 0.22, 0.32])), height)
    count, layers = max(1, int(width / (w + 0.01))), max(1, min(4, int(height / each)))
    x = (np.arange(count) - (count - 1) / 2) * width / count
    tops = rng.integers(0, layers + 1, count) if rng.random() < 0.7 else np.full(count, layers)
    cells = np.array([(x[k], z) for k in range(count) for z in range(max(tops[k], int(k == 0)))])
    centres = np.stack([cells[:, 0], np.full(len(cells), d / 2), (cells[:, 1] + 0.5) * each], 1)
    centres[:, :2] += rng.normal(0, 0.008, (len(cells), 2)) + np.array([0, 0.01])
    runs = np.cumsum(rng.random(len(cells)) < 0.15)
    tint = np.array(colours)[runs % len(colours)] * rng.uniform(0.85, 1.1, (len(cells), 1))
    front = centres - [0, d / 2 - 0.01, 0]
    grips = plates(front + np.array([0, -0.0025, each * 0.2]), (w * 0.3, 0.03), 1, -1, _SHADOW)
    labelled = front[rng.random(len(front)) < 0.6]
    notes = plates(labelled - [0, 0.0035, each * 0.14], (w * 0.32, 0.055), 1, -1, PAPER)
    return [
        boxes(centres - [0, 0, 0.012], (w - 0.03, d - 0.025, each - 0.03), _WHITE, tint),
        boxes(centres + np.array([0, 0, each / 2 - 0.02]), (w - 0.008, d - 0.008, 0.03), _WHITE, tint),
        grips,
        *([notes] if len(labelled) else []),
    ]
