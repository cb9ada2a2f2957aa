"""Forklifts, reach trucks, order pickers and a tow tractor. Unlabelled. They are similar to pallet trucks.

Origin: on the floor below the middle of the chassis; the forks point to +x. An order picker's forks start at
x = 0. Each module of this package builds one variant and names the sources of its dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np

from blender.assets import Assets
from blender.contract.limits import Ge, Le, Ordered, Share, ShareRange, Weights
from blender.geometry.mesh import Part, bounds
from blender.kinds import Parking
from blender.objects.forklift import counterbalance, order_picker, reach_truck, tow_tractor
from blender.objects.forklift.attachments import attach
from blender.objects.forklift.fittings import PAINTS, TRIMS
from blender.sampling import chance, draw_seed, pick, uniform

__all__ = ["VARIANTS", "Ranges", "attach", "build", "footprint", "parking", "sample"]

VARIANTS: dict[str, Callable[[dict[str, Any]], list[Part]]] = {
    "counterbalance": counterbalance.build,
    "reach_truck": reach_truck.build,
    "order_picker": order_picker.build,
    "tow": tow_tractor.build,
}
"""Variant -> function that builds it from its parameters."""


@dataclass(frozen=True)
class Ranges:
    """Ranges of [scene.objects.NAME] with builder = "forklift"."""

    variants: Annotated[dict[str, float], Weights(VARIANTS)]
    """Weights of the variants."""
    paint: Annotated[dict[str, float], Weights(PAINTS)]
    """Weights of the colours."""
    trim: Annotated[dict[str, float], Weights((*TRIMS, "same"))] = field(
        default_factory=lambda: {"dark": 3.0, "grey": 3.0, "light": 1.0, "same": 2.0}
    )
    """Weights of the second colour: chassis, doors, lower edges; "same": as the first."""
    mast: Annotated[tuple[float, float], Ge(1), Le(10), Ordered()] = (2.0, 2.6)
    """Height of the lowered mast in metres; reach trucks have up to 1 metre more."""
    lift: Annotated[tuple[float, float], Ge(0), Le(10), Ordered()] = (0.05, 1.2)
    """Height of the forks in metres; low heights are more likely."""
    loaded: Share = 0.35
    """Share of machines with a load on the forks."""
    nose_in: Share = 0.6
    """Share of parked machines with the forks to the wall or the rack."""
    wear: ShareRange = (0.2, 0.8)
    """0: new, 1: scratched and dirty."""


def sample(ranges: Ranges, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Draw one machine's parameters (JSON values)."""
    low, high = ranges.lift
    return {
        "variant": pick(ranges.variants, rng),
        "paint": pick(ranges.paint, rng),
        "trim": pick(ranges.trim, rng),
        "mast": uniform(ranges.mast, rng),
        "lift": uniform((low, low + (high - low) * float(rng.random()) ** 2), rng),
        "nose_in": chance(ranges.nose_in, rng),
        "wear": uniform(ranges.wear, rng),
        "seed": draw_seed(rng),
    }


def footprint(params: dict[str, Any], assets: Assets) -> tuple[float, float, float, float]:
    """Return the meshes' extent on the floor: x from, x to, y from, y to, metres."""
    low, high = bounds(build(params, assets))
    return (float(low[0]), float(high[0]), float(low[1]), float(high[1]))


def parking(params: dict[str, Any]) -> Parking:
    """Return how a machine stands at a wall or a rack: nose-in, or in any right-angled heading."""
    return Parking(facing=params["nose_in"], heading_deviation=0.08)


def build(params: dict[str, Any], assets: Assets) -> list[Part]:
    """Build the machine's meshes."""
    return VARIANTS[params["variant"]](params)
