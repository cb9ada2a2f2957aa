"""Small objects on a warehouse floor: drums, tyres, rolls, bins, ladders, litter, random shapes. Unlabelled.

Origin: on the floor below the middle.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated

import numpy as np

from blender.contract.limits import Weights
from blender.geometry.mesh import (
    Colour,
    Material,
    Part,
    box,
    boxes,
    cylinder,
    plates,
    repeat,
    rounded_path,
    tube,
)
from blender.parts import variants
from blender.parts.distractors import distractor
from blender.parts.fittings import PAPER, RUBBER, ZINC, bright
from blender.parts.loads import CARD
from blender.parts.machine_parts import heap, parts_box
from blender.parts.round_goods import canisters, drums, tyre, tyre_stack
from blender.parts.soft import cushion

sample = variants.sample
_BLACK = Material("plastic", (0.02, 0.02, 0.02), 0.3)


@dataclass(frozen=True)
class Ranges:
    """Ranges of [scene.objects.NAME] with builder = "clutter"."""

    variants: Annotated[dict[str, float], Weights(VARIANTS)]
    """Weights of the variants."""


def _drum(rng: np.random.Generator) -> list[Part]:
    """Build one to four 200-litre drums."""
    parts: list[Part] = []
    for number in range(int(rng.choice([1, 1, 2, 3, 4]))):
        steel = Material("paint" if rng.random() < 0.6 else "plastic", bright(rng), 0.6)
        drum = [cylinder((0, 0, 0.01), (0, 0, 0.87), 0.29, steel, 24)]
        drum += [cylinder((0, 0, z), (0, 0, z + 0.02), 0.297, steel, 24) for z in (0.0, 0.29, 0.58, 0.86)]
        drum.append(cylinder((0.18, 0, 0.88), (0.18, 0, 0.9), 0.03, _BLACK, 8))
        parts += [p.moved((0.61 * (number % 2), 0.61 * (number // 2), 0)) for p in drum]
    return parts


def _bin(rng: np.random.Generator) -> list[Part]:
    """Build a waste bin on two wheels."""
    body, lid = Material("plastic", bright(rng), 0.3), Material("plastic", bright(rng), 0.2)
    return [
        tube([(0, 0, 0.08), (0, 0, 0.95)], (0.31, 0.37), body, 4).moved(yaw=np.pi / 4),
        box((-0.31, -0.28, 0.95), (0.32, 0.28, 1.01), lid),
        cylinder((-0.24, -0.29, 0.1), (-0.24, 0.29, 0.1), 0.1, RUBBER),
        tube([(-0.33, -0.22, 0.95), (-0.33, 0.22, 0.95)], 0.015, lid, 8),
    ]


def _bags(rng: np.random.Generator) -> list[Part]:
    """Build two to four rubbish bags or sacks in a heap."""
    shades: tuple[Colour, ...] = ((0.02, 0.02, 0.02), (0.02, 0.05, 0.2), (0.5, 0.5, 0.48))
    parts = []
    for number in range(int(rng.integers(2, 5))):
        material = Material("wrap", shades[int(rng.integers(3))], 0.2)
        size = (rng.uniform(0.4, 0.6), rng.uniform(0.35, 0.5), rng.uniform(0.35, 0.6))
        at = (0.3 * (number % 2), 0.3 * (number // 2), size[2] / 2)
        parts.append(cushion(size, material).moved(at, rng.uniform(0, 3)))
    return parts


def _extinguisher(rng: np.random.Generator) -> list[Part]:
    """Build a fire extinguisher on the floor."""
    red = Material("paint", (0.6, 0.02, 0.02), 0.2)
    return [
        cylinder((0, 0, 0.02), (0, 0, 0.48), 0.08, red),
        cylinder((0, 0, 0.48), (0, 0, 0.56), 0.03, _BLACK, 12),
        tube([(0.02, 0, 0.54), (0.1, 0, 0.45), (0.1, 0, 0.2)], 0.011, _BLACK, 8),
        plates([(0.0805, 0, 0.3)], (0.07, 0.14), 0, 1, Material("paper", (0.7, 0.7, 0.68), 0.1)),
    ]


def _ladder(rng: np.random.Generator) -> list[Part]:
    """Build an opened step ladder."""
    alu = Material("galvanised", (0.6, 0.6, 0.62), 0.2)
    height = rng.uniform(1.4, 2.4)
    rails = [
        tube([(s * 0.5, y, 0.0), (0.0, y * 0.8, height)], 0.022, alu, 6)
        for s in (-1, 1)
        for y in (-0.25, 0.25)
    ]
    steps = [((1 - z / height) * 0.5, 0, z) for z in np.arange(0.3, height, 0.28)]
    return [*rails, boxes(steps, (0.08, 0.44, 0.025), alu)]


def _step_stool(rng: np.random.Generator) -> list[Part]:
    """Build two to four broad steps; tall stools have a handrail."""
    paint = ZINC if rng.random() < 0.4 else Material("paint", bright(rng), 0.5)
    count = int(rng.integers(2, 5))
    rise = 0.24
    steps = [(0.2 * k, 0, rise * (k + 1) - 0.015) for k in range(count)]
    legs = [(x, y, (z - 0.01) / 2) for x, _, z in (steps[0], steps[-1]) for y in (-0.22, 0.22)]
    sizes = [(0.03, 0.03, 2 * z) for _, _, z in legs]
    parts = [boxes(steps, (0.22, 0.48, 0.03), paint), boxes(legs, sizes, paint)]
    far, top = steps[-1][0], steps[-1][2]
    parts += [tube([(0, y, 0.1), (far, y, top - 0.03)], 0.014, paint, 6) for y in (-0.23, 0.23)]
    if count > 2:
        rail = [(far, -0.23, top), (far, -0.23, top + 0.7), (far, 0.23, top + 0.7), (far, 0.23, top)]
        parts.append(tube(rounded_path(rail, 0.1), 0.014, paint, 8))
    return parts


def _hose(rng: np.random.Generator) -> list[Part]:
    """Build a coil of hose or cable on the floor with one loose end."""
    shades: tuple[Colour, ...] = ((0.03, 0.03, 0.03), (0.6, 0.25, 0.02), (0.05, 0.2, 0.4), (0.5, 0.45, 0.05))
    material = Material("rubber", shades[int(rng.integers(4))], 0.5)
    radius = rng.uniform(0.006, 0.013)
    angle = np.linspace(0, 2 * np.pi * rng.uniform(2.5, 4.5), 64)
    reach = rng.uniform(0.16, 0.3) + 0.012 * angle / np.pi + 0.02 * np.sin(angle * 0.7)
    coil = np.stack([reach * np.cos(angle), reach * np.sin(angle), radius + 0.0016 * angle], 1)
    end = [coil[-1] + [0.15, 0.2, -coil[-1, 2] + radius], coil[-1] + [0.5, 0.25, -coil[-1, 2] + radius]]
    return [tube(np.concatenate([coil, end]), radius, material, 6)]


def _reel(rng: np.random.Generator) -> list[Part]:
    """Build a cable drum that stands on its rims."""
    radius, half = rng.uniform(0.3, 0.55), rng.uniform(0.18, 0.3)
    wood = (
        Material("wood", (0.42, 0.31, 0.19), 0.6)
        if rng.random() < 0.6
        else Material("paint", (0.02, 0.08, 0.35))
    )
    z = radius
    cable = Material("rubber", (0.02, 0.02, 0.03) if rng.random() < 0.6 else (0.02, 0.08, 0.4), 0.3)
    return [
        cylinder((0, -half, z), (0, half, z), radius * rng.uniform(0.5, 0.85), cable, 24),
        *[cylinder((0, s * half, z), (0, s * (half + 0.03), z), radius, wood, 28) for s in (-1, 1)],
    ]


def _bottles(rng: np.random.Generator) -> list[Part]:
    """Build one to three gas bottles in front of a frame."""
    frame = Material("paint", bright(rng), 0.5)
    parts = [boxes([(-0.14, 0, z) for z in (0.5, 1.0)], (0.03, 0.8, 0.05), frame)]
    parts.append(boxes([(-0.14, y, 0.55) for y in (-0.38, 0.38)], (0.04, 0.04, 1.1), frame))
    for y in np.linspace(-0.25, 0.25, int(rng.integers(1, 4))):
        steel = Material("paint", bright(rng), 0.5)
        parts += [
            cylinder((0, y, 0), (0, y, 1.25), 0.11, steel, 18),
            tube([(0, y, 1.25), (0, y, 1.36)], (0.11, 0.04), steel, 18),
            cylinder((0, y, 1.36), (0, y, 1.48), 0.025, ZINC, 8),
        ]
    return parts


def _planks(rng: np.random.Generator) -> list[Part]:
    """Build boards or pipes that lie on two bearers."""
    count = int(rng.integers(4, 12))
    length = rng.uniform(1.4, 2.6)
    bearers = boxes(
        [(x, 0, 0.04) for x in (-0.4 * length, 0.4 * length)],
        (0.08, 0.7, 0.08),
        Material("wood", (0.35, 0.26, 0.17), 0.7),
    )
    centres = [
        (rng.normal(0, 0.04), -0.27 + 0.18 * (k % 4), 0.08 + 0.045 * (k // 4) + 0.02) for k in range(count)
    ]
    if rng.random() < 0.5:
        pipes = [tube([(x - length / 2, y, z), (x + length / 2, y, z)], 0.02, ZINC, 8) for x, y, z in centres]
        return [bearers, *pipes]
    tint = rng.uniform(0.7, 1.15, (count, 1)) * np.ones(3)
    return [bearers, boxes(centres, (length, 0.16, 0.04), Material("wood", (0.45, 0.35, 0.22), 0.5), tint)]


def _litter(rng: np.random.Generator) -> list[Part]:
    """Build litter: flattened cardboard, pieces of film, a curled strap."""
    count = int(rng.integers(2, 7))
    centres = rng.uniform(-0.6, 0.6, (count, 3)) * [1, 1, 0]
    centres[:, 2] = 0.006 + 0.002 * np.arange(count)
    sizes = rng.uniform([0.05, 0.03, 0.004], [0.5, 0.35, 0.012], (count, 3)) * rng.uniform(0.3, 1, (count, 1))
    tint = np.array(CARD)[rng.integers(len(CARD), size=count)] / 0.5
    card = Material("cardboard", (0.5, 0.5, 0.5), 0.6)
    parts = [boxes(centres, sizes, card, tint, rng.uniform(0, 3, count))]
    if rng.random() < 0.6:  # loose sheets
        sheets = rng.uniform(-0.8, 0.8, (int(rng.integers(1, 6)), 3)) * [1, 1, 0] + np.array([0, 0, 0.004])
        parts.append(boxes(sheets, (0.3, 0.21, 0.002), PAPER, yaw=rng.uniform(0, 3, len(sheets))))
    if rng.random() < 0.6:
        size = (rng.uniform(0.15, 0.45), rng.uniform(0.1, 0.3), rng.uniform(0.03, 0.12))
        at = (*rng.uniform(-0.5, 0.5, 2), size[2] / 2)
        parts.append(cushion(size, Material("wrap", (0.6, 0.62, 0.63), 0.2)).moved(at, rng.uniform(0, 3)))
    angle = np.linspace(0, rng.uniform(2, 5), 14)
    curl = np.stack([0.3 * np.cos(angle), 0.2 * np.sin(1.3 * angle), 0.012 + 0.01 * np.sin(angle) ** 2], 1)
    parts.append(tube(curl, 0.004, Material("plastic", bright(rng), 0.2), 4))
    return parts


def _tyres(rng: np.random.Generator) -> list[Part]:
    """Build one or two stacks of tyres, or tyres that stand in a row in a low frame."""
    radius, width = float(rng.uniform(0.27, 0.42)), float(rng.uniform(0.16, 0.28))
    if rng.random() < 0.6:
        stacks = [
            tyre_stack(rng, int(rng.integers(1, 7)), radius, width) for _ in range(int(rng.integers(1, 3)))
        ]
        return [p.moved((0, 2.05 * radius * k, 0)) for k, stack in enumerate(stacks) for p in stack]
    lying = tyre(radius, width, Material("rubber", (0.02, 0.02, 0.021), 0.5))
    standing = replace(lying, vertices=lying.vertices[:, [0, 2, 1]] * [1, 1, -1])  # turned about x
    count, gap = int(rng.integers(3, 8)), width + 0.02
    hole = cylinder((0, 0.02 * width, 0), (0, 0.98 * width, 0), 0.6 * radius, _BLACK, 14)
    places = [(0, gap * k, radius + 0.06) for k in range(count)]
    frame = ZINC if rng.random() < 0.5 else Material("paint", bright(rng), 0.5)
    long, half = count * gap, 0.75 * radius
    posts = [(x, y, 0.5) for x in (-half, half) for y in (0, long)]
    rails = [(x, long / 2, z) for x in (-half, half) for z in (0.1, 0.9)]
    return [
        repeat(standing, places),
        repeat(hole, places),
        boxes(posts, (0.05, 0.05, 1.0), frame),
        boxes(rails, (0.05, long, 0.05), frame),
    ]


def _rolls(rng: np.random.Generator) -> list[Part]:
    """Build one to four rolls of film, paper or carpet, standing or lying side by side."""
    surface = ("wrap", "plastic", "cardboard", "fabric")[int(rng.integers(4))]
    shades: tuple[Colour, ...] = ((0.6, 0.6, 0.58), (0.45, 0.33, 0.2), (0.03, 0.03, 0.03), (0.1, 0.2, 0.35))
    material = Material(surface, shades[int(rng.integers(4))], 0.3)
    radius, length = rng.uniform(0.08, 0.4), rng.uniform(0.4, 1.6)
    core = Material("cardboard", (0.1, 0.07, 0.05), 0.2)
    start, end, step = (0.0, 0.0, 0.0), (0.0, 0.0, length), (0.0, 2.03 * radius, 0.0)
    if rng.random() < 0.6:
        start, end = (-length / 2, 0.0, radius), (length / 2, 0.0, radius)
        step = (0.0, 2.01 * radius, 0.0)
    out = 0.003 * (np.array(end) - start) / length
    places = np.arange(int(rng.integers(1, 5)))[:, None] * np.array(step)
    return [
        repeat(cylinder(start, end, radius, material, 20), places),
        repeat(cylinder(start - out * (start[2] > 0), end + out, 0.22 * radius, core, 10), places),
    ]


def _vessels(rng: np.random.Generator) -> list[Part]:
    """Build kegs, barrels, buckets or canisters that stand on the floor."""
    build_load = drums if rng.random() < 0.7 else canisters
    return build_load(rng, float(rng.uniform(0.2, 1.0)), 0.6)


def _parts(rng: np.random.Generator) -> list[Part]:
    """Build odd dark parts: in a box, or in a heap on the floor."""
    if rng.random() < 0.5:
        return parts_box(rng, float(rng.uniform(0.3, 0.9)), 0.6)
    return variants.grounded(heap(rng, (rng.uniform(0.6, 1.5), rng.uniform(0.3, 0.9), rng.uniform(0.2, 0.5))))


VARIANTS: dict[str, variants.Builder] = {
    "drum": _drum,
    "bin": _bin,
    "bags": _bags,
    "extinguisher": _extinguisher,
    "ladder": _ladder,
    "step_stool": _step_stool,
    "hose": _hose,
    "reel": _reel,
    "bottles": _bottles,
    "planks": _planks,
    "litter": _litter,
    "tyres": _tyres,
    "rolls": _rolls,
    "vessels": _vessels,
    "parts": _parts,
    "shapes": distractor,
}
build = partial(variants.build, VARIANTS)
footprint = partial(variants.footprint, VARIANTS)
