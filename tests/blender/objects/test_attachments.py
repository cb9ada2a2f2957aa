"""Objects that kinds attach: loads, operators, drivers, held objects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from blender.assets import Assets
from blender.config.profile import Config
from blender.geometry.mesh import bounds
from blender.kinds import AttachmentContext, KindTable, ObjectGroup, find_kind
from blender.objects import forklift, pallet_truck
from blender.objects.pallet_truck.attachments import fit_forks_to_pallet, fits_pallet
from blender.spec import ObjectSpec
from tests.helpers.assets import NO_ASSETS


@dataclass(frozen=True)
class Shares:
    operated: float = 0.0
    loaded: float = 0.0
    driven: float = 0.0


@pytest.fixture
def context(default_config: Config, assets: Assets) -> AttachmentContext:
    """Return a context in which all shares are zero."""
    ranges = default_config.ranges
    tables = {"pedestrian": KindTable(ranges["pedestrian"], "pedestrian")}
    truck = replace(ranges["pallet_truck"], variants={"hand": 1.0})
    return AttachmentContext(np.random.default_rng(0), assets, truck, Shares(), ranges, tables)


def attach(kind: str, context: AttachmentContext, **fixed: Any) -> ObjectGroup:
    """Draw an object and its attached objects from the context's ranges."""
    params = find_kind(kind).sample(context.ranges, context.rng, context.assets)
    return find_kind(kind).attach(ObjectSpec(kind, {**params, **fixed}, category=kind), context)


def test_pallet_truck_without_shares_stays_alone(context: AttachmentContext) -> None:
    group = attach("pallet_truck", context)
    assert [item.builder for item in group.objects] == ["pallet_truck"] and not group.in_use
    assert group.objects[0].params["loaded"] is False


def test_loaded_pallet_truck_carries_a_single_pallet(context: AttachmentContext) -> None:
    group = attach("pallet_truck", replace(context, shares=Shares(loaded=1.0)))
    truck, load = group.objects
    assert truck.params["loaded"] and fits_pallet(truck.params) and not group.in_use
    assert load.builder == "cage" or load.params["tiers"] == 1
    assert load.position[0] > pallet_truck.front(truck.params)


def test_operated_pallet_truck_is_in_use_and_its_tiller_is_held(context: AttachmentContext) -> None:
    group = attach("pallet_truck", replace(context, shares=Shares(operated=1.0)))
    truck, operator = group.objects
    assert group.in_use and operator.category == "pedestrian"
    assert operator.params["pose"] in ("pushing", "pulling")
    assert truck.params["tiller_turn"] == 0.0


def test_profile_without_pedestrians_has_no_operators(context: AttachmentContext) -> None:
    group = attach("pallet_truck", replace(context, shares=Shares(operated=1.0), first_tables={}))
    assert len(group.objects) == 1 and not group.in_use


def test_forks_do_not_change_if_the_ranges_contain_none_that_fit() -> None:
    params = {"overall_width": 0.69, "fork_width": 0.15, "fork_length": 1.1}
    rng = np.random.default_rng(0)
    assert fit_forks_to_pallet(params, (0.65, 0.69), (1.0, 1.2), rng) == params
    changed = fit_forks_to_pallet(params, (0.5, 0.69), (1.0, 1.2), rng)
    assert fits_pallet(changed) and not fits_pallet(params)


@pytest.mark.parametrize(("variant", "allowed", "driven"), [
    ("counterbalance", True, True), ("counterbalance", False, False), ("reach_truck", True, True),
    ("order_picker", True, True), ("order_picker", False, False), ("tow", True, True),
])  # fmt: skip
def test_machines_get_a_driver_where_labels_are_allowed(
    variant: str, allowed: bool, driven: bool, context: AttachmentContext, default_config: Config
) -> None:
    context = replace(
        context,
        ranges=replace(default_config.ranges["forklift"], loaded=0.0),
        shares=Shares(driven=1.0),
        allow_labelled=allowed,
    )
    group = attach("forklift", context, variant=variant)
    assert (len(group.objects) == 2) == group.in_use == driven
    if driven:
        machine, driver = group.objects
        low = bounds(find_kind("pedestrian").build(driver.params, context.assets))[0][2] + driver.position[2]
        x0, x1, y0, y1 = find_kind("forklift").footprint(machine.params, context.assets)
        assert 0.1 < low < 0.6, "above the floor, on the platform or with the feet in the cab"
        assert x0 < driver.position[0] < x1 and y0 < driver.position[1] < y1


@pytest.mark.parametrize("variant", ["counterbalance", "reach_truck", "order_picker"])
def test_loads_of_machines_lie_on_the_forks_one_behind_the_other(
    variant: str, context: AttachmentContext, default_config: Config
) -> None:
    context = replace(context, ranges=replace(default_config.ranges["forklift"], loaded=1.0))
    for _ in range(6):
        machine, *loads = attach("forklift", replace(context, allow_labelled=False), variant=variant).objects
        assert loads and machine.params["loaded"] and not any(load.category for load in loads)
        ends = -np.inf
        for load in loads:
            x0, x1, _, _ = find_kind(load.builder).footprint(load.params, context.assets)
            assert load.position[0] + x0 > ends - 0.03, "behind the load before"
            ends = load.position[0] + x1
        assert loads[0].position[0] > 0 and all(load.position[2] >= 0 for load in loads)


def test_same_seed_gives_the_same_machine_and_other_seeds_other_shapes(default_config: Config) -> None:
    for variant in forklift.VARIANTS:
        params = {"variant": variant, "paint": "red", "trim": "grey", "mast": 2.2, "lift": 0.1, "wear": 0.3}
        first, again, other = (
            bounds(forklift.build({**params, "seed": seed}, NO_ASSETS)) for seed in (1, 1, 2)
        )
        assert np.array_equal(first, again) and first[0][2] > -0.012
        assert variant == "tow" or not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("pose", "held"), [("carrying", "carton"), ("scanning", "terminal"), ("standing", "")]
)
def test_held_object_depends_on_the_pose(
    pose: str, held: str, context: AttachmentContext, default_config: Config
) -> None:
    ranges = replace(default_config.ranges["pedestrian"], poses=(pose,))
    group = attach("pedestrian", replace(context, ranges=ranges))
    assert [item.params["thing"] for item in group.objects[1:]] == ([held] if held else [])
    assert all(item.position[2] > 0.5 for item in group.objects[1:]) and not group.in_use


def test_machine_parks_nose_in_as_drawn(default_config: Config) -> None:
    ranges = replace(default_config.ranges["forklift"], nose_in=1.0)
    params = forklift.sample(ranges, np.random.default_rng(0), NO_ASSETS)
    assert forklift.parking(params).facing and not forklift.parking({**params, "nose_in": False}).facing


def test_straddle_legs_stand_beside_the_load_and_widen_the_footprint(default_config: Config) -> None:
    ranges = replace(default_config.ranges["pallet_truck"], variants={"stacker": 1.0}, straddle=1.0)
    params = pallet_truck.sample(ranges, np.random.default_rng(0), NO_ASSETS)
    for shape in ("twin", "single"):
        wide = {**params, "mast_shape": shape}
        low, high = bounds(pallet_truck.build(wide, NO_ASSETS))
        _, _, y0, y1 = pallet_truck.footprint(wide, NO_ASSETS)
        assert 0.49 < high[1] <= y1 + 0.01 and y0 - 0.01 <= low[1]
    narrow = {**params, "straddle": False}
    assert pallet_truck.footprint(narrow, NO_ASSETS)[3] < 0.49
