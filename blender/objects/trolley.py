"""Hand-pushed trolleys and carts that are not pallet trucks. Unlabelled look-alikes.

Origin: on the floor below the middle; the handle is at -x.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np

from blender.contract.limits import Weights
from blender.geometry.mesh import Material, Part, box, boxes, move, prism, rounded_path, tube
from blender.parts import variants
from blender.parts.fittings import PAPER, RUBBER, ZINC, bright, castors, wheel
from blender.parts.loads import mixed_cartons

sample = variants.sample


@dataclass(frozen=True)
class Ranges:
    """Ranges of [scene.objects.NAME] with builder = "trolley"."""

    variants: Annotated[dict[str, float], Weights(VARIANTS)]
    """Weights of the variants."""


def _frame(rng: np.random.Generator) -> Material:
    """Draw the frame's paint."""
    return Material("paint", (0.02, 0.1, 0.4) if rng.random() < 0.5 else bright(rng), 0.4)


def _deck(rng: np.random.Generator) -> Material:
    """Draw the deck's material."""
    return (
        Material("wood", (0.38, 0.29, 0.19), 0.5)
        if rng.random() < 0.6
        else Material("plastic", (0.05, 0.05, 0.05), 0.5)
    )


def _corners(x: float, y: float) -> list[tuple[float, float]]:
    """Return the corners of a rectangle about the origin, from its half sizes."""
    return [(a, b) for a in (-x, x) for b in (-y, y)]


def _platform(rng: np.random.Generator) -> list[Part]:
    """Build a platform trolley: a deck and a push bar, empty or with cartons."""
    frame, deck = _frame(rng), _deck(rng)
    bar = rounded_path(
        [(-0.48, -0.28, 0.2), (-0.52, -0.28, 0.98), (-0.52, 0.28, 0.98), (-0.48, 0.28, 0.2)], 0.1
    )
    parts = [
        *castors(_corners(0.38, 0.24), 0.065),
        box((-0.5, -0.3, 0.163), (0.5, 0.3, 0.2), deck),
        tube(bar, 0.016, frame, 8),
        boxes([(-0.51, 0, z) for z in (0.45, 0.7)], (0.02, 0.55, 0.02), frame),
    ]
    if rng.random() < 0.5:
        parts += move(mixed_cartons(rng, rng.uniform(0.3, 0.9), 0.4, (0.85, 0.5)), (0.03, 0, 0.201))
    return parts


def _shelf(rng: np.random.Generator) -> list[Part]:
    """Build a shelf trolley: two or three boards between two hoops."""
    frame, deck = _frame(rng), _deck(rng)
    length, half = rng.uniform(0.8, 1.3) / 2, 0.3
    high = rng.uniform(0.95, 1.5)
    parts = castors(_corners(length - 0.08, half - 0.05), 0.06)
    for x in (-length, length):
        hoop = [(x, -half, 0.16), (x, -half, high), (x, half, high), (x, half, 0.16)]
        parts.append(tube(rounded_path(hoop, 0.1), 0.016, frame, 8))
    for z in np.linspace(0.17, high - 0.2, int(rng.integers(2, 4))):
        parts.append(box((-length, -half, z), (length, half, z + 0.025), deck))
        parts.append(boxes([(0, y, z + 0.01) for y in (-half, half)], (2 * length, 0.03, 0.04), frame))
        if rng.random() < 0.5:
            parts += move(mixed_cartons(rng, 0.26, 0.4, (1.6 * length, 0.48)), (0, 0, z + 0.026))
    return parts


def _sack_truck(rng: np.random.Generator) -> list[Part]:
    """Build a sack truck that leans back on its two wheels: rails with a loop on top, a toe plate."""
    frame = _frame(rng)
    lean = rng.uniform(0.08, 0.2)
    rail = [(0.0, -0.17, 0.04), (-1.15 * lean, -0.17, 1.15), (-1.15 * lean, 0.17, 1.15), (0.0, 0.17, 0.04)]
    rungs = [(-lean * z, 0.0, z) for z in (0.3, 0.55, 0.8)]
    return [
        tube(rounded_path(rail, 0.14), 0.016, frame, 8),
        boxes(rungs, (0.02, 0.34, 0.03), frame),
        *wheel((-0.13, -0.25, 0.13), 0.13, 0.06),
        *wheel((-0.13, 0.25, 0.13), 0.13, 0.06),
        tube([(-0.13, -0.25, 0.13), (-0.13, 0.25, 0.13)], 0.012, ZINC, 6),
        boxes([(-0.07, y, 0.15) for y in (-0.16, 0.16)], (0.16, 0.02, 0.06), frame),
        box((0.0, -0.2, 0.02), (0.24, 0.2, 0.03), frame),
    ]


