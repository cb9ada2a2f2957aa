"""Pallet trucks (French: transpalettes) of real dimensions: hand, weighing, scissor, walkie, rider, stacker.

Origin: on the floor below the upright steering axis. The forks point to +x. The tiller stands near the origin
and is lowered towards -x. Each module of this package names the sources of its figures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from blender.assets import Assets
from blender.geometry.mesh import Floats, Part
from blender.objects.pallet_truck import manual, powered
from blender.objects.pallet_truck.attachments import attach
from blender.objects.pallet_truck.chassis import CHASSIS, POWERED, fork_height, front, grip, hold, to_truck
from blender.objects.pallet_truck.forks import tip
from blender.objects.pallet_truck.livery import PAINTS, TYRES, Livery, livery_of, stickers
from blender.objects.pallet_truck.tiller import LOOPS
from blender.sampling import chance, draw_seed, integer, named, ordered, pick, uniform

__all__ = [
    "VARIANTS",
    "Ranges",
    "attach",
    "build",
    "footprint",
    "fork_height",
    "front",
    "grip",
    "hold",
    "rack_insertion",
    "sample",
]

VARIANTS: dict[str, Callable[[dict[str, Any], Livery], tuple[list[Part], list[Floats]]]] = {
    "hand": manual.hand,
    "weighing": manual.weighing,
    "scissor": manual.scissor,
    "walkie": powered.walkie,
    "rider": powered.rider,
    "stacker": powered.stacker,
}
"""Variant -> function that builds it and returns its meshes and the flat faces (4, 3) that take stickers."""
LOW_FRONT = 0.26
"""x from which on a truck is low enough for a rack's lowest beam, metres: behind it rise frame and cover."""
GRIP_HALF = (0.05, 0.19)
"""Half of the grip's depth and width with the hands' clearance, metres: for the footprint."""


@dataclass(frozen=True)
class Ranges:
    """What varies from truck to truck; lengths in metres, angles in degrees, the others weights or shares."""

    paint: dict[str, float]
    """Weight of each paint of the frame."""
    handle_paint: dict[str, float]
    """Weight of each paint of the tiller; "same" repeats the frame's."""
    cover_paint: dict[str, float] = field(default_factory=lambda: {"same": 1.0})
    """Weight of each paint of a motor's cover or a scale's box; "same" repeats the frame's."""
    variants: dict[str, float] = field(default_factory=lambda: {"hand": 1.0})
    """Weight of each variant: "hand", "weighing", "scissor", "walkie", "rider", "stacker"."""
    fork_length: tuple[float, float] = (0.90, 1.22)
    fork_width: tuple[float, float] = (0.15, 0.17)
    overall_width: tuple[float, float] = (0.52, 0.69)
    """Over both forks."""
    lift: tuple[float, float] = (0.0, 0.115)
    """How far the forks are raised above their lowest position."""
    scissor_lift: tuple[float, float] = (0.0, 0.715)
    """The same of a scissor truck; low positions are more likely."""
    stacker_lift: tuple[float, float] = (0.0, 1.2)
    """The same of a stacker."""
    handle_height: tuple[float, float] = (1.14, 1.27)
    """Top of the upright tiller."""
    handles: dict[str, float] = field(default_factory=lambda: dict.fromkeys(LOOPS, 1.0))
    """Weight of each shape of a hand truck's handle: "loop", "drop", "square", "shield"."""
    tiller_rest: tuple[float, float] = (-2.0, 12.0)
    """Lean of a resting tiller from upright, away from the forks."""
    lowered: float = 0.1
    """Share of tillers left lowered ..."""
    tiller_low: tuple[float, float] = (25.0, 60.0)
    """... and their lean."""
    tiller_turn: tuple[float, float] = (-60.0, 60.0)
    """Steering angle about the vertical axis; small angles are more likely."""
    closed_apron: float = 0.35
    """Share of hand trucks with a plate between the frame's legs."""
    tandem: float = 0.5
    """Share with two load rollers a fork in place of one."""
    tyres: dict[str, float] = field(default_factory=lambda: dict.fromkeys(TYRES, 1.0))
    """Weight of each material of wheels: "black", "grey", "nylon", "amber"."""
    guards: float = 0.7
    """Share of riders with side guards."""
    mast: tuple[float, float] = (1.75, 2.05)
    """Height of a stacker's lowered mast."""
    backrest: tuple[float, float] = (0.55, 0.95)
    """Height of a stacker's load backrest above its forks."""
    mast_guards: dict[str, float] = field(default_factory=lambda: {"clear": 1.0, "wire": 1.0})
    """Weight of each guard before a stacker's mast: "clear", "wire"."""
    stickers: tuple[int, int] = (1, 4)
    """Labels on a truck."""
    shade: tuple[float, float] = (0.75, 1.15)
    """Factor on the paints' brightness: batches and fading."""
    wear: tuple[float, float] = (0.1, 0.9)
    """0: fresh from the factory, 1: scratched and dirty."""

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            named(name, getattr(self, name), known)
        ordered(**{name: span for name, span in vars(self).items() if isinstance(span, tuple)})


