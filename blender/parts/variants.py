"""Kinds that are a choice of things: what their modules in ``blender/objects`` share. No bpy.

Such a module maps each thing's name to a function that makes it from a generator; its profile table
gives a weight to each name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from blender.assets import Assets
from blender.geometry.mesh import Part, bounds
from blender.sampling import integer, pick

Maker = Callable[[np.random.Generator], list[Part]]


def sample(ranges: Any, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Draw one thing (JSON values)."""
    return {"variant": pick(ranges.variants, rng), "seed": integer((0, 2**31 - 1), rng)}


def build(makers: Mapping[str, Maker], params: dict[str, Any], assets: Assets) -> list[Part]:
    """The thing's meshes."""
    return list(_made(makers[params["variant"]], params["seed"]))


@lru_cache(maxsize=64)  # a frame's: made to measure the room they need, then to be shown
def _made(maker: Maker, seed: int) -> tuple[Part, ...]:
    return tuple(maker(np.random.default_rng(seed)))


def footprint(
    makers: Mapping[str, Maker], params: dict[str, Any], assets: Assets
) -> tuple[float, float, float, float]:
    """Extent on the floor: x from, x to, y from, y to, in metres; measured on the meshes themselves."""
    low, high = bounds(build(makers, params, assets))
    return (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
