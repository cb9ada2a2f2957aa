"""Pallet trucks (French: transpalettes) of real dimensions: hand, weighing, scissor, walkie, rider, stacker.

Origin: on the floor below the upright steering axis. The forks point to +x. The tiller stands near the origin
and is lowered towards -x. Each module of this package names the sources of its figures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np

from blender.assets import Assets
from blender.contract.limits import Ge, Gt, Le, Ordered, Share, ShareRange, Weights
from blender.geometry.mesh import Floats, Part
from blender.objects.pallet_truck import manual, powered
from blender.objects.pallet_truck.attachments import attach
from blender.objects.pallet_truck.chassis import (
    CHASSIS,
    POWERED,
    fork_height,
    front,
    grip,
    hinge,
    hold,
    to_truck,
)
from blender.objects.pallet_truck.forks import tip
from blender.objects.pallet_truck.hood import HEIGHTS
from blender.objects.pallet_truck.livery import PAINTS, TYRES, Livery, livery_of, scuffs, stickers
from blender.objects.pallet_truck.mast import STRADDLE, STRADDLE_HALF
from blender.objects.pallet_truck.tiller import LOOPS
from blender.sampling import chance, draw_seed, integer, pick, uniform

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
"""Variant -> function that returns its meshes and its flat faces (4, 3) for stickers."""
LOW_FRONT = 0.26
"""x from which a truck is low enough for a rack's lowest beam, metres. Frame and cover are behind it."""
TURNED_ASIDE = (55.0, 90.0)
"""Angle of a tiller that is turned aside, degrees."""
GRIP_HALF = (0.05, 0.19)
"""Half of the depth and the width of grip and hands, metres, for the footprint."""


