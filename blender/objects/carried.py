"""Objects in people's hands: a carton in front of the belly, or a hand-held terminal. Unlabelled. No bpy.

Origin: below the middle of the underside; the person faces +x. A terminal is tilted so that its screen faces
the person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from blender.assets import Assets
from blender.contract.limits import Gt, Le, Ordered
from blender.geometry.mesh import Floats, Material, Part, prism
from blender.parts.loads import CARD, printed_carton
from blender.sampling import draw_seed, integer, uniform

TERMINAL = (0.17, 0.08, 0.03)
"""Length, width and thickness of a hand-held computer with a scanner, metres."""
TILT = np.radians(35)
"""Angle between a terminal's screen and the horizontal, radians."""
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
    """Draw a carton's parameters (JSON values). With "thing" set to "terminal" they describe a terminal."""
    return {
        "thing": "carton",
        "size": [uniform(span, rng) for span in (ranges.length, ranges.width, ranges.height)],
        "colour": integer((0, len(CARD) - 1), rng),
        "seed": draw_seed(rng),
    }


def footprint(params: dict[str, Any], assets: Assets) -> tuple[float, float, float, float]:
    """Return the extent seen from above: x from, x to, y from, y to, metres."""
    length, width, _ = params["size"] if params["thing"] == "carton" else TERMINAL
    return (-length / 2, length / 2, -width / 2, width / 2)


def underside(params: dict[str, Any], x: Floats) -> Floats:
    """Return the height of the underside at each x (N,), metres in the object's frame."""
    return np.zeros(len(x)) if params["thing"] == "carton" else np.tan(TILT) * (x + TERMINAL[0] / 2)


def build(params: dict[str, Any], assets: Assets) -> list[Part]:
    """Build the carton or the terminal."""
    if params["thing"] == "carton":
        return printed_carton(np.random.default_rng(params["seed"]), CARD[params["colour"]], params["size"])
    long, wide, thick = TERMINAL
    c, s = np.cos(TILT), np.sin(TILT)

    def tilted_box(x0: float, x1: float, z0: float, z1: float, half: float, material: Material) -> Part:
        corners = [(x0, z0), (x0, z1), (x1, z1), (x1, z0)]
        # The end away from the person is higher. A prism along y takes its outline as (z, x).
        turned = [(s * (x + long / 2) + c * z, c * x - s * z + s * thick / 2) for x, z in corners]
        return prism(turned, -half, half, 1, material)

    screen = tilted_box(-0.35 * long, 0.25 * long, thick, thick + 0.001, 0.4 * wide, _SCREEN)
    return [tilted_box(-long / 2, long / 2, 0.0, thick, wide / 2, _CASE), screen]
