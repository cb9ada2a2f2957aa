"""The body of powered trucks that the operator sees: skirt, hood, panel, wheels and tiller.

Three shapes: "low", a cover with a slot down to a tiller that is hinged near the floor; "tall", a smooth
hood up to the operator's waist, with the tiller hinged in a recess in its middle; "stepped", a bulge above
the wheel and a narrower upper part behind it, with the tiller on the step. The figures come from
manufacturers' data sheets (VDI 2198) and photographs of 1.0 to 1.6 t walkies and stackers: body 0.70 to 0.80
m wide, hood 0.75 to 1.0 m high, skirt 0.25 m high, tiller hinged at 0.55 to 0.7 m.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from blender.geometry.mesh import Floats, Part
from blender.geometry.solids import bevelled, inset, level, loft, rectangle, rod, rounded, slab
from blender.objects.pallet_truck.chassis import CHASSIS
from blender.objects.pallet_truck.forks import wheel
from blender.objects.pallet_truck.livery import Livery
from blender.objects.pallet_truck.tiller import powered_tiller

HEIGHTS = {
    "low": {"walkie": 0.62, "rider": 0.80, "stacker": 0.66},
    "tall": {"walkie": 0.76, "rider": 0.88, "stacker": 0.86},
    "stepped": {"walkie": 0.74, "rider": 0.84, "stacker": 0.80},
}
"""Shape -> variant -> height of the hood without the truck's own factor, metres."""
_REAR = -0.135
"""x of the rearmost point of a hood, metres."""


def hood(params: dict[str, Any], livery: Livery, front: float) -> tuple[list[Part], list[Floats]]:
    """Build skirt, hood, panel, wheels and tiller up to ``front``; also return flat faces for labels."""
    half, tiller = CHASSIS[params["variant"]].half_width, powered_tiller(params, livery)
    parts, faces = _SHAPES[params["hood"]](half, front, height(params), livery)
    return [*parts, *_drive(half, livery), *tiller[0]], [*faces, tiller[1]]


def height(params: dict[str, Any]) -> float:
    """Return the height of a powered truck's hood, metres."""
    return float(HEIGHTS[params["hood"]][params["variant"]] * params["cover_height"])


def _plan(half: float, front: float, flat: float = 0.3, rear: float = _REAR) -> Floats:
    """Return the outline of the body from above, curved towards the operator, counter-clockwise (N, 2).

    Args:
        half: half of the width.
        front: the x at which it ends towards the forks.
        flat: share of the width that is straight at the rear.
        rear: x of that straight part.
    """
    side = (flat + 1) / 2 + 0.07
    back = [(min(rear + 0.195, front - 0.03), half), (rear + 0.065, side * half), (rear, flat * half)]
    corners = [(front, -half), (front, half), *back, *[(x, -y) for x, y in reversed(back)]]
    return rounded(corners, 0.05, 2)


def _shell(plan: Floats, levels: list[tuple[float, float]], material: Any) -> Part:
    """Build a solid over an outline; a level is (distance by which the outline is inset, z)."""
    return loft(np.array([level(inset(plan, d), z) for d, z in levels]), material, smooth=True)


def _flanks(half: float, front: float, low: float, high: float) -> list[Floats]:
    """Return the flat parts of both flanks, (4, 3) each, which lean in by 7 mm."""
    a, b, rear = half - 0.0044, half - 0.0115, 0.07
    return [
        np.array([(rear, -a, low), (front, -a, low), (front, -b, high), (rear, -b, high)]),
        np.array([(front, a, low), (rear, a, low), (rear, b, high), (front, b, high)]),
    ]


def _rear_face(x: float, half: float, low: float, high: float) -> Floats:
    """Return the flat middle of a hood's rear, (4, 3)."""
    return np.array([(x, half, low), (x, -half, low), (x, -half, high), (x, half, high)])


def _panel(x: float, half: float, high: float, livery: Livery) -> list[Part]:
    """Build the panel on top of a hood from ``x`` on, with the key and the hour meter."""
    plan = np.array([(x, 0.75 * half), (x, -0.75 * half), (x + 0.135, -half), (x + 0.135, half)])[::-1]
    return [
        bevelled(plan, high - 0.004, high + 0.014, 2, livery.dark, 0.006),
        rod((x + 0.085, 0.07, high), (x + 0.085, 0.07, high + 0.028), 0.012, livery.steel, 12),
        slab((x + 0.025, -0.10, high + 0.01), (x + 0.085, -0.02, high + 0.018), livery.cast, 0.003),
    ]