@dataclass(frozen=True)
class Ranges:
    """Ranges of [scene.objects.NAME] with builder = "pallet_truck"."""

    paint: Annotated[dict[str, float], Weights(PAINTS)]
    """Weights of the paints of the frame."""
    handle_paint: Annotated[dict[str, float], Weights((*PAINTS, "same"))]
    """Weights of the paints of a hand truck's tiller; "same": as the frame."""
    powered_handle_paint: Annotated[dict[str, float], Weights((*PAINTS, "same"))] = field(
        default_factory=lambda: {"same": 1.0, "black": 3.0, "grey": 2.0, "white": 1.0}
    )
    """Weights of the paints of a powered truck's tiller; "same": as the frame."""
    cover_paint: Annotated[dict[str, float], Weights((*PAINTS, "same"))] = field(
        default_factory=lambda: {"same": 1.0}
    )
    """Weights of the paints of a motor's cover or a scale's box; "same": as the frame."""
    skirt_paint: Annotated[dict[str, float], Weights((*PAINTS, "same"))] = field(
        default_factory=lambda: {"same": 2.0, "black": 3.0, "grey": 2.0}
    )
    """Weights of the paints of a powered truck's lower part; "same": as the frame."""
    hoods: Annotated[dict[str, float], Weights(HEIGHTS)] = field(default_factory=lambda: {"low": 1.0})
    """Weights of the shapes of a powered truck's body."""
    cover_height: Annotated[tuple[float, float], Gt(0.5), Le(2), Ordered()] = (0.9, 1.25)
    """Factor on the height of a motor's cover."""
    variants: Annotated[dict[str, float], Weights(VARIANTS)] = field(default_factory=lambda: {"hand": 1.0})
    """Weights of the variants."""
    fork_length: Annotated[tuple[float, float], Ge(0.3), Le(3), Ordered()] = (0.90, 1.22)
    """Length of the forks in metres."""
    fork_width: Annotated[tuple[float, float], Ge(0.05), Le(0.5), Ordered()] = (0.15, 0.17)
    """Width of a fork in metres."""
    overall_width: Annotated[tuple[float, float], Ge(0.2), Le(2), Ordered()] = (0.52, 0.69)
    """Width over both forks in metres."""
    lift: Annotated[tuple[float, float], Ge(0), Le(1), Ordered()] = (0.0, 0.115)
    """Metres by which the forks are raised above their lowest position."""
    scissor_lift: Annotated[tuple[float, float], Ge(0), Le(2), Ordered()] = (0.0, 0.715)
    """Metres by which a scissor truck's forks are raised; low positions are more likely."""
    stacker_lift: Annotated[tuple[float, float], Ge(0), Le(5), Ordered()] = (0.0, 1.2)
    """Metres by which a stacker's forks are raised; low positions are more likely."""
    handle_height: Annotated[tuple[float, float], Ge(0.5), Le(2), Ordered()] = (1.14, 1.27)
    """Height of the top of the upright tiller in metres."""
    handles: Annotated[dict[str, float], Weights(LOOPS)] = field(
        default_factory=lambda: dict.fromkeys(LOOPS, 1.0)
    )
    """Weights of the shapes of a hand truck's handle."""
    tiller_rest: Annotated[tuple[float, float], Ge(-90), Le(90), Ordered()] = (-2.0, 12.0)
    """Degrees by which a resting tiller leans from upright, away from the forks."""
    lowered: Share = 0.1
    """Share of lowered tillers."""
    tiller_low: Annotated[tuple[float, float], Ge(-90), Le(90), Ordered()] = (25.0, 60.0)
    """Degrees by which a lowered tiller leans."""
    tiller_turn: Annotated[tuple[float, float], Ge(-180), Le(180), Ordered()] = (-60.0, 60.0)
    """Steering angle in degrees about the vertical axis; small angles are more likely."""
    turned_aside: Share = 0.15
    """Share of tillers that are turned aside by 55 to 90 degrees."""
    closed_apron: Share = 0.35
    """Share of hand trucks with a plate between the frame's legs."""
    tandem: Share = 0.5
    """Share of trucks with two load rollers per fork; the others have one roller."""
    tyres: Annotated[dict[str, float], Weights(TYRES)] = field(
        default_factory=lambda: dict.fromkeys(TYRES, 1.0)
    )
    """Weights of the materials of the wheels."""
    guards: Share = 0.7
    """Share of riders with side guards."""
    mast: Annotated[tuple[float, float], Ge(0.5), Le(5), Ordered()] = (1.75, 2.05)
    """Height of a stacker's lowered mast in metres."""
    backrest: Annotated[tuple[float, float], Ge(0.1), Le(3), Ordered()] = (0.55, 0.95)
    """Height of a stacker's load backrest above its forks in metres."""
    mast_guards: Annotated[dict[str, float], Weights(("clear", "wire"))] = field(
        default_factory=lambda: {"clear": 1.0, "wire": 1.0}
    )
    """Weights of the guards in front of a stacker's mast."""
    mast_shapes: Annotated[dict[str, float], Weights(("twin", "single", "wide"))] = field(
        default_factory=lambda: {"twin": 3.0, "single": 1.0}
    )
    """Weights of the shapes of a stacker's mast: two rails, one column, or two rails as wide as the body."""
    mast_paint: Annotated[dict[str, float], Weights(PAINTS)] = field(
        default_factory=lambda: {"black": 3.0, "grey": 1.0}
    )
    """Weights of the paints of a stacker's mast."""
    straddle: Share = 0.3
    """Share of stackers whose legs stand beside the load."""
    stickers: Annotated[tuple[int, int], Ge(0), Ordered()] = (1, 4)
    """Number of labels on a truck."""
    shade: Annotated[tuple[float, float], Gt(0), Le(4), Ordered()] = (0.75, 1.15)
    """Factor on the brightness of the paints: batches and fading."""
    wear: ShareRange = (0.1, 0.9)
    """0: new, 1: scratched and dirty."""


