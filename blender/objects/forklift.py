"""Forklifts and a tow tractor. Unlabelled. Their forks and masts make them similar to pallet trucks.

Origin: on the floor below the middle of the chassis; the forks point to +x. Dimensions of common makes:
counterbalance truck of 1.6 t: 1.15 m wide, wheelbase 1.4 m; reach truck: 1.27 m wide; forks 1150 x 100 x
40 mm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np

from blender.assets import Assets
from blender.contract.limits import Ge, Le, Ordered, ShareRange, Weights
from blender.geometry.mesh import (
    Colour,
    Material,
    Part,
    bounds,
    box,
    boxes,
    cylinder,
    prism,
    rounded_path,
    tube,
)
from blender.kinds import AttachmentContext, ObjectGroup
from blender.objects import pedestrian
from blender.objects.pedestrian.attachments import ARM_CLOTH, TRUNK_CLOTH
from blender.parts.fittings import PAPER, YELLOW, ZINC, wheel
from blender.sampling import chance, pick, uniform
from blender.spec import ObjectSpec

PAINTS: dict[str, Colour] = {
    "red": (0.45, 0.02, 0.015),
    "orange": (0.75, 0.16, 0.02),
    "yellow": (0.8, 0.45, 0.02),
    "green": (0.05, 0.22, 0.10),
    "grey": (0.25, 0.26, 0.27),
    "blue": (0.03, 0.12, 0.40),
}
VARIANTS = ("counterbalance", "reach", "tow")
_DARK = Material("plastic", (0.02, 0.02, 0.022), 0.5)
_STEEL = Material("steel", (0.07, 0.07, 0.075), 0.7)


@dataclass(frozen=True)
class Ranges:
    """Ranges of [scene.objects.NAME] with builder = "forklift"."""

    variants: Annotated[dict[str, float], Weights(VARIANTS)]
    """Weights of the variants."""
    paint: Annotated[dict[str, float], Weights(PAINTS)]
    """Weights of the colours."""
    mast: Annotated[tuple[float, float], Ge(1), Le(10), Ordered()] = (2.0, 2.6)
    """Height of the lowered mast in metres."""
    lift: Annotated[tuple[float, float], Ge(0), Le(10), Ordered()] = (0.05, 1.2)
    """Height of the forks in metres; low heights are more likely."""
    wear: ShareRange = (0.2, 0.8)
    """0: new, 1: scratched and dirty."""


def sample(ranges: Ranges, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Draw one forklift's parameters (JSON values)."""
    low, high = ranges.lift
    return {
        "variant": pick(ranges.variants, rng),
        "paint": pick(ranges.paint, rng),
        "mast": uniform(ranges.mast, rng),
        "lift": uniform((low, low + (high - low) * float(rng.random()) ** 2), rng),
        "wear": uniform(ranges.wear, rng),
    }


def footprint(params: dict[str, Any], assets: Assets) -> tuple[float, float, float, float]:
    """Return the meshes' extent on the floor: x from, x to, y from, y to, metres."""
    low, high = bounds(build(params, assets))
    return (float(low[0]), float(high[0]), float(low[1]), float(high[1]))


SEAT = (-0.38, 0.0, 0.92)
"""Seat of a counterbalance truck: x of the backrest, y of the middle, z of the cushion, metres."""


def attach(truck: ObjectSpec, context: AttachmentContext) -> ObjectGroup:
    """Put a driver on a counterbalance truck, with the probability ``driven`` of [scene]."""
    if not context.allow_labelled:
        return ObjectGroup((truck,))
    if truck.params["variant"] != "counterbalance" or not chance(context.shares.driven, context.rng):
        return ObjectGroup((truck,))
    driver = pedestrian.sample_in_pose(("sitting",), context)
    if driver is None:
        return ObjectGroup((truck,))
    back = pedestrian.region(driver.params, context.assets, "torso", "hips")[:, 0].min() - TRUNK_CLOTH
    below = pedestrian.region(driver.params, context.assets, "hips", "thigh")[:, 2].min() - ARM_CLOTH
    x, y, z = SEAT
    position = (round(float(x - back), 4), y, round(float(z - below), 4))
    return ObjectGroup((truck, replace(driver, position=position)), in_use=True)


def build(params: dict[str, Any], assets: Assets) -> list[Part]:
    """Build the forklift's meshes."""
    paint = Material("paint", PAINTS[params["paint"]], params["wear"])
    if params["variant"] == "tow":
        return _tow(paint)
    if params["variant"] == "reach":
        return [*_reach(paint), *_mast(params, 0.55), *_guard(-1.0, 0.1, 0.56, 2.15)]
    return [*_counterbalance(paint), *_mast(params, 1.0), *_guard(-0.85, 0.62, 0.5, 2.1)]