def _low(half: float, front: float, high: float, livery: Livery) -> tuple[list[Part], list[Floats]]:
    """Build a cover with a slot down to the tiller's hinge."""
    plan = _plan(half, front)
    edge = [(0.010, 0.245), (0.004, 0.252), (0.012, 0.42)]
    cover = [*edge, (0.035, high - 0.05), (0.055, high - 0.012), (0.085, high)]
    slot = [(-0.137, 0.10), (-0.136, 0.24), (-0.128, 0.42), (-0.107, high - 0.09)]
    parts = [
        _shell(plan, [(0.012, 0.04), (0.0, 0.052), (0.0, 0.232), (0.008, 0.24)], livery.skirt),
        _shell(plan, cover, livery.cover),
        loft([level(rectangle((x, -0.062), (-0.05, 0.062), 0.012), z) for x, z in slot], livery.dark),
        *_panel(-0.055, 0.16, high, livery),
    ]
    return parts, _flanks(half, front, 0.26, 0.41)


def _tall(half: float, front: float, high: float, livery: Livery) -> tuple[list[Part], list[Floats]]:
    """Build a smooth hood with a tray on top and a dark recess around the tiller's hinge."""
    plan = _plan(half, front, 0.55)
    edge = [(0.008, 0.265), (0.002, 0.272), (0.004, 0.42)]
    cover = [*edge, (0.014, 0.6), (0.028, high - 0.06), (0.05, high - 0.015), (0.075, high)]
    recess = [(-0.134, 0.50), (-0.131, 0.60), (-0.112, high - 0.05), (-0.09, high - 0.008)]
    parts = [
        _shell(plan, [(0.012, 0.03), (0.0, 0.042), (0.0, 0.252), (0.006, 0.26)], livery.skirt),
        _shell(plan, cover, livery.cover),
        loft([level(rectangle((x, -0.085), (0.0, 0.085), 0.02), z) for x, z in recess], livery.dark),
        *_panel(-0.06, 0.66 * half, high, livery),
        *[slab((-0.02, y - 0.03, high), (0.10, y + 0.03, high + 0.035), livery.dark, 0.01)
          for y in (-0.7 * half, 0.7 * half)],
    ]  # fmt: skip
    return parts, [*_flanks(half, front, 0.29, 0.41), _rear_face(-0.1335, 0.5 * half, 0.29, 0.42)]


def _stepped(half: float, front: float, high: float, livery: Livery) -> tuple[list[Part], list[Floats]]:
    """Build a bulge above the drive wheel, and a narrower upper part with a dark middle behind a step."""
    step, back = 0.60, 0.0
    plan, upper = _plan(half, front, 0.5), _plan(half - 0.02, front, 0.7, back)
    lower = [(0.006, 0.285), (0.0, 0.292), (0.0, 0.45), (0.012, step - 0.05), (0.04, step)]
    column = [(0.0, step - 0.05), (0.004, high - 0.05), (0.016, high - 0.012), (0.035, high)]
    recess = [(back - 0.012, step - 0.02), (back - 0.006, high + 0.025)]
    parts = [
        _shell(plan, [(0.012, 0.03), (0.0, 0.042), (0.0, 0.275), (0.006, 0.28)], livery.skirt),
        _shell(plan, lower, livery.cover),
        _shell(upper, column, livery.cover),
        loft([level(rectangle((x, -0.14), (back + 0.1, 0.14), 0.03), z) for x, z in recess], livery.dark),
        *_panel(back + 0.03, 0.8 * half, high, livery),
    ]
    return parts, [*_flanks(half, front, 0.30, 0.44), _rear_face(-0.1365, 0.45 * half, 0.30, 0.44)]


_SHAPES: dict[str, Callable[[float, float, float, Livery], tuple[list[Part], list[Floats]]]] = {
    "low": _low,
    "tall": _tall,
    "stepped": _stepped,
}


def _drive(half: float, livery: Livery) -> list[Part]:
    """Build the drive wheel and two castors beside it; the skirt hides most of them."""
    castors = [wheel((0.05, y, 0.0625), 0.02, livery) for y in (0.09 - half, half - 0.09)]
    return [wheel((0, 0, 0.115), 0.035, livery), *castors]
