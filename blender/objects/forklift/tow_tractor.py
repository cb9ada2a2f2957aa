"""Stand-on tow tractors: a low chassis, a cowl with a steering wheel, a backrest, a hitch."""

from __future__ import annotations

from typing import Any

import numpy as np

from blender.geometry.mesh import Part, box, boxes, tube
from blender.objects.forklift.fittings import DARK, STEEL, Station, coat_of, name, side
from blender.parts.fittings import wheel

STEP = 0.24
"""Height of the platform, metres."""


def station(params: dict[str, Any]) -> Station:
    """Return where the person stands: the back at the backrest, facing ahead."""
    return Station("standing", (-0.6, 0.0), STEP)


def build(params: dict[str, Any]) -> list[Part]:
    """Build a stand-on tow tractor."""
    coat = coat_of(params, np.random.default_rng(params["seed"]))
    cowl = [(0.75, 0.12), (0.1, 0.12), (0.18, 0.9), (0.42, 1.12), (0.6, 1.0), (0.78, 0.4)]
    wheels = [w for y in (-0.3, 0.3) for w in wheel((-0.55, y, 0.15), 0.15, 0.1)]
    return [
        side(cowl, 0.38, coat.body),
        box((-0.8, -0.4, 0.1), (0.12, 0.4, STEP), coat.trim),
        box((-0.85, -0.38, STEP), (-0.6, 0.38, 0.75), coat.body),
        box((-0.72, -0.3, 0.75), (-0.62, 0.3, 1.15), DARK),
        tube([(0.3, -0.16, 1.15), (0.2, -0.2, 1.22), (0.2, 0.2, 1.22), (0.3, 0.16, 1.15)], 0.018, DARK, 6),
        boxes([(-0.9, 0, 0.3)], (0.12, 0.1, 0.12), STEEL),
        *name((-0.852, 0, 0.55), 0.3, 0, -1, coat.lettering),
        *wheel((0.5, 0.0, 0.13), 0.13, 0.1),
        *wheels,
    ]
