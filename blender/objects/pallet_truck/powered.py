"""Powered trucks: walkies, riders and stackers.

The figures come from manufacturers' data sheets (VDI 2198) of 1.6 to 2 t walkies and riders and
of 1.2 t stackers: 0.70 to 0.80 m wide, 0.55 to 0.65 m from the tiller's side to the forks' face, motor cover
0.6 to 0.8 m high, grip 0.8 to 1.3 m above the floor, rider's platform 0.40 m long and 0.16 m high, castors
125 to 150 mm.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from blender.geometry.mesh import Floats, Part, boxes, rounded_path, tube
from blender.geometry.solids import bevelled, inset, rounded, slab
from blender.objects.pallet_truck.chassis import CHASSIS, TOP
from blender.objects.pallet_truck.forks import forks, rollers
from blender.objects.pallet_truck.hood import height, hood
from blender.objects.pallet_truck.livery import Livery
from blender.objects.pallet_truck.mast import carriage, legs, mast


def walkie(params: dict[str, Any], livery: Livery) -> tuple[list[Part], list[Floats]]:
    """Build a walkie: a motor below a moulded cover, a battery box, forks that rise with the box."""
    front = CHASSIS["walkie"].front
    parts, faces = hood(params, livery, 0.16)
    box, more = _battery(params, livery, 0.16, front, 0.70 + params["lift"], params["lift"])
    return [*parts, *box, *_forks(params, livery)], [*faces, *more]


def rider(params: dict[str, Any], livery: Livery) -> tuple[list[Part], list[Floats]]:
    """Build a rider: longer, with a platform behind; some have side guards."""
    front = CHASSIS["rider"].front
    parts, faces = hood(params, livery, 0.22)
    box, more = _battery(params, livery, 0.22, front, 0.76 + params["lift"], params["lift"])
    parts += [*box, *_forks(params, livery), *_platform(livery)]
    if params["guards"]:
        parts += _guards(livery)
    return parts, [*faces, *more]


def stacker(params: dict[str, Any], livery: Livery) -> tuple[list[Part], list[Floats]]:
    """Build a walkie stacker: a battery behind a mast, support legs below the forks."""
    parts, faces = hood(params, livery, 0.16)
    box, more = _battery(params, livery, 0.16, 0.42, max(0.82, height(params)), 0.0)
    front = CHASSIS["stacker"].front
    parts += [*box, *mast(params, livery), *carriage(params, livery), *legs(params, livery)]
    return [*parts, *forks(params, livery, front - 0.02)], [*faces, *more]


def _forks(params: dict[str, Any], livery: Livery) -> list[Part]:
    """Build the forks, the rollers, and the bridge between forks and battery box."""
    front, half, top = CHASSIS[params["variant"]].front, params["overall_width"] / 2, TOP + params["lift"]
    bridge = slab((front - 0.03, -half, top - 0.055), (front, half, top + 0.12), livery.frame, 0.006)
    return [*forks(params, livery, front - 0.01), *rollers(params, livery), bridge]


def _battery(
    params: dict[str, Any], livery: Livery, back: float, front: float, high: float, lift: float
) -> tuple[list[Part], list[Floats]]:
    """Build the battery's box and lid; also return the box's flat sides."""
    half = CHASSIS[params["variant"]].half_width
    low = (back + 0.012, -half + 0.012, 0.06 + lift)
    parts = [
        slab(low, (front - 0.02, half - 0.012, high - 0.05), livery.frame, 0.012),
        slab((back + 0.01, 0.006 - half, high - 0.046), (front - 0.01, half - 0.006, high), livery.dark,
             0.012),
        *[slab((back + 0.05, s - 0.006, high - 0.16), (front - 0.06, s + 0.006, high - 0.135), livery.dark)
          for s in (0.012 - half, half - 0.012)],
    ]  # fmt: skip
    z0, z1, x0, x1 = 0.12 + lift, high - 0.18, back + 0.03, front - 0.04
    side = half - 0.012
    faces = [
        np.array([(x0, -side, z0), (x1, -side, z0), (x1, -side, z1), (x0, -side, z1)]),
        np.array([(x1, side, z0), (x0, side, z0), (x0, side, z1), (x1, side, z1)]),
    ]
    return parts, faces


def _platform(livery: Livery) -> list[Part]:
    """Build a rider's platform: a ribbed mat on a steel sheet behind the cover."""
    ribs = [(x, 0.0, 0.184) for x in np.linspace(-0.62, -0.24, 14)]
    plan = rounded([(-0.70, -0.27), (-0.18, -0.30), (-0.18, 0.30), (-0.70, 0.27)], 0.07)
    return [
        bevelled(plan, 0.135, 0.17, 2, livery.frame, 0.006, smooth=True),
        bevelled(inset(plan, 0.025), 0.165, 0.182, 2, livery.dark, 0.004, smooth=True),
        boxes(ribs, (0.012, 0.44, 0.006), livery.dark),
        slab((-0.20, -0.30, 0.06), (-0.03, 0.30, 0.17), livery.cast, 0.01),
    ]


def _guards(livery: Livery) -> list[Part]:
    """Build the padded side arms beside a rider's platform."""
    parts: list[Part] = []
    for side in (-1, 1):
        y = side * 0.335
        arm = [
            (0.10, y * 0.97, 0.42), (-0.04, y, 0.62), (-0.04, y, 1.02), (-0.55, y, 1.02), (-0.55, y, 0.74),
            (-0.02, y, 0.74),
        ]  # fmt: skip
        parts.append(tube(rounded_path(arm, 0.09, 3), 0.017, livery.frame, 10))
        parts.append(slab((-0.52, y - 0.024, 0.985), (-0.10, y + 0.024, 1.05), livery.dark, 0.014))
    return parts