def _seat(x: float, y: float, z: float) -> list[Part]:
    """Build a cushion, a backrest and an armrest; the driver faces +x."""
    back = [(z + 0.1, x - 0.3), (z + 0.65, x - 0.4), (z + 0.65, x - 0.3), (z + 0.1, x - 0.16)]
    return [
        box((x - 0.25, y - 0.24, z), (x + 0.25, y + 0.24, z + 0.12), _DARK),
        prism(back, y - 0.23, y + 0.23, 1, _DARK),
        box((x - 0.2, y - 0.3, z + 0.22), (x + 0.15, y - 0.25, z + 0.27), _DARK),
    ]


def _side(outline: list[tuple[float, float]], half: float, material: Material) -> Part:
    """Extrude a convex side view, (x, z) clockwise seen from -y, to y = -half .. half."""
    return prism([(z, x) for x, z in outline], -half, half, 1, material)


def _counterbalance(paint: Material) -> list[Part]:
    """Build a counterbalance truck without mast and overhead guard."""
    weight = [(-0.35, 0.2), (-1.05, 0.24), (-1.18, 0.4), (-1.16, 0.85), (-1.0, 1.0), (-0.35, 1.02)]
    cowl = [(0.78, 0.2), (0.5, 0.2), (0.5, 0.62), (0.58, 1.12), (0.74, 1.12), (0.82, 0.62)]
    fender = [(1.12, 0.3), (0.3, 0.3), (0.34, 0.6), (0.55, 0.74), (0.9, 0.74), (1.08, 0.6)]
    grip = rounded_path(
        [(0.47, -0.12, 1.22), (0.47, 0.12, 1.22), (0.3, 0.12, 1.1), (0.3, -0.12, 1.1)], 0.11, closed=True
    )
    wheels = [
        w
        for y in (-0.46, 0.46)
        for w in (*wheel((0.72, y, 0.32), 0.32, 0.2), *wheel((-0.72, y, 0.26), 0.26, 0.16))
    ]
    lamps = [(0.86, y, 1.0) for y in (-0.42, 0.42)]
    return [
        _side(weight, 0.54, paint),
        _side(cowl, 0.46, _DARK),
        box((-0.5, -0.52, 0.2), (0.6, 0.52, 0.48), paint),
        box((-0.62, -0.42, 0.48), (-0.07, 0.42, 0.8), _DARK),
        *[_side(fender, 0.11, paint).moved((0, y, 0)) for y in (-0.46, 0.46)],
        *_seat(-0.28, 0.0, 0.8),
        tube(grip, 0.014, _DARK, 6, closed=True),
        tube([(0.6, 0, 1.05), (0.4, 0, 1.17)], 0.025, _DARK, 6),
        boxes(lamps, (0.06, 0.12, 0.12), Material("paint", (0.7, 0.7, 0.68), 0.1)),
        boxes([(-0.75, y, 0.72) for y in (-0.542, 0.542)], (0.4, 0.004, 0.09), PAPER),
        cylinder((-0.75, 0.3, 2.13), (-0.75, 0.3, 2.24), 0.05, Material("plastic", YELLOW, 0.1), 10),
        *wheels,
    ]


def _reach(paint: Material) -> list[Part]:
    """Build a reach truck: a sideways seat between battery and mast, two legs with load wheels ahead."""
    leg = [(1.7, 0.1), (0.1, 0.08), (0.1, 0.36), (1.55, 0.3), (1.72, 0.2)]
    body = [(0.2, 0.1), (-1.05, 0.1), (-1.14, 0.3), (-1.12, 0.9), (-1.0, 1.02), (-0.45, 1.02), (0.2, 0.45)]
    wheels = [w for y in (-0.5, 0.5) for w in wheel((1.5, y, 0.165), 0.165, 0.1)]
    return [
        _side(body, 0.62, paint),
        box((0.12, -0.6, 0.12), (0.4, 0.6, 0.75), paint),
        *[_side(leg, 0.07, paint).moved((0, y, 0)) for y in (-0.55, 0.55)],
        box((-0.55, -0.52, 0.6), (0.1, 0.5, 0.8), _DARK),
        *[part.moved((-0.3, 0.2, 0.0), -np.pi / 2) for part in _seat(0.0, 0.0, 0.8)],
        box((-0.15, -0.55, 0.75), (0.12, 0.1, 1.15), _DARK),
        tube([(-0.02, -0.2, 1.15), (-0.02, -0.2, 1.3)], 0.03, _DARK, 6),
        cylinder((-0.02, -0.2, 1.3), (-0.02, -0.2, 1.325), 0.13, _DARK, 14),
        boxes([(-0.8, y, 0.7) for y in (-0.622, 0.622)], (0.36, 0.004, 0.1), PAPER),
        *wheels,
        *wheel((-0.75, 0.2, 0.17), 0.17, 0.12),
    ]


