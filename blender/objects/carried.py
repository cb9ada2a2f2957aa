"""What people hold: a carton before the belly, a hand-held terminal that they look at. No bpy.

Origin: below the middle of its underside; the carrier looks to +x. A terminal leans so that its screen, on
top, faces the carrier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from blender.assets import Assets
from blender.contract.limits import Gt, Le, Ordered
from blender.geometry.mesh import Floats, Material, Part, prism
from blender.parts.loads import CARD, printed_carton
from blender.sampling import integer, uniform

TERMINAL = (0.17, 0.08, 0.03)
"""Metres: of a handheld computer with a scanner in its head."""
LEAN = np.radians(35)
"""Of a terminal's screen from level."""
_CASE = Material("plastic", (0.03, 0.03, 0.032), 0.3)
_SCREEN = Material("emission", (0.55, 0.75, 1.0), 0.25)


@dataclass(frozen=True)
class Ranges:
    """[scene.carried]: the size of cartons in people's hands, in metres."""

    length: Annotated[tuple[float, float], Gt(0), Le(2), Ordered()] = (0.22, 0.38)
    """Length of a carton, away from the person, in metres."""
    width: Annotated[tuple[float, float], Gt(0), Le(2), Ordered()] = (0.2, 0.4)
    """Width of a carton in metres."""
    height: Annotated[tuple[float, float], Gt(0), Le(2), Ordered()] = (0.14, 0.32)
    """Height of a carton in metres."""


def sample(ranges: Ranges, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Draw a carton's parameters (JSON values); of a terminal, ``thing`` is "terminal"."""
    return {
        "thing": "carton",
        "size": [uniform(span, rng) for span in (ranges.length, ranges.width, ranges.height)],
        "colour": integer((0, len(CARD) - 1), rng),
        "seed": integer((0, 2**31 - 1), rng),
    }


def footprint(params: dict[str, Any], assets: Assets) -> tuple[float, float, float, float]:
    """Extent seen from above: x from, x to, y from, y to, in metres."""
    length, width, _ = params["size"] if params["thing"] == "carton" else TERMINAL
    return (-length / 2, length / 2, -width / 2, width / 2)


def underside(params: dict[str, Any], x: Floats) -> Floats:
    """How high its underside is at some x (N,), metres, in its own frame."""
    return np.zeros(len(x)) if params["thing"] == "carton" else np.tan(LEAN) * (x + TERMINAL[0] / 2)


def build(params: dict[str, Any], assets: Assets) -> list[Part]:
    """Its meshes."""
    if params["thing"] == "carton":
        return printed_carton(np.random.default_rng(params["seed"]), CARD[params["colour"]], params["size"])
    long, wide, thick = TERMINAL
    c, s = np.cos(LEAN), np.sin(LEAN)

    def leaning(x0: float, x1: float, z0: float, z1: float, half: float, material: Material) -> Part:
        corners = [(x0, z0), (x0, z1), (x1, z1), (x1, z0)]
        # The far end is the higher one; prism's outline along y is (z, x).
        turned = [(s * (x + long / 2) + c * z, c * x - s * z + s * thick / 2) for x, z in corners]
        return prism(turned, -half, half, 1, material)

    screen = leaning(-0.35 * long, 0.25 * long, thick, thick + 0.001, 0.4 * wide, _SCREEN)
    return [leaning(-long / 2, long / 2, 0.0, thick, wide / 2, _CASE), screen]
