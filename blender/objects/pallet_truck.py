"""Pallet trucks (French: transpalettes), parametric from real dimensions; ``blender.trucks`` has the parts.

Origin: on the floor, below the steering axle of a hand truck, which lies across y. The forks reach to
+x; the tiller is lowered towards -x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from blender.mesh import Colour, Material, Part
from blender.objects import Assets
from blender.ranges import chance, check_names, integer, pick, uniform
from blender.trucks import hand, powered
from blender.trucks.chassis import HANDLES, HEEL, shaded, tiller_frame

PAINTS: dict[str, Colour] = {
    "red": (0.55, 0.03, 0.02),
    "orange": (0.75, 0.16, 0.02),
    "yellow": (0.80, 0.42, 0.02),
    "green": (0.08, 0.25, 0.06),
    "lime": (0.42, 0.55, 0.08),
    "blue": (0.03, 0.10, 0.42),
    "blue_grey": (0.12, 0.17, 0.22),
    "grey": (0.30, 0.31, 0.32),
    "white": (0.60, 0.60, 0.58),
    "black": (0.02, 0.02, 0.02),
}
VARIANTS: dict[str, Callable[[dict[str, Any], Material, Material, Material], list[Part]]] = {
    "hand": hand.build_hand,
    "weighing": hand.build_weighing,
    "scissor": hand.build_scissor,
    "walkie": powered.build_walkie,
    "rider": powered.build_rider,
    "stacker": powered.build_stacker,
}
"""Name to builder: (parameters, paint of the frame, of the tiller's pole, of covers) -> meshes."""
POWERED = ("walkie", "rider", "stacker")
HANDLE_HALF = 0.22
"""Half of the widest handle's width, metres."""
STEERED_ON_FOOT = ("hand", "weighing", "walkie")


@dataclass(frozen=True)
class Ranges:
    """What varies from truck to truck; lengths in metres, angles in degrees."""

    paint: dict[str, float]
    """Weight of each paint of the frame."""
    handle_paint: dict[str, float]
    """Weight of each paint of the handle; "same" repeats the frame's, "steel" is galvanised."""
    variants: dict[str, float] = field(default_factory=lambda: dict.fromkeys(VARIANTS, 1.0))
    """Weight of each variant."""
    fork_length: tuple[float, float] = (0.90, 1.22)
    fork_width: tuple[float, float] = (0.15, 0.17)
    overall_width: tuple[float, float] = (0.52, 0.69)
    """Over both forks of a hand truck; powered trucks have 0.56."""
    lift: tuple[float, float] = (0.0, 0.115)
    """How far the forks are raised above their lowest position."""
    scissor_lift: tuple[float, float] = (0.10, 0.70)
    """The same of a high-lift scissor truck ..."""
    stacker_lift: tuple[float, float] = (0.02, 1.10)
    """... and of a stacker."""
    mast_height: tuple[float, float] = (1.70, 2.10)
    handle_height: tuple[float, float] = (1.14, 1.27)
    """Top of the upright handle."""
    tiller_rest: tuple[float, float] = (-4.0, 12.0)
    """Lean of a resting tiller from upright, away from the forks."""
    tiller_lowered: float = 0.15
    """Share of tillers left halfway down."""
    tiller_turn: tuple[float, float] = (-60.0, 60.0)
    """Steering angle about the vertical axis."""
    cover_paint: dict[str, float] = field(
        default_factory=lambda: {"same": 4, "grey": 3, "black": 2, "blue_grey": 2, "white": 1}
    )
    """Weight of each paint of motor covers and displays."""
    wear: tuple[float, float] = (0.1, 0.9)

    def __post_init__(self) -> None:
        check_names("variants", self.variants, VARIANTS)
        check_names("paint", self.paint, PAINTS)
        for name in ("handle_paint", "cover_paint"):
            check_names(name, getattr(self, name), ("same", "steel", *PAINTS))


def sample(ranges: Ranges, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Draw one truck's parameters (JSON values)."""
    variant = pick(ranges.variants, rng)
    paint = pick(ranges.paint, rng)
    handle, cover = pick(ranges.handle_paint, rng), pick(ranges.cover_paint, rng)
    lift = {"scissor": ranges.scissor_lift, "stacker": ranges.stacker_lift}.get(variant, ranges.lift)
    rest = (25.0, 55.0) if chance(ranges.tiller_lowered, rng) else ranges.tiller_rest
    params = {
        "variant": variant,
        "paint": paint,
        "handle_paint": paint if handle == "same" else handle,
        "cover_paint": paint if cover == "same" else cover,
        "shade": uniform((0.75, 1.15), rng),
        "fork_length": uniform(ranges.fork_length, rng),
        "fork_width": uniform(ranges.fork_width, rng),
        "overall_width": uniform(ranges.overall_width, rng),
        "lift": uniform(lift, rng),
        "mast_height": uniform(ranges.mast_height, rng),
        "tiller_length": uniform(ranges.handle_height, rng) - hand.PIVOT[2],
        "tiller_angle": np.radians(uniform(rest, rng)).item(),
        "tiller_turn": np.radians(uniform(ranges.tiller_turn, rng) * rng.random() ** 2).item(),
        "handle_shape": str(rng.choice(HANDLES)),
        "dark_skirt": chance(0.5, rng),
        "wire_guard": chance(0.6, rng),
        "label_seed": integer((0, 2**31 - 1), rng),
        "wear": uniform(ranges.wear, rng),
    }
    if variant in POWERED:
        params["tiller_length"] = round(params["tiller_length"] - powered.PIVOT[2] + 0.22, 4)
        params["overall_width"], params["tiller_turn"] = 0.56, 0.5 * params["tiller_turn"]
        params["tiller_angle"] = max(params["tiller_angle"], 0.02)  # or the head meets the cover
    return params


def pivot(params: dict[str, Any]) -> tuple[float, float, float]:
    """Where the tiller turns, (3,) metres in the truck's own frame."""
    return powered.PIVOT if params["variant"] in POWERED else hand.PIVOT


def backrest(params: dict[str, Any]) -> float:
    """Where a load on the forks begins, metres along x."""
    return {"weighing": 0.36, "stacker": 0.27}.get(params["variant"], 0.19)


def handle_point(params: dict[str, Any]) -> np.ndarray:
    """Middle of the handle's grip, (3,) metres in the truck's own frame."""
    frame = tiller_frame(params, pivot(params))
    return frame(np.array([[0.0, 0.0, params["tiller_length"] - 0.03]]))[0]


def footprint(params: dict[str, Any], assets: Assets) -> tuple[float, float, float, float]:
    """Extent on the floor: x from, x to, y from, y to, in metres in the truck's own frame."""
    motor, lean = params["variant"] in POWERED, params["tiller_length"] * np.sin(params["tiller_angle"])
    half = powered.HALF if motor else params["overall_width"] / 2
    # A lowered tiller that is turned reaches out to the side.
    half = max(half, float(abs(lean * np.sin(params["tiller_turn"])) + HANDLE_HALF))
    body = -powered.FRONT if motor else 0.14
    if params["variant"] == "rider":
        body += powered.PLATFORM
    reach = float(max(body, lean + 0.08 - pivot(params)[0]))
    return (-reach, HEEL + 0.02 + params["fork_length"], -half, half)


def build(params: dict[str, Any], assets: Assets) -> list[Part]:
    """The truck's meshes."""

    def paint(name: str) -> Material:
        if name == "steel":
            return Material("steel", (0.5, 0.51, 0.52), 0.3)
        return Material("paint", shaded(PAINTS[name], params["shade"]), params["wear"])

    return VARIANTS[params["variant"]](
        params, paint(params["paint"]), paint(params["handle_paint"]), paint(params["cover_paint"])
    )
