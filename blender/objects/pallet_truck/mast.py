"""A stacker's mast: rails, chains, ram, carriage with load backrest, guard; and its support legs."""

from __future__ import annotations

from typing import Any

import numpy as np

from blender.geometry.mesh import Material, Part, boxes
from blender.geometry.solids import rod, slab
from blender.objects.pallet_truck.chassis import CHASSIS, TOP
from blender.objects.pallet_truck.forks import ROLLER, centres, tip, wheel
from blender.objects.pallet_truck.hood import height
from blender.objects.pallet_truck.livery import Livery

RAIL_MIDDLE = (0.255, 0.335)
"""y of the outer rails of a mast with two rails, and of a wide one, metres."""
FREE_LIFT = 0.1
"""Lift of the forks before the inner rails follow, metres."""


def mast(params: dict[str, Any], livery: Livery) -> list[Part]:
    """Build the outer rails, the inner rails raised by half of the lift, crossbars, ram, chains and guard."""
    front, high = CHASSIS["stacker"].front, params["mast"]
    half = RAIL_MIDDLE[params["mast_shape"] == "wide"]
    x0, x1 = front - 0.21, front - 0.10
    rise = max(0.0, params["lift"] - FREE_LIFT) / 2
    if params["mast_shape"] == "single":
        return _column(params, livery, x0, x1, rise)
    parts: list[Part] = []
    for side in (-1, 1):
        y = side * half
        parts += [
            *_rail(x0, x1, y, 0.05, high, side, livery.mast),
            *_rail(
                x0 + 0.015, x1 - 0.012, y - side * 0.045, 0.08 + rise, high - 0.02 + rise, side, livery.mast
            ),
        ]
        chain = side * 0.045
        parts.append(
            boxes([(x1 - 0.02, chain, (high + rise + 0.5 + params["lift"]) / 2)],
                  (0.012, 0.022, max(0.1, high + rise - 0.56 - params["lift"])), livery.steel)
        )  # fmt: skip
    parts += [
        slab((x0, -half - 0.025, high - 0.09), (x0 + 0.03, half + 0.025, high - 0.01), livery.mast),
        slab((x0, -half - 0.025, 0.30), (x0 + 0.03, half + 0.025, 0.38), livery.mast),
        slab((x0 + 0.03, 0.035 - half, high - 0.07 + rise), (x1 - 0.02, half - 0.035, high - 0.02 + rise),
             livery.mast),
        rod((x0 + 0.06, 0, 0.12), (x0 + 0.06, 0, high * 0.62), 0.034, livery.cast, 20),
        rod((x0 + 0.06, 0, high * 0.6), (x0 + 0.06, 0, high - 0.06 + rise), 0.021, livery.chrome, 16),
        slab((CHASSIS["stacker"].front - 0.26, -0.33, 0.05), (x1, 0.33, 0.26), livery.frame, 0.01),
        *_guard(params, livery, x0 - 0.012, half - 0.01),
    ]  # fmt: skip
    return parts


def _column(params: dict[str, Any], livery: Livery, x0: float, x1: float, rise: float) -> list[Part]:
    """Build a single closed column with the inner column in it, a chain, and the cross beam at its foot."""
    high = params["mast"]
    return [
        slab((x0, -0.085, 0.05), (x1 - 0.01, 0.085, high), livery.frame, 0.012),
        slab((x0 + 0.02, -0.06, high - 0.1), (x1 - 0.03, 0.06, high + 0.02 + rise), livery.cast, 0.006),
        boxes([(x1 - 0.004, 0.0, (high + 0.5) / 2)], (0.006, 0.03, high - 0.5), livery.steel),
        slab((CHASSIS["stacker"].front - 0.26, -0.33, 0.05), (x1, 0.33, 0.26), livery.frame, 0.01),
    ]


def _rail(
    x0: float, x1: float, y: float, low: float, high: float, side: int, material: Material
) -> list[Part]:
    """Build a channel that is open to the middle: a web and two flanges."""
    t, deep = 0.010, 0.040
    web = slab((x0, y - t / 2, low), (x1, y + t / 2, high), material, 0.002)
    flanges = []
    for a, b in ((x0, x0 + t), (x1 - t, x1)):
        inner, outer = sorted((y, y - side * deep))
        flanges.append(slab((a, inner, low), (b, outer, high), material, 0.002))
    return [web, *flanges]


