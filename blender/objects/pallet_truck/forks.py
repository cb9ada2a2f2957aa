"""Forks of all variants, their load rollers, and a scissor truck's crossed legs.

A fork is an inverted steel channel with a blunt wedge as its tip.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from blender.geometry.mesh import Floats, Part
from blender.geometry.solids import bar, loft, rod, slab, turned
from blender.objects.pallet_truck.chassis import CHASSIS, TOP
from blender.objects.pallet_truck.livery import Livery, scratches

ROLLER = 0.037
"""Radius of a load roller, metres: 74 mm is the smaller of the two common sizes."""
SHEET = 0.006
"""Thickness of the forks' steel, metres."""


def centres(params: dict[str, Any]) -> tuple[float, float]:
    """Return the y of both forks' middles, metres."""
    offset = (params["overall_width"] - params["fork_width"]) / 2
    return (-offset, offset)


def tip(params: dict[str, Any]) -> float:
    """Return the x of the forks' tips, metres."""
    return CHASSIS[params["variant"]].front + float(params["fork_length"])


def forks(params: dict[str, Any], livery: Livery, heel: float) -> list[Part]:
    """Build both forks at their height, from x = ``heel`` on, with scratches on top."""
    top, half = TOP + params["lift"], params["fork_width"] / 2
    parts: list[Part] = []
    for y in centres(params):
        parts.append(_channel(heel, tip(params), y, half, top, livery))
        low, high = (heel + 0.15, y - half + 0.02, top - 0.0004), (tip(params) - 0.1, y + half - 0.02, top)
        parts.append(scratches({**params, "seed": params["seed"] + int(y > 0)}, low, high))
    return parts


def _channel(heel: float, end: float, y: float, half: float, top: float, livery: Livery) -> Part:
    """Build one fork: a folded sheet that becomes narrower and lower at the tip."""
    stations = [  # x, share of the width, how far the top dips, depth of the sides
        (heel, 1.0, 0.0, 0.054), (end - 0.17, 1.0, 0.0, 0.054), (end - 0.10, 0.93, 0.003, 0.050),
        (end - 0.045, 0.80, 0.010, 0.040), (end - 0.012, 0.62, 0.019, 0.026), (end, 0.50, 0.026, 0.014),
    ]  # fmt: skip
    rings = [
        _section(x, y, half * share, top - dip, top - dip - depth, 0.5 if x == end else 1.0)
        for x, share, dip, depth in stations
    ]
    return loft(np.array(rings), livery.frame)


def _section(x: float, y: float, half: float, top: float, low: float, sheet: float) -> Floats:
    """Return the outline of the folded sheet across a fork, (12, 3)."""
    t, c = SHEET * sheet, 0.006 * sheet
    side = [
        (half - c, top), (half - 0.3 * c, top - 0.3 * c), (half, top - c), (half, low), (half - t, low),
        (half - t, top - t),
    ]  # fmt: skip
    points = np.array(side + [(-a, b) for a, b in reversed(side)])
    return np.column_stack([np.full(len(points), x), y + points[:, 0], points[:, 1]])


def rollers(params: dict[str, Any], livery: Livery) -> list[Part]:
    """Build the load rollers at the tips, one or two per fork, on arms that swing down as the forks rise."""
    parts: list[Part] = []
    axle, hook = tip(params) - 0.21, TOP + params["lift"] - 0.028
    start, half = CHASSIS[params["variant"]].front - 0.06, params["fork_width"] / 2 - 0.038
    spread = 0.044 if params["tandem"] else 0.0
    for y in centres(params):
        for x in (axle - spread, axle + spread)[: 2 if spread else 1]:
            parts.append(wheel((x, y, ROLLER), half, livery))
        for s in (y - half - 0.006, y + half + 0.006):
            parts.append(bar((axle, s, ROLLER), (axle - 0.16, s, hook), 0.030, 0.007, livery.cast))
            if spread:
                ends = [(x, s, ROLLER) for x in (axle - spread - 0.01, axle + spread + 0.01)]
                parts.append(bar(ends[0], ends[1], 0.028, 0.006, livery.cast))
        parts.append(bar((start, y, hook), (axle - 0.15, y, hook), 0.018, 0.024, livery.cast))
    return parts


def wheel(centre: Sequence[float], half: float, livery: Livery) -> Part:
    """Build a wheel that stands on the floor, its axle along y.

    Args:
        centre: (x, y, radius), metres.
        half: half of the wheel's width, metres.
        livery: the truck's materials.
    """
    x, y, radius = centre
    bevel = 0.1 * radius
    rim = [(0, radius - bevel), (bevel, radius), (2 * half - bevel, radius), (2 * half, radius - bevel)]
    return turned(rim, (x, y - half, radius), (0, 1, 0), livery.tyre, 24)


def base_frame(params: dict[str, Any], livery: Livery) -> list[Part]:
    """Build a scissor truck's lower frame, its crossed legs, their pins and its rollers."""
    start, axle = CHASSIS["scissor"].front - 0.08, tip(params) - 0.21
    side, foot = params["fork_width"] / 2 - 0.024, start + 0.02
    low, high = 0.052, TOP + params["lift"] - 0.032
    reach = foot + float(np.sqrt((axle - start - 0.04) ** 2 - (high - low) ** 2))
    pins = [(foot, low), (foot, high), ((foot + reach) / 2, (low + high) / 2)]
    parts: list[Part] = []
    for y in centres(params):
        for s in (y - side, y + side):
            parts.append(
                slab((start, s - 0.005, 0.034), (axle + 0.04, s + 0.005, 0.070), livery.frame, 0.002)
            )
        for offset, a, b in ((0.042, low, high), (0.030, high, low)):
            for s in (y - offset, y + offset):
                parts.append(bar((foot, s, a), (reach, s, b), 0.034, 0.009, livery.frame))
        parts += [rod((x, y - 0.05, z), (x, y + 0.05, z), 0.010, livery.steel, 10) for x, z in pins]
        parts.append(wheel((axle, y, ROLLER), 0.024, livery))
    return parts
