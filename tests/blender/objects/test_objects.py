"""Meshes of all kinds: footprints, heights, variants, stacked pallets, lamps in the hall."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from blender.assets import Assets
from blender.config.profile import Config, load_config
from blender.contract import UserError
from blender.geometry.mesh import bounds
from blender.kinds import find_kind
from blender.objects import hall, pallet
from blender.spec import LampSpec
from tests.conftest import TINY
from tests.helpers.assets import NO_ASSETS

TABLES = {
    "pallet_truck": "pallet_truck",
    "pedestrian": "pedestrian",
    "pallet": "pallets",
    "rack": "rack",
    "forklift": "forklift",
    "hall": "hall",
    "guard": "guards",
    "cage": "cages",
    "trolley": "trolleys",
    "furniture": "furniture",
    "clutter": "clutter",
}
"""Kind -> its ranges in the default profile."""


@pytest.mark.parametrize("name", TABLES)
def test_meshes_stay_within_footprint_and_height(name: str, default_config: Config, assets: Assets) -> None:
    kind, rng = find_kind(name), np.random.default_rng(1)
    for _ in range(8):
        params = kind.sample(default_config.ranges[TABLES[name]], rng, assets)
        parts = kind.build(params, assets)
        low, high = bounds(parts)
        x0, x1, y0, y1 = kind.footprint(params, assets)
        slack = 0.3 if name == "hall" else 0.13  # walls have a thickness; pallets stand out of racks
        assert low[0] >= x0 - slack and low[1] >= y0 - slack
        assert high[0] <= x1 + slack and high[1] <= y1 + slack
        assert high[2] <= kind.height(params, assets)
        for part in parts:
            assert np.isfinite(part.vertices).all()
            assert part.faces.max() < len(part.vertices)


@pytest.mark.parametrize("name", ["guard", "cage", "trolley", "furniture", "clutter"])
def test_every_variant_stands_on_the_floor_and_has_a_plausible_size(name: str) -> None:
    module = importlib.import_module(f"blender.objects.{name}")
    for variant in module.VARIANTS:
        for seed in range(6):
            low, high = bounds(module.build({"variant": variant, "seed": seed}, NO_ASSETS))
            assert -0.012 < low[2] < 0.03, (variant, seed)
            assert 0.02 < high[2] < 4.0 and (high - low)[:2].max() < 4.0, (variant, seed)


def test_pallet_has_the_standard_dimensions() -> None:
    part = pallet.pallet(np.random.default_rng(0), 0.5)
    low, high = part.vertices.min(0), part.vertices.max(0)
    assert high - low == pytest.approx([1.2, 0.8, 0.144])


@pytest.mark.parametrize("name", pallet.BEARING)
def test_stacked_loaded_pallets_touch_and_stay_below_the_tallest(name: str) -> None:
    ranges = pallet.Ranges(load={name: 1.0}, load_height=(0.3, 1.5), tiers=(3, 3), tallest=2.1, wrapped=0.5)
    for seed in range(16):
        params = pallet.sample(ranges, np.random.default_rng(seed), NO_ASSETS)
        assert params["tiers"] == 3
        three, single = (pallet.build({**params, "tiers": n}, NO_ASSETS) for n in (3, 1))
        each = len(three) // 3
        for tier in (1, 2):
            bottom = bounds(three[tier * each : (tier + 1) * each])[0][2]
            top = bounds(three[: tier * each])[1][2]
            assert -0.02 < bottom - top < 0.001, "on the tier below, or within its film"
        assert len(three) == 3 * each and bounds(three)[1][2] < 2.1 + 0.05
        assert bounds(single)[0][2] == pytest.approx(0.0)
        assert bounds(three)[1][2] < pallet.height(params, NO_ASSETS)


def test_only_flat_and_firm_loads_are_stacked() -> None:
    ranges = pallet.Ranges(load={"sacks": 1.0}, tiers=(3, 3))
    assert pallet.sample(ranges, np.random.default_rng(0), NO_ASSETS)["tiers"] == 1


def test_wrong_ranges_of_stacked_pallets_are_errors() -> None:
    with pytest.raises(ValueError, match=r"tallest must be at least 0\.384 metres a tier"):
        pallet.Ranges(load={"crate": 1.0}, tiers=(1, 9))


def test_unknown_load_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(TINY.replace("cartons = 1", "cartoons = 1"))
    with pytest.raises(UserError, match=r"load\]: unknown key 'cartoons'"):
        load_config(path)


def test_lamp_housings_hang_from_the_roof_and_dark_lamps_show_a_cover() -> None:
    """The tray is above the lamp and nowhere else, so it does not block the light."""
    params = {**hall.sample(hall.Ranges(), np.random.default_rng(0), NO_ASSETS), "height": 6.0}
    lamps = [LampSpec((x, 0.0, 5.5), (1.4, 0.18), power, 4000.0) for x, power in ((3.0, 90.0), (6.0, 0.0))]
    bare = hall.build(params, NO_ASSETS)
    housings = hall.build(hall.with_lamps(params, lamps), NO_ASSETS)[len(bare) :]
    points = np.concatenate([part.vertices for part in housings])
    for x, lowest in ((3.0, 5.505), (6.0, 5.495)):
        near = points[np.abs(points[:, 0] - x) < 1.0]
        assert near[:, 2].min() == pytest.approx(lowest) and near[:, 2].max() == pytest.approx(6.0)
        assert np.ptp(near[:, 0]) == pytest.approx(1.44) and np.ptp(near[:, 1]) == pytest.approx(0.22)
