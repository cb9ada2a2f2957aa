"""What the variants share: where the tiller hinges, where the forks start, how a tiller moves.

Figures are those of makers' data sheets (VDI 2198 type sheets) of common trucks of each class, which
agree within a few centimetres: 2 to 2.5 t hand trucks, 1 t scissor trucks, 1.6 to 2 t walkies and riders,
1.2 t walkie stackers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from blender.geometry.mesh import Floats, Part

TOP = 0.085
"""Top of the lowered forks, metres above the floor."""


@dataclass(frozen=True)
class Chassis:
    """One variant's main dimensions in metres, from the steering axis, which stands at x = y = 0."""

    hinge: tuple[float, float]
    """The tiller's hinge, (x, z), with the wheels straight."""
    front: float
    """x of the forks' face, where a load comes to rest."""
    rear: float
    """x of what lies furthest back, tiller aside."""
    half_width: float
    """Of the chassis; the forks may be wider."""


CHASSIS = {
    "hand": Chassis((-0.078, 0.235), 0.20, -0.15, 0.12),
    "weighing": Chassis((-0.078, 0.235), 0.20, -0.15, 0.12),
    "scissor": Chassis((-0.078, 0.235), 0.24, -0.15, 0.12),
    "walkie": Chassis((-0.17, 0.26), 0.40, -0.19, 0.35),
    "rider": Chassis((-0.17, 0.30), 0.66, -0.70, 0.36),
    "stacker": Chassis((-0.17, 0.26), 0.66, -0.19, 0.40),
}
"""Variant -> dimensions."""
POWERED = ("walkie", "rider", "stacker")
"""Variants with a motor: a covered chassis and a thick tiller head."""


def grip(params: dict[str, Any]) -> Floats:
    """Middle of the handle's grip, (3,) metres in the truck's own frame."""
    return to_truck(params, np.array([[0.0, 0.0, params["tiller_length"]]]))[0]


def hold(params: dict[str, Any], height: float) -> dict[str, Any]:
    """The same truck with its tiller straight and lowered until the grip is ``height`` metres up."""
    rise = height - CHASSIS[params["variant"]].hinge[1]
    lean = np.arccos(np.clip(rise / params["tiller_length"], 0.35, 0.995))
    return {**params, "tiller_angle": round(float(lean), 4), "tiller_turn": 0.0}


def tilted(params: dict[str, Any], parts: Iterable[Part]) -> list[Part]:
    """Carry parts from the tiller's own frame (z along it, x to the truck, y across) to the truck's."""
    return [replace(part, vertices=to_truck(params, part.vertices)) for part in parts]


def to_truck(params: dict[str, Any], points: Floats) -> Floats:
    """Points (N, 3) from the tiller's own frame to the truck's."""
    c, s = np.cos(params["tiller_angle"]), np.sin(params["tiller_angle"])
    leaning = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    x, z = CHASSIS[params["variant"]].hinge
    c, s = np.cos(params["tiller_turn"]), np.sin(params["tiller_turn"])
    turning = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return (points @ leaning.T + np.array([x, 0.0, z])) @ turning.T