def _lift_table(rng: np.random.Generator) -> list[Part]:
    """Build a scissor lift table with a push handle, on castors."""
    frame, black = _frame(rng), Material("plastic", (0.02, 0.02, 0.02), 0.4)
    high = rng.uniform(0.35, 0.8)
    parts = castors(_corners(0.34, 0.2), 0.06)
    parts += [
        box((-0.45, -0.25, 0.15), (0.45, 0.25, 0.21), frame),
        box((-0.43, -0.26, high), (0.45, 0.26, high + 0.05), frame),
    ]
    for y in (-0.2, 0.2):
        parts += [tube([(s * -0.36, y, 0.2), (s * 0.36, y * 0.92, high)], 0.018, frame, 6) for s in (-1, 1)]
    bar = [(-0.44, -0.2, 0.18), (-0.62, -0.2, 0.95), (-0.62, 0.2, 0.95), (-0.44, 0.2, 0.18)]
    parts += [
        tube(rounded_path(bar, 0.1), 0.016, frame, 8),
        tube([(-0.62, -0.11, 0.95), (-0.62, 0.11, 0.95)], 0.02, black, 8),
    ]
    return parts


def _trailer(rng: np.random.Generator) -> list[Part]:
    """Build a four-wheeled trailer; its drawbar ends in a loop and stands or lies."""
    frame, deck = _frame(rng), _deck(rng)
    lean = rng.uniform(0.1, 0.9)
    tip = np.array([-0.6 - 0.85 * np.sin(lean), 0.0, 0.2 + 0.85 * np.cos(lean)])
    root = np.array([-0.6, 0.0, 0.2])
    along = (tip - root) / 0.85
    across = np.array([0.0, 0.09, 0.0])
    loop = [root + along * 0.68, tip + across, tip - across]
    wheels = [w for x in (-0.42, 0.42) for y in (-0.34, 0.34) for w in wheel((x, y, 0.13), 0.13, 0.06)]
    axles = [[(x, -0.34, 0.13), (x, 0.34, 0.13)] for x in (-0.42, 0.42)]
    return [
        *wheels,
        *[tube(axle, 0.015, ZINC, 6) for axle in axles],
        box((-0.65, -0.38, 0.285), (0.65, 0.38, 0.32), deck),
        boxes([(0, y, 0.26) for y in (-0.3, 0.3)], (1.25, 0.06, 0.06), frame),
        tube([root, root + along * 0.69], 0.018, frame, 8),
        tube(rounded_path(loop, 0.04, closed=True), 0.013, frame, 8, closed=True),
    ]


def _bin_cart(rng: np.random.Generator) -> list[Part]:
    """Build a tipping skip on castors, with fork pockets and a handle."""
    body = Material("paint", bright(rng), 0.8)
    outline = [(0.2, -0.5), (0.2, 0.35), (0.9, 0.75), (0.9, -0.5)]
    return [
        *castors(_corners(0.38, 0.28), 0.07),
        boxes([(0, y, 0.2) for y in (-0.22, 0.22)], (1.0, 0.18, 0.07), body),
        prism(outline, -0.4, 0.4, 1, body),
        boxes([(0.12, 0, 0.91)], (1.3, 0.84, 0.03), body),
        tube(
            [(-0.52, -0.3, 0.75), (-0.62, -0.25, 0.8), (-0.62, 0.25, 0.8), (-0.52, 0.3, 0.75)],
            0.014,
            RUBBER,
            8,
        ),
    ]