def sample(ranges: Ranges, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Draw one truck's parameters (JSON values)."""
    variant = pick(ranges.variants, rng)
    paints = _paints(ranges, variant, rng)
    fittings = _fittings(ranges, variant, rng)
    hinge_height = hinge({"variant": variant, **fittings})[1]
    turn = np.radians(uniform(ranges.tiller_turn, rng) * rng.random() ** 2).item()
    if chance(ranges.turned_aside, rng):
        turn = float(rng.choice([-1, 1]) * np.radians(rng.uniform(*TURNED_ASIDE)))
    lean = uniform(ranges.tiller_low if chance(ranges.lowered, rng) else ranges.tiller_rest, rng)
    return {
        "variant": variant,
        **paints,
        "shade": uniform(ranges.shade, rng),
        "fork_length": uniform(ranges.fork_length, rng),
        "fork_width": uniform(ranges.fork_width, rng),
        "overall_width": uniform(ranges.overall_width, rng),
        "lift": _lift(ranges, variant, rng),
        "tiller_length": round(uniform(ranges.handle_height, rng) - hinge_height - 0.015, 4),
        "tiller_angle": round(np.radians(lean).item(), 4),
        "tiller_turn": round(turn, 4),
        "wear": uniform(ranges.wear, rng),
        "tyre": pick(ranges.tyres, rng),
        "stickers": integer(ranges.stickers, rng),
        "seed": draw_seed(rng),
        **fittings,
    }


def _paints(ranges: Ranges, variant: str, rng: np.random.Generator) -> dict[str, str]:
    """Draw the paints of a truck's parts."""
    handle = ranges.powered_handle_paint if variant in POWERED else ranges.handle_paint
    paint = pick(ranges.paint, rng)
    others = {"handle_paint": handle, "cover_paint": ranges.cover_paint, "skirt_paint": ranges.skirt_paint}
    drawn = {key: pick(weights, rng) for key, weights in others.items()}
    return {"paint": paint} | {key: paint if name == "same" else name for key, name in drawn.items()}


def _lift(ranges: Ranges, variant: str, rng: np.random.Generator) -> float:
    """Draw the lift, metres. The share of a high lift is cubed, because forks are low most of the time."""
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
    else:
        out["hood"] = pick(ranges.hoods, rng)
        out["cover_height"] = uniform(ranges.cover_height, rng)
    if variant not in ("scissor", "stacker"):
        out["tandem"] = chance(ranges.tandem, rng)
    if variant == "rider":
        out["guards"] = chance(ranges.guards, rng)
    if variant == "stacker":
        out["mast"], out["backrest"] = uniform(ranges.mast, rng), uniform(ranges.backrest, rng)
        out["guard"] = pick(ranges.mast_guards, rng)
        out["mast_shape"], out["straddle"] = pick(ranges.mast_shapes, rng), chance(ranges.straddle, rng)
        out["mast_paint"] = pick(ranges.mast_paint, rng)
    return out


def footprint(params: dict[str, Any], assets: Assets) -> tuple[float, float, float, float]:
    """Return the extent seen from above, tiller included: x from, x to, y from, y to, metres."""
    chassis, length, (deep, wide) = CHASSIS[params["variant"]], params["tiller_length"], GRIP_HALF
    handle = to_truck(params, np.array([(x, y, length) for x in (-deep, deep) for y in (-wide, wide)]))
    half = max(params["overall_width"] / 2, chassis.half_width)
    if params.get("straddle"):
        half = max(half, STRADDLE + STRADDLE_HALF)
    x0, (y0, y1) = min(chassis.rear, handle[:, 0].min()), (handle[:, 1].min(), handle[:, 1].max())
    return float(x0), tip(params), float(min(-half, y0)), float(max(half, y1))


def rack_insertion(params: dict[str, Any]) -> float | None:
    """Return the x from which the forks fit below a rack's lowest beam, metres."""
    return LOW_FRONT


def build(params: dict[str, Any], assets: Assets) -> list[Part]:
    """Build the truck's meshes."""
    parts, faces = VARIANTS[params["variant"]](params, livery_of(params))
    return [*parts, *scuffs(params, faces), *stickers(params, faces)]