def _mast(params: dict[str, Any], x: float) -> list[Part]:
    """Build a mast: rails, crossbars, lift cylinders, chains, a carriage with a load backrest, two forks."""
    high, lift = params["mast"], params["lift"]
    rise = max(0.0, lift - 0.9)  # the inner rails follow the forks only after the free lift
    outer = [(x, y, high / 2 + 0.06) for y in (-0.36, 0.36)]
    inner = [(x + 0.02, y, high / 2 + 0.07 + rise) for y in (-0.29, 0.29)]
    bars = [(x - 0.05, 0, z) for z in (0.25, high * 0.6, high)] + [(x - 0.02, 0, high + 0.02 + rise)]
    rods = [(x - 0.07, y, high / 2 + 0.05) for y in (-0.27, 0.27)]
    chains = [(x + 0.07, y, (lift + 0.3 + high) / 2) for y in (-0.08, 0.08)]
    carriage = [(x + 0.11, 0, lift + 0.08), (x + 0.11, 0, lift + 0.45)]
    cage = [(x + 0.12, y, lift + 0.75) for y in np.linspace(-0.42, 0.42, 8)]
    return [
        boxes(outer, (0.15, 0.07, high), _STEEL),
        boxes(inner, (0.12, 0.06, high), _STEEL),
        boxes(bars, (0.05, 0.72, 0.09), _STEEL),
        *[cylinder((a, y, 0.2), (a, y, high * 0.95), 0.03, _STEEL, 8) for a, y, _ in rods],
        boxes(chains, (0.012, 0.035, high - lift - 0.3), ZINC),
        boxes(carriage, (0.05, 0.9, 0.12), _STEEL),
        boxes(cage, (0.02, 0.025, 0.6), _STEEL),
        boxes([(x + 0.12, 0, lift + 1.05)], (0.02, 0.88, 0.03), _STEEL),
        *[part for y in (-0.25, 0.25) for part in _fork(x + 0.14, y, lift)],
    ]


def _fork(x: float, y: float, lift: float) -> list[Part]:
    """Build an L-shaped fork: an upright shank and a blade that tapers to its tip."""
    blade = [(x, lift - 0.02), (x, lift + 0.022), (x + 1.15, lift + 0.022), (x + 1.15, lift + 0.01)]
    return [
        box((x, y - 0.05, lift - 0.02), (x + 0.04, y + 0.05, lift + 0.55), _STEEL),
        prism([(z, a) for a, z in blade], y - 0.05, y + 0.05, 1, _STEEL),
    ]


def _guard(back: float, front: float, half: float, high: float) -> list[Part]:
    """Build an overhead guard: four leaning posts and a slatted roof; lengths in metres."""
    a, b = back + 0.28, front - 0.3
    posts = [
        tube(
            [
                (low, s * half, 0.85),
                (low + (top - low) * 0.35, s * half, 1.5),
                (top, s * (half - 0.05), high),
            ],
            0.035,
            _DARK,
            6,
        )
        for low, top in ((back, a), (front, b))
        for s in (-1, 1)
    ]
    slats = [((a + b) / 2, y, high + 0.02) for y in np.linspace(-half + 0.1, half - 0.1, 6)]
    return [
        *posts,
        boxes(slats, (b - a, 0.035, 0.04), _DARK),
        boxes([(x, 0, high) for x in (a, b)], (0.08, 2 * half, 0.07), _DARK),
        boxes([((a + b) / 2, s * (half - 0.03), high) for s in (-1, 1)], (b - a + 0.1, 0.07, 0.07), _DARK),
    ]


def _tow(paint: Material) -> list[Part]:
    """Build a stand-on tow tractor: low chassis, cowl with steering wheel, backrest, hitch."""
    cowl = [(0.75, 0.12), (0.1, 0.12), (0.18, 0.9), (0.42, 1.12), (0.6, 1.0), (0.78, 0.4)]
    wheels = [w for y in (-0.3, 0.3) for w in wheel((-0.55, y, 0.15), 0.15, 0.1)]
    return [
        _side(cowl, 0.38, paint),
        box((-0.8, -0.4, 0.1), (0.12, 0.4, 0.24), _DARK),
        box((-0.85, -0.38, 0.24), (-0.6, 0.38, 0.75), paint),
        box((-0.72, -0.3, 0.75), (-0.62, 0.3, 1.15), _DARK),
        tube([(0.3, -0.16, 1.15), (0.2, -0.2, 1.22), (0.2, 0.2, 1.22), (0.3, 0.16, 1.15)], 0.018, _DARK, 6),
        boxes([(-0.9, 0, 0.3)], (0.12, 0.1, 0.12), _STEEL),
        *wheel((0.5, 0.0, 0.13), 0.13, 0.1),
        *wheels,
    ]