def _guard(params: dict[str, Any], livery: Livery, x: float, half: float) -> list[Part]:
    """Build the guard that keeps hands out of the mast: a clear sheet or a wire mesh between two straps."""
    low, high = max(0.84, height(params) + 0.02), params["mast"] - 0.1
    straps = [
        slab((x, -half, z - 0.012), (x + 0.008, half, z + 0.012), livery.cast, 0.002) for z in (low, high)
    ]
    if params["guard"] == "clear":
        sheet = boxes([(x + 0.004, 0, (low + high) / 2)], (0.004, 2 * half, high - low), CLEAR)
        return [*straps, sheet]
    upright = [(x + 0.002, y, (low + high) / 2) for y in np.arange(-half, half + 0.001, 2 * half / 10)]
    rungs = [(x + 0.006, 0, z) for z in np.arange(low, high, 0.05)]
    return [
        *straps,
        boxes(upright, (0.004, 0.004, high - low), livery.steel),
        boxes(rungs, (0.004, 2 * half, 0.004), livery.steel),
    ]


CLEAR = Material("clear", (0.5, 0.52, 0.54), 0.0)
"""Polycarbonate, scratched by years of use."""


def carriage(params: dict[str, Any], livery: Livery) -> list[Part]:
    """Build the plate that carries the forks, and the load backrest above them."""
    x, top, half = CHASSIS["stacker"].front, TOP + params["lift"], params["overall_width"] / 2
    high = top + params["backrest"]
    plates = [
        ((x - 0.100, -0.20, top - 0.03), (x - 0.045, 0.20, top + 0.40)),
        ((x - 0.045, -half, top - 0.055), (x, half, top + 0.07)),
        ((x - 0.045, -half, top + 0.28), (x - 0.012, half, top + 0.35)),
        ((x - 0.044, 0.01 - half, high - 0.02), (x - 0.010, half - 0.01, high + 0.015)),
    ]
    bars = [
        ((x - 0.04, y - 0.012, top + 0.05), (x - 0.014, y + 0.012, high))
        for y in np.linspace(0.03 - half, half - 0.03, 6)
    ]
    return [slab(low, up, livery.cast, 0.005) for low, up in plates + bars]


def legs(params: dict[str, Any], livery: Livery) -> list[Part]:
    """Build the support legs, inside the lowered forks or beside them, on rollers."""
    front, end = CHASSIS["stacker"].front, tip(params) - 0.12
    if params["straddle"]:
        return _straddle_legs(front, end, livery)
    parts: list[Part] = []
    for y in centres(params):
        for s in (y - 0.056, y + 0.050):
            parts.append(slab((front - 0.2, s, 0.030), (end, s + 0.006, 0.074), livery.frame, 0.002))
        parts.append(
            slab((front - 0.2, y - 0.056, 0.068), (end - 0.2, y + 0.056, 0.074), livery.frame, 0.002)
        )
        for x in (end - 0.13, end - 0.04):
            parts.append(wheel((x, y, ROLLER), 0.045, livery))
    return parts


STRADDLE = 0.46
"""y of the middle of legs that stand beside the forks and their load, metres."""
STRADDLE_HALF = 0.04
"""Half of the width of such a leg, metres."""


def _straddle_legs(front: float, end: float, livery: Livery) -> list[Part]:
    """Build two legs beside the load, joined to the mast's foot by a cross beam."""
    parts = [slab((front - 0.26, -STRADDLE, 0.06), (front - 0.18, STRADDLE, 0.22), livery.frame, 0.008)]
    for y in (-STRADDLE, STRADDLE):
        low, high = (front - 0.26, y - STRADDLE_HALF, 0.04), (end, y + STRADDLE_HALF, 0.13)
        parts += [
            slab(low, high, livery.frame, 0.008),
            *[wheel((x, y, ROLLER), 0.03, livery) for x in (end - 0.15, end - 0.05)],
        ]
    return parts
