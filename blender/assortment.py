"""Kinds that are many small things under one name: each thing varies by itself, from a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from blender.mesh import Part
from blender.objects import Assets
from blender.ranges import integer, pick


@dataclass(frozen=True)
class Assortment:
    """What a module of ``blender.objects`` offers, from a table of its things."""

    builders: Mapping[str, Callable[[np.random.Generator], list[Part]]]
    """Name to what makes the meshes."""
    sizes: Mapping[str, tuple[float, float]]
    """Name to length and width on the floor, metres."""

    def footprint(self, params: dict[str, Any], assets: Assets) -> tuple[float, float, float, float]:
        """Extent on the floor: x from, x to, y from, y to, in metres."""
        x, y = self.sizes[params["variant"]]
        return (-x / 2, x / 2, -y / 2, y / 2)

    def build(self, params: dict[str, Any], assets: Assets) -> list[Part]:
        """The thing's meshes."""
        return self.builders[params["variant"]](np.random.default_rng(params["seed"]))


def sample(ranges: Any, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Draw one thing (JSON values) from ranges that weigh ``variants``."""
    return {"variant": pick(ranges.variants, rng), "seed": integer((0, 2**31 - 1), rng)}