_CHOICES: dict[str, tuple[str, ...]] = {
    "paint": tuple(PAINTS),
    "handle_paint": (*PAINTS, "same"),
    "cover_paint": (*PAINTS, "same"),
    "variants": tuple(VARIANTS),
    "handles": tuple(LOOPS),
    "tyres": tuple(TYRES),
    "mast_guards": ("clear", "wire"),
}
"""Table of weights -> the keys that it may have."""


def sample(ranges: Ranges, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Draw one truck's parameters (JSON values)."""
    variant = pick(ranges.variants, rng)
    paints = {"paint": pick(ranges.paint, rng)}
    for key, weights in (("handle_paint", ranges.handle_paint), ("cover_paint", ranges.cover_paint)):
        drawn = pick(weights, rng)
        paints[key] = paints["paint"] if drawn == "same" else drawn
    lean = uniform(ranges.tiller_low if chance(ranges.lowered, rng) else ranges.tiller_rest, rng)
    return {
        "variant": variant,
        **paints,
        "shade": uniform(ranges.shade, rng),
        "fork_length": uniform(ranges.fork_length, rng),
        "fork_width": uniform(ranges.fork_width, rng),
        "overall_width": uniform(ranges.overall_width, rng),
        "lift": _lift(ranges, variant, rng),
        "tiller_length": round(uniform(ranges.handle_height, rng) - CHASSIS[variant].hinge[1] - 0.015, 4),
        "tiller_angle": round(np.radians(lean).item(), 4),
        "tiller_turn": round(np.radians(uniform(ranges.tiller_turn, rng) * rng.random() ** 2).item(), 4),
        "wear": uniform(ranges.wear, rng),
        "tyre": pick(ranges.tyres, rng),
        "stickers": integer(ranges.stickers, rng),
        "seed": draw_seed(rng),
        **_fittings(ranges, variant, rng),
    }


def _lift(ranges: Ranges, variant: str, rng: np.random.Generator) -> float:
    """Draw the lift. Forks that can rise high are low most of the time: the share is cubed."""
    high = {"scissor": ranges.scissor_lift, "stacker": ranges.stacker_lift}
    low, top = high.get(variant, ranges.lift)
    share = float(rng.random()) ** (3 if variant in high else 1)
    return round(low + (top - low) * share, 4)


def _fittings(ranges: Ranges, variant: str, rng: np.random.Generator) -> dict[str, Any]:
    """Draw the parameters that only some variants have."""
    out: dict[str, Any] = {}
    if variant not in POWERED:
        out["handle_shape"] = pick(ranges.handles, rng)
        out["apron"] = "closed" if chance(ranges.closed_apron, rng) else "open"
    if variant not in ("scissor", "stacker"):
        out["tandem"] = chance(ranges.tandem, rng)
    if variant == "rider":
        out["guards"] = chance(ranges.guards, rng)
    if variant == "stacker":
        out["mast"], out["backrest"] = uniform(ranges.mast, rng), uniform(ranges.backrest, rng)
        out["guard"] = pick(ranges.mast_guards, rng)
    return out


def footprint(params: dict[str, Any], assets: Assets) -> tuple[float, float, float, float]:
    """Return the extent seen from above, tiller included: x from, x to, y from, y to, metres."""
    chassis, length, (deep, wide) = CHASSIS[params["variant"]], params["tiller_length"], GRIP_HALF
    handle = to_truck(params, np.array([(x, y, length) for x in (-deep, deep) for y in (-wide, wide)]))
    half = max(params["overall_width"] / 2, chassis.half_width)
    x0, (y0, y1) = min(chassis.rear, handle[:, 0].min()), (handle[:, 1].min(), handle[:, 1].max())
    return float(x0), tip(params), float(min(-half, y0)), float(max(half, y1))


def rack_insertion(params: dict[str, Any]) -> float | None:
    """Return the x from which on the forks fit below a rack's lowest beam, metres."""
    return LOW_FRONT


def build(params: dict[str, Any], assets: Assets) -> list[Part]:
    """Build the truck's meshes."""
    parts, faces = VARIANTS[params["variant"]](params, livery_of(params))
    return [*parts, *stickers(params, faces)]
