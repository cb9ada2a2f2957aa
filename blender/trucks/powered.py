"""Powered trucks: walkie, ride-on with a platform, and the walkie stacker with its mast.

Figures of the 1.6 to 2 t class (makers' data sheets): 720 mm wide, motor compartment 500 to 600 mm long and
700 to 800 mm high, tiller 1.1 to 1.3 m high, forks 1150 x 170 mm, 560 mm over both. Ride-on: a platform
of 450 mm with side guards 1.1 m high. Stacker: a simplex or duplex mast 1.7 to 2.1 m high when lowered.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from blender.mesh import Material, Part, box, boxes, cylinder, rounded_path, tube
from blender.trucks import chassis
from blender.trucks.chassis import BLACK, CHROME, DARK, STEEL, fork_top, profile

HALF = 0.36
"""Half of the chassis' width."""
FRONT = -0.46
"""Where the motor compartment ends; the forks are behind it, as seen by who steers."""
PIVOT = (FRONT + 0.02, 0.0, 0.34)
"""Where the tiller turns."""
PLATFORM = 0.46
"""Length of a ride-on's platform."""


def build_walkie(params: dict[str, Any], paint: Material, pole: Material, cover: Material) -> list[Part]:
    """A pedestrian-operated powered pallet truck."""
    top = fork_top(params)
    return [
        *chassis.forks(params, paint, top),
        *chassis.load_rollers(params, top),
        *_body(params, paint, cover, 0.76),
        *chassis.power_tiller(params, cover, PIVOT),
    ]


def build_rider(params: dict[str, Any], paint: Material, pole: Material, cover: Material) -> list[Part]:
    """A powered pallet truck with a platform to stand on, between side guards."""
    rear = FRONT - PLATFORM
    plate = Material("rubber", (0.03, 0.03, 0.03), 0.7)
    parts = [
        *build_walkie(params, paint, pole, cover),
        box((rear, -HALF + 0.04, 0.12), (FRONT, HALF - 0.04, 0.145), plate),
        box((rear, -HALF + 0.02, 0.09), (FRONT, HALF - 0.02, 0.12), DARK),
    ]
    for side in (-1, 1):
        y = side * (HALF - 0.03)
        rail = [
            (FRONT + 0.03, y, 0.45),
            (FRONT + 0.03, y, 1.08),
            (rear + 0.04, y, 1.08),
            (rear + 0.04, y, 0.62),
        ]
        parts.append(tube(rounded_path(rail, 0.09), 0.02, paint, 10))
        parts.append(tube([(rear + 0.04, y, 0.64), (FRONT + 0.03, y, 0.64)], 0.016, paint, 10))
    return parts


def build_stacker(params: dict[str, Any], paint: Material, pole: Material, cover: Material) -> list[Part]:
    """A walkie with a mast; its forks lift clear of two support legs."""
    top, mast = fork_top(params), params["mast_height"]
    legs = [
        box((0.12, y - 0.045, 0.03), (params["fork_length"], y + 0.045, 0.078), paint) for y in (-0.2, 0.2)
    ]
    rollers = [
        cylinder(
            (params["fork_length"] - 0.08, y - 0.03, 0.04),
            (params["fork_length"] - 0.08, y + 0.03, 0.04),
            0.04,
            BLACK,
        )
        for y in (-0.2, 0.2)
    ]
    return [
        *chassis.forks({**params, "overall_width": 0.57}, DARK, top + 0.005),
        *legs,
        *rollers,
        *_body(params, paint, cover, 0.82),
        *_mast(paint, mast),
        *_carriage(top),
        *_guard(params, mast),
        *chassis.power_tiller(params, cover, PIVOT),
    ]


