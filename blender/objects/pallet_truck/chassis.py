"""Main dimensions of each variant, and the pose of its tiller.

The figures come from manufacturers' data sheets (VDI 2198 type sheets) of common trucks of each class, which
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
"""Height of the lowered forks' top, metres."""


@dataclass(frozen=True)
class Chassis:
    """Main dimensions of one variant, metres; the upright steering axis stands at x = y = 0."""

    hinge: tuple[float, float]
    """Hinge of the tiller, (x, z), while the wheels point ahead."""
    front: float
    """x of the forks' face, against which a load stands."""
    rear: float
    """x of the rearmost point without the tiller."""
    half_width: float
    """Half of the chassis' width; the forks may be wider."""


CHASSIS = {
    "hand": Chassis((-0.078, 0.235), 0.20, -0.15, 0.12),
    "weighing": Chassis((-0.078, 0.235), 0.20, -0.15, 0.12),
    "scissor": Chassis((-0.078, 0.235), 0.24, -0.15, 0.12),
    "walkie": Chassis((-0.17, 0.26), 0.40, -0.19, 0.35),
    "rider": Chassis((-0.17, 0.30), 0.66, -0.70, 0.36),
    "stacker": Chassis((-0.17, 0.26), 0.66, -0.19, 0.40),
}
"""Variant -> its dimensions."""
HOOD_HINGES: dict[str, tuple[float, float] | None] = {
    "low": None,
    "tall": (-0.125, 0.56),
    "stepped": (-0.05, 0.66),
}
"""Shape of a powered truck's hood -> hinge of its tiller, (x, z) metres; None: the chassis' own."""
LEAN_COSINES = (0.35, 0.995)
"""Minimum and maximum cosine of a held tiller's lean: between 70 degrees and almost upright."""
POWERED = ("walkie", "rider", "stacker")
"""Variants with a motor: they have a covered chassis and a thick tiller head."""


def hinge(params: dict[str, Any]) -> tuple[float, float]:
    """Return the hinge of the tiller, (x, z) metres, while the wheels point ahead."""
    return HOOD_HINGES[params.get("hood", "low")] or CHASSIS[params["variant"]].hinge


def grip(params: dict[str, Any]) -> Floats:
    """Return the middle of the handle's grip, (3,) metres in the truck's frame."""
    return to_truck(params, np.array([[0.0, 0.0, params["tiller_length"]]]))[0]


def front(params: dict[str, Any]) -> float:
    """Return x of the forks' face, against which a load stands, metres."""
    return CHASSIS[params["variant"]].front


def fork_height(params: dict[str, Any]) -> float:
    """Return the height of the forks' top above the floor, metres."""
    return TOP + float(params["lift"])


def hold(params: dict[str, Any], height: float) -> dict[str, Any]:
    """Return the parameters with the tiller straight and lowered until its grip is at ``height`` metres."""
    rise = height - hinge(params)[1]
    lean = np.arccos(np.clip(rise / params["tiller_length"], *LEAN_COSINES))
    return {**params, "tiller_angle": round(float(lean), 4), "tiller_turn": 0.0}


def tilted(params: dict[str, Any], parts: Iterable[Part]) -> list[Part]:
    """Transform parts from the tiller's frame (z along it, x to the truck, y across) to the truck's frame."""
    return [replace(part, vertices=to_truck(params, part.vertices)) for part in parts]


def to_truck(params: dict[str, Any], points: Floats) -> Floats:
    """Transform points (N, 3) from the tiller's frame to the truck's frame."""
    c, s = np.cos(params["tiller_angle"]), np.sin(params["tiller_angle"])
    leaning = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    x, z = hinge(params)
    c, s = np.cos(params["tiller_turn"]), np.sin(params["tiller_turn"])
    turning = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return (points @ leaning.T + np.array([x, 0.0, z])) @ turning.T
