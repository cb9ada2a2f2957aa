"""Shared functions of kinds with variants, such as ``guard`` (bollard, rail, cone, ...). No bpy.

The module of such a kind has a table: variant -> function that builds it from a generator. A profile's table
gives each variant a weight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from blender.assets import Assets
from blender.geometry.mesh import Part, bounds, move
from blender.sampling import draw_seed, pick

Builder = Callable[[np.random.Generator], list[Part]]
"""A function that builds a variant's meshes and draws all random details from the generator."""


def sample(ranges: Any, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Draw the variant and its seed (JSON values)."""
    return {"variant": pick(ranges.variants, rng), "seed": draw_seed(rng)}


def build(builders: Mapping[str, Builder], params: dict[str, Any], assets: Assets) -> list[Part]:
    """Build the variant's meshes."""
    return list(_build(builders[params["variant"]], params["seed"]))


@lru_cache(maxsize=64)  # a frame builds each object twice: for its footprint and for the scene
def _build(builder: Builder, seed: int) -> tuple[Part, ...]:
    return tuple(builder(np.random.default_rng(seed)))


def footprint(
    builders: Mapping[str, Builder], params: dict[str, Any], assets: Assets
) -> tuple[float, float, float, float]:
    """Return the meshes' extent on the floor: x from, x to, y from, y to, metres."""
    low, high = bounds(build(builders, params, assets))
    return (float(low[0]), float(high[0]), float(low[1]), float(high[1]))


def grounded(parts: list[Part]) -> list[Part]:
    """Return the parts moved so that the lowest stands on the floor."""
    return move(parts, (0, 0, -bounds(parts)[0][2]))
