"""Tillers: a hand truck's pole with a loop, a powered truck's tiller with a control head.

They are built in the tiller's own frame (z along it from the hinge, x to the truck, y across), then leaned
and turned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from blender.geometry.mesh import Floats, Material, Part, rounded_path, tube
from blender.geometry.solids import bevelled, level, loft, rectangle, rod, slab, turned
from blender.objects.pallet_truck.chassis import tilted, to_truck
from blender.objects.pallet_truck.livery import Livery

LOOPS: dict[str, tuple[tuple[float, float], ...]] = {
    "loop": ((0.022, -0.22), (0.165, -0.105), (0.150, 0.0)),
    "drop": ((0.022, -0.30), (0.105, -0.13), (0.100, 0.0)),
    "square": ((0.100, -0.20), (0.135, -0.17), (0.140, 0.0)),
    "shield": ((0.080, -0.22), (0.185, -0.11), (0.175, 0.0)),
}
"""Shape of the handle -> right half of the loop's corners, (y, z) from the grip, from below upwards."""


def hand_tiller(params: dict[str, Any], livery: Livery) -> tuple[list[Part], Floats]:
    """Build hinge, pole, loop and lever; also return the pole's back (4, 3) for a label."""
    length, shape = params["tiller_length"], params["handle_shape"]
    right = [(0.0, y, length + z) for y, z in LOOPS[shape]]
    corners = right + [(x, -y, z) for x, y, z in reversed(right)]
    foot = length + LOOPS[shape][0][1]
    pole = foot + 0.03 if shape in ("square", "shield") else length
    parts = [
        _taper([(-0.03, 0.032, 0.038), (0.05, 0.029, 0.038), (0.13, 0.023, 0.026)], livery.cast),
        _taper([(0.10, 0.018, 0.023), (pole, 0.016, 0.021)], livery.handle),
        tube(rounded_path(corners, 0.05, closed=True), 0.0135, livery.handle, 12, closed=True),
        rod((0, -0.075, length), (0, 0.075, length), 0.0165, livery.dark, 14),
        slab((-0.024, -0.03, foot - 0.06), (0.026, 0.03, foot + 0.035), livery.dark, 0.006),
        *_lever(length, foot, livery.dark),
    ]
    if shape in ("square", "shield"):  # these have a plate in the lower part of the loop
        outline = np.array([(y, z) for _, y, z in (*corners[:2], *corners[-2:])])
        parts.append(bevelled(outline, -0.006, 0.006, 0, livery.handle, 0.003))
    back = np.array(
        [
            (-0.019, y, z)
            for y, z in ((0.017, 0.25), (-0.017, 0.25), (-0.017, foot - 0.1), (0.017, foot - 0.1))
        ]
    )
    return tilted(params, parts), to_truck(params, back)


def _taper(stations: Sequence[tuple[float, float, float]], material: Material, cut: float = 0.3) -> Part:
    """Build a bar along z whose section has cut corners; a station is (z, half depth, half width)."""
    rings = [level(rectangle((-a, -b), (a, b), cut * min(a, b)), z) for z, a, b in stations]
    return loft(np.array(rings), material)


def _lever(length: float, foot: float, dark: Material) -> list[Part]:
    """Build the control lever: up the middle of the loop, then sideways below the fingers."""
    path = [
        (0.018, 0.0, foot), (0.024, 0.0, length - 0.09), (0.012, 0.02, length - 0.045),
        (0.008, 0.07, length - 0.038),
    ]  # fmt: skip
    return [tube(rounded_path(path, 0.03), [0.008] * 11 + [0.006], dark, 8)]


def powered_tiller(params: dict[str, Any], livery: Livery) -> tuple[list[Part], Floats]:
    """Build a moulded pole with a control head; also return the pole's back (4, 3) for a label."""
    end = params["tiller_length"]
    parts = [
        _taper([(-0.05, 0.045, 0.055), (0.05, 0.045, 0.055), (0.12, 0.033, 0.042)], livery.cast),
        _taper([(0.10, 0.030, 0.040), (end - 0.28, 0.024, 0.032), (end - 0.14, 0.028, 0.045)], livery.handle),
        *_head(end, livery),
    ]
    low = min(0.2, end - 0.36)
    corners = ((0.028, low), (-0.028, low), (-0.022, end - 0.3), (0.022, end - 0.3))
    return tilted(params, parts), to_truck(params, np.array([(-0.0315, y, z) for y, z in corners]))


def _head(end: float, livery: Livery) -> list[Part]:
    """Build the control head: two grips around a block with switches, an emergency button and a meter."""
    right = [(0.0, y, end + z) for y, z in ((0.04, -0.15), (0.155, -0.12), (0.165, -0.01), (0.12, 0.0))]
    loop = right + [(x, -y, z) for x, y, z in reversed(right)]
    block = [
        (end - 0.22, 0.030, 0.036), (end - 0.17, 0.042, 0.060), (end - 0.06, 0.046, 0.066),
        (end + 0.012, 0.036, 0.056), (end + 0.022, 0.026, 0.046),
    ]  # fmt: skip
    button = [(0, 0.012), (0.012, 0.012), (0.013, 0.02), (0.022, 0.019), (0.028, 0.012)]
    red, wings = Material("plastic", (0.55, 0.01, 0.01), 0.1), (-0.086, 0.086)
    return [
        tube(rounded_path(loop, 0.05, closed=True), 0.0165, livery.dark, 12, closed=True),
        _taper(block, livery.dark),
        *[
            rod((0, y - 0.016, end - 0.055), (0, y + 0.016, end - 0.055), 0.026, livery.cast, 14)
            for y in wings
        ],
        rod((-0.01, 0, end), (-0.01, 0, end + 0.034), 0.024, red, 16),
        turned(button, (0.040, 0, end - 0.13), (1, 0, 0), red, 16),
        slab((-0.050, -0.02, end - 0.14), (-0.042, 0.02, end - 0.08), livery.steel, 0.002),
    ]