def _body(params: dict[str, Any], paint: Material, cover: Material, height: float) -> list[Part]:
    """Skirt, motor cover, battery, drive wheel and castors."""
    skirt = [(FRONT, 0.06), (0.12, 0.06), (0.12, 0.30), (FRONT, 0.30)]
    hood = [
        (FRONT + 0.01, 0.30),
        (-0.02, 0.30),
        (-0.02, height),
        (FRONT + 0.16, height),
        (FRONT + 0.03, height - 0.14),
    ]
    battery = [(-0.02, 0.30), (0.12, 0.30), (0.12, height - 0.03), (-0.02, height - 0.03)]
    seam = Material("plastic", (0.015, 0.015, 0.015), 0.5)
    parts = [
        profile(skirt, -HALF, HALF, DARK if params["dark_skirt"] else paint),
        profile(hood, -HALF + 0.015, HALF - 0.015, cover),
        profile(battery, -HALF + 0.01, HALF - 0.01, paint),
        box((-0.025, -HALF + 0.013, 0.31), (-0.018, HALF - 0.013, height + 0.002), seam),
        # A slotted grille, the key switch and the emergency stop.
        boxes([(FRONT + 0.022, 0.0, z) for z in np.arange(0.36, 0.52, 0.03)], (0.012, 0.34, 0.012), seam),
        cylinder(
            (FRONT + 0.22, 0.16, height),
            (FRONT + 0.22, 0.16, height + 0.03),
            0.022,
            Material("plastic", (0.6, 0.02, 0.02), 0.2),
            14,
        ),
        box((FRONT + 0.20, -0.20, height), (FRONT + 0.32, -0.08, height + 0.012), BLACK),
        *chassis.wheel(FRONT + 0.16, 0.0, 0.115, 0.07),
    ]
    for side in (-1, 1):
        parts += chassis.wheel(FRONT + 0.12, side * 0.26, 0.065, 0.045)
    flank = [
        (np.array([FRONT + 0.26, side * (HALF - 0.0142), 0.52]), np.array([0.20, 0.0016, 0.10]))
        for side in (-1, 1)
    ]
    return [*parts, *chassis.labels(params, flank)]


def _mast(paint: Material, height: float) -> list[Part]:
    """Two channels with cross bars, a ram and chains."""
    parts = []
    for side in (-1, 1):
        y = side * 0.27
        parts.append(box((0.13, y - 0.035, 0.06), (0.22, y + 0.035, height), paint))
        parts.append(
            box((0.15, y - 0.02 * side - 0.03, 0.10), (0.21, y - 0.02 * side + 0.03, height - 0.03), DARK)
        )
    for z in (0.45, height - 0.06):
        parts.append(box((0.14, -0.27, z), (0.19, 0.27, z + 0.06), paint))
    for y in (-0.07, 0.07):
        parts.append(tube([(0.19, y, 0.15), (0.19, y, height - 0.08)], 0.008, STEEL, 6))
    parts.append(cylinder((0.165, 0.0, 0.12), (0.165, 0.0, height * 0.55), 0.03, DARK, 14))
    parts.append(cylinder((0.165, 0.0, height * 0.55), (0.165, 0.0, height - 0.05), 0.02, CHROME, 12))
    return parts


def _carriage(top: float) -> list[Part]:
    """What carries the forks on the mast."""
    return [
        box((0.22, -0.28, top - 0.03), (0.25, 0.28, top + 0.05), DARK),
        box((0.22, -0.28, top + 0.28), (0.25, 0.28, top + 0.33), DARK),
        *(box((0.22, y - 0.03, top - 0.03), (0.255, y + 0.03, top + 0.33), DARK) for y in (-0.2, 0.2)),
    ]


def _guard(params: dict[str, Any], height: float) -> list[Part]:
    """A wire guard on the mast, between the driver and the load."""
    wires = [[(0.125, y, 0.85), (0.125, y, height - 0.02)] for y in np.linspace(-0.26, 0.26, 9)]
    wires += [[(0.125, -0.27, z), (0.125, 0.27, z)] for z in np.linspace(0.85, height - 0.02, 8)]
    return [tube(wire, 0.003, STEEL, 4) for wire in wires] if params["wire_guard"] else []