def _picking_cart(rng: np.random.Generator) -> list[Part]:
    """Build a picking cart: a frame with two to four sloping boards, and small bins in rows on them."""
    frame = _frame(rng)
    length, half, high = rng.uniform(0.9, 1.4) / 2, rng.uniform(0.25, 0.35), rng.uniform(1.1, 1.7)
    posts = [(x, y, (high + 0.15) / 2) for x in (-length, length) for y in (-half, half)]
    parts = castors(_corners(length - 0.08, half - 0.05), 0.06)
    parts.append(boxes(posts, (0.03, 0.03, high - 0.15), frame))
    shades = [bright(rng) for _ in range(2)]
    for z in np.linspace(0.2, high - 0.25, int(rng.integers(2, 5))):
        parts.append(box((-length, -half, z - 0.02), (length, half, z), frame))
        count = int(rng.integers(2, 6))
        wide = 2 * length / count
        filled = np.flatnonzero(rng.random(count) < 0.85)
        if len(filled):
            at = [(-length + wide * (k + 0.5), 0.0, z + 0.085) for k in filled]
            tint = np.array([shades[int(rng.random() < 0.3)] for _ in filled])
            size = (wide - 0.03, 2 * half - 0.03, 0.16)
            parts.append(boxes(at, size, Material("plastic", (1.0, 1.0, 1.0), 0.4), tint))
            fronts = [(x, s * (half - 0.012), z + 0.1) for x, _, z in at for s in (-1, 1)]
            parts.append(boxes(fronts, (0.07, 0.01, 0.04), PAPER))
    bar = [
        (-length, -half, 0.95),
        (-length - 0.15, -half, 1.0),
        (-length - 0.15, half, 1.0),
        (-length, half, 0.95),
    ]
    parts.append(tube(rounded_path(bar, 0.06), 0.014, frame, 8))
    return parts


def _steps(rng: np.random.Generator) -> list[Part]:
    """Build steps on wheels: rails, treads, a platform with a railing, two wheels behind."""
    frame = ZINC if rng.random() < 0.5 else _frame(rng)
    count = int(rng.integers(3, 9))
    rise, run, half = 0.25, rng.uniform(0.16, 0.2), rng.uniform(0.25, 0.32)
    high, length = rise * count, run * count
    treads = [(run * (k + 0.5) - length / 2, 0.0, rise * (k + 1) - 0.02) for k in range(count)]
    top = length / 2
    parts = [
        boxes(treads, (0.18, 2 * half, 0.035), frame),
        box((top - 0.05, -half, high - 0.04), (top + 0.45, half, high), frame),
    ]
    for y in (-half, half):
        hand_rail = [
            (-length / 2, y, 0.9), (top, y, high + 0.9), (top + 0.45, y, high + 0.9), (top + 0.45, y, 0.02)
        ]  # fmt: skip
        parts += [
            tube([(-length / 2 - 0.1, y, 0.03), (top, y, high - 0.02)], 0.02, frame, 6),
            tube(rounded_path(hand_rail, 0.1), 0.016, frame, 6),
            tube([(-length / 2, y, 0.05), (-length / 2, y, 0.9)], 0.016, frame, 6),
            *wheel((top + 0.3, y * 1.15, 0.1), 0.1, 0.04),
        ]
    return parts


def _tugger_trailer(rng: np.random.Generator) -> list[Part]:
    """Build one or two trailers of a tugger train, each with a high frame or a stack of crates on it."""
    frame, deck = _frame(rng), _deck(rng)
    parts: list[Part] = []
    for number in range(int(rng.choice([1, 1, 2]))):
        one = [
            *castors(_corners(0.5, 0.32), 0.08),
            box((-0.62, -0.42, 0.2), (0.62, 0.42, 0.26), deck),
            boxes([(0, y, 0.23) for y in (-0.41, 0.41)], (1.3, 0.05, 0.1), frame),
            tube([(-0.62, 0, 0.22), (-0.98, 0, 0.24)], 0.025, frame, 6),
            tube([(0.62, 0, 0.22), (0.7, 0, 0.22)], 0.03, ZINC, 6),
        ]
        if rng.random() < 0.5:
            high = rng.uniform(1.2, 1.7)
            for y in (-0.4, 0.4):
                hoop = [(-0.6, y, 0.2), (-0.6, y, high), (0.6, y, high), (0.6, y, 0.2)]
                one.append(tube(rounded_path(hoop, 0.08), 0.018, frame, 6))
            one.append(boxes([(0, 0, z) for z in (0.75, high)], (1.2, 0.78, 0.025), deck))
        if rng.random() < 0.7:
            one += move(mixed_cartons(rng, rng.uniform(0.2, 0.45), 0.4, (1.05, 0.7)), (0, 0, 0.262))
        parts += move(one, (1.62 * number, 0, 0))
    return parts


VARIANTS: dict[str, variants.Builder] = {
    "platform": _platform,
    "shelf": _shelf,
    "sack_truck": _sack_truck,
    "lift_table": _lift_table,
    "trailer": _trailer,
    "bin_cart": _bin_cart,
    "picking_cart": _picking_cart,
    "steps": _steps,
    "tugger_trailer": _tugger_trailer,
}
build = partial(variants.build, VARIANTS)
footprint = partial(variants.footprint, VARIANTS)
