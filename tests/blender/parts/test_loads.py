"""Loads of pallets."""

from __future__ import annotations

import numpy as np
import pytest

from blender.geometry.mesh import bounds
from blender.parts import loads


@pytest.mark.parametrize("name", list(loads.LOADS))
def test_load_stays_on_the_pallet_and_near_its_height(name: str) -> None:
    for seed in range(8):
        parts = loads.build(name, np.random.default_rng(seed), 0.9, 0.5, 0.144)
        assert all(len(part.vertices) for part in parts)
        low, high = bounds(parts)
        assert low[0] > -0.64 and low[1] > -0.44 and high[0] < 0.64 and high[1] < 0.44
        assert low[2] > 0.1 and 0.3 < high[2] < 0.144 + 0.9 + 0.35
