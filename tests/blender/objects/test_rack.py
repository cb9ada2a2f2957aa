"""Pallet racks: low beams, shelves for picking, protectors and labels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from blender.config.profile import Config
from blender.geometry.mesh import Part, bounds
from blender.objects import rack
from blender.parts import picking, protectors
from blender.parts.rack_steel import level_height
from tests.helpers.assets import NO_ASSETS


def draw(config: Config, **keys: Any) -> dict[str, Any]:
    """Draw a rack of three bays with some keys of [scene.rack]."""
    ranges = replace(config.ranges["rack"], bays=(3, 3), levels=(2, 2), **keys)
    return rack.sample(ranges, np.random.default_rng(3), NO_ASSETS)


def within(parts: list[Part], low: float, high: float) -> int:
    """Count the faces whose vertices are all between two heights, metres."""
    levels = [part.vertices[part.faces[:, :3], 2] for part in parts]
    return sum(int(((z > low) & (z < high)).all(1).sum()) for z in levels)


@pytest.mark.parametrize("keys", [{"low_beam": 1.0}, {"low_beam": 0.0, "picking": 1.0}])
def test_bays_with_a_low_beam_or_shelves_are_never_open(
    default_config: Config, keys: dict[str, float]
) -> None:
    assert not rack.open_bays(draw(default_config, open=1.0, **keys))
    assert len(rack.open_bays(draw(default_config, open=1.0, low_beam=0.0, picking=0.0))) == 3


def test_pallets_stand_on_the_low_beam(default_config: Config) -> None:
    params = draw(
        default_config, low_beam=1.0, low_beam_height=(0.4, 0.4), picking=0.0, floor_fill=(1.0, 1.0)
    )
    params["protectors"] = "none"
    bare = {**params, "load": {"none": 1.0}}  # empty pallets
    loads = rack.build(bare, NO_ASSETS)[-9:]
    assert min(bounds([part])[0][2] for part in loads) == pytest.approx(0.4)


@pytest.mark.parametrize("contents", picking.CONTENTS)
def test_shelves_fill_the_lowest_storey_and_stay_within_it(default_config: Config, contents: str) -> None:
    params = draw(
        default_config, picking=1.0, shelves={contents: 1.0}, fill=(0.0, 0.0), floor_fill=(0.0, 0.0)
    )
    params = {**params, "picking": 1, "protectors": "none", "rise": 0.0}
    shelved = rack.build(params, NO_ASSETS)
    empty = rack.build({**params, "picking": 0}, NO_ASSETS)
    top = level_height(params, 1)
    assert within(shelved, 0.0, top) > within(empty, 0.0, top) + 300
    assert within(shelved, top, 9.0) == within(empty, top, 9.0)
    x0, x1, y0, y1 = rack.footprint(params, NO_ASSETS)
    low, high = bounds(shelved)
    assert low[0] >= x0 and high[0] <= x1 and low[1] >= y0 - 0.02 and high[1] <= y1


@pytest.mark.parametrize("style", protectors.STYLES)
def test_protectors_stand_in_front_of_the_uprights(style: str) -> None:
    for seed in range(4):
        low, high = bounds(protectors.upright(style, "yellow", np.random.default_rng(seed)))
        assert abs(low[0] + high[0]) < 1e-6 and high[0] - low[0] < 0.22
        assert low[2] == pytest.approx(0.0) and 0.35 < high[2] < 1.2
        assert -rack.OVERHANG - 0.02 < low[1] < 0.0


def test_goods_of_a_hall_prevail_and_look_alike(default_config: Config) -> None:
    params = draw(default_config, prevailing=1.0)
    weights = sorted(params["load"].values())
    assert weights[-1] > sum(weights[:-1])
    assert len(params["looks"]) == rack.LOOKS_IN_HALL
