"""Counterbalance forklift and reach truck, unlabelled look-alikes.

Origin: on the floor below the middle of the chassis; the forks point to +x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from blender.mesh import Colour, Material, Part, box, boxes, cylinder, prism, tube
from blender.objects import Assets
from blender.ranges import check_names, pick, uniform

PAINTS: dict[str, Colour] = {
    "red": (0.45, 0.02, 0.015),
    "orange": (0.75, 0.16, 0.02),
    "yellow": (0.8, 0.45, 0.02),
    "green": (0.05, 0.22, 0.10),
    "grey": (0.25, 0.26, 0.27),
}


@dataclass(frozen=True)
class Ranges:
    """What varies from forklift to forklift."""

    variants: dict[str, float]
    """Weight of "counterbalance" and "reach"."""
    paint: dict[str, float]
    mast: tuple[float, float] = (2.0, 2.6)
    """Height of the lowered mast, metres."""
    lift: tuple[float, float] = (0.05, 1.2)
    """Height of the forks, metres."""

    def __post_init__(self) -> None:
        check_names("variants", self.variants, ("counterbalance", "reach"))
        check_names("paint", self.paint, PAINTS)


def sample(ranges: Ranges, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Draw one forklift's parameters (JSON values)."""
    return {
        "variant": pick(ranges.variants, rng),
        "paint": pick(ranges.paint, rng),
        "mast": uniform(ranges.mast, rng),
        "lift": uniform((ranges.lift[0], ranges.lift[1] * float(rng.random()) + ranges.lift[0]), rng),
        "wear": uniform((0.2, 0.8), rng),
    }


def footprint(params: dict[str, Any], assets: Assets) -> tuple[float, float, float, float]:
    """Extent on the floor: x from, x to, y from, y to, in metres."""
    return (-1.15, 2.2, -0.62, 0.62)


def build(params: dict[str, Any], assets: Assets) -> list[Part]:
    """The forklift's meshes."""
    paint = Material("paint", PAINTS[params["paint"]], params["wear"])
    dark = Material("plastic", (0.02, 0.02, 0.022), 0.5)
    steel = Material("steel", (0.08, 0.08, 0.085), 0.6)
    body = _counterbalance(paint, dark) if params["variant"] == "counterbalance" else _reach(paint, dark)
    return [*body, *_mast(params, steel), *_guard(dark if params["wear"] > 0.4 else paint)]


def _wheel(x: float, y: float, radius: float) -> list[Part]:
    rubber, hub = Material("rubber", (0.025, 0.025, 0.025), 0.6), Material("paint", (0.4, 0.4, 0.38), 0.5)
    return [
        cylinder((x, y - 0.1, radius), (x, y + 0.1, radius), radius, rubber, 24),
        cylinder((x, y - 0.105, radius), (x, y + 0.105, radius), radius * 0.55, hub, 16),
    ]


def _counterbalance(paint: Material, dark: Material) -> list[Part]:
    weight = [(0.15, -1.15), (0.95, -1.05), (1.05, -0.45), (0.15, -0.35)]
    wheels = [w for x in (-0.75, 0.7) for y in (-0.47, 0.47) for w in _wheel(x, y, 0.28)]
    return [
        prism(weight[::-1], -0.55, 0.55, 1, paint),
        box((-0.5, -0.55, 0.2), (0.75, 0.55, 0.62), paint),
        box((0.55, -0.5, 0.6), (0.75, 0.5, 1.0), dark),
        box((-0.42, -0.28, 0.62), (0.12, 0.28, 0.85), dark),
        box((-0.5, -0.28, 0.85), (-0.35, 0.28, 1.45), dark),
        cylinder((0.5, -0.12, 1.05), (0.45, -0.12, 1.15), 0.17, dark),
        *wheels,
    ]


def _reach(paint: Material, dark: Material) -> list[Part]:
    legs = [box((0.1, y - 0.08, 0.08), (1.75, y + 0.08, 0.26), paint) for y in (-0.5, 0.5)]
    wheels = [w for y in (-0.5, 0.5) for w in _wheel(1.55, y, 0.16)]
    return [
        box((-1.1, -0.58, 0.12), (-0.1, 0.58, 0.95), paint),
        box((-0.1, -0.58, 0.12), (0.35, 0.58, 0.45), paint),
        box((-0.75, -0.05, 0.95), (-0.25, 0.5, 1.05), dark),
        box((-0.75, 0.35, 1.0), (-0.25, 0.5, 1.55), dark),
        *legs,
        *wheels,
        *_wheel(-0.7, 0.0, 0.2),
    ]


def _mast(params: dict[str, Any], steel: Material) -> list[Part]:
    """Two rails, crossbars, chains, carriage and forks."""
    high, lift = params["mast"], params["lift"]
    rails = [(0.95, y, high / 2 + 0.05) for y in (-0.32, -0.22, 0.22, 0.32)]
    bars = [(0.95, 0, z) for z in (0.3, high * 0.6, high)]
    forks = [(1.62, y, lift) for y in (-0.26, 0.26)]
    backs = [(1.07, y, lift + 0.28) for y in (-0.26, 0.26)]
    return [
        boxes(rails, (0.14, 0.06, high), steel),
        boxes(bars, (0.08, 0.66, 0.08), steel),
        boxes(forks, (1.15, 0.1, 0.04), steel),
        boxes(backs, (0.05, 0.1, 0.6), steel),
        boxes([(1.04, 0, lift + 0.1), (1.04, 0, lift + 0.5)], (0.04, 0.9, 0.1), steel),
        tube([(0.95, 0.0, 0.3), (0.95, 0.0, high - 0.1)], 0.035, steel, 8),
    ]


def _guard(material: Material) -> list[Part]:
    """Overhead guard: four posts and a slatted roof."""
    posts = [
        tube([(x, y, 0.9), (x * 0.75, y * 0.95, 2.1)], 0.035, material, 8)
        for x in (-0.8, 0.7)
        for y in (-0.5, 0.5)
    ]
    slats = [(x, 0, 2.12) for x in np.linspace(-0.55, 0.5, 7)]
    frame = [(x, 0, 2.1) for x in (-0.6, 0.55)]
    sides = [(-0.02, y, 2.1) for y in (-0.48, 0.48)]
    return [
        *posts,
        boxes(slats, (0.03, 0.96, 0.03), material),
        boxes(frame, (0.07, 1.02, 0.06), material),
        boxes(sides, (1.2, 0.07, 0.06), material),
    ]
