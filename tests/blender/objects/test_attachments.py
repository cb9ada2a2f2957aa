"""Objects that kinds attach: loads, operators, drivers, held objects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from blender.assets import Assets
from blender.config.profile import Config
from blender.kinds import AttachmentContext, KindTable, ObjectGroup, find_kind
from blender.objects import pallet_truck
from blender.objects.pallet_truck.attachments import fit_forks_to_pallet, fits_pallet
from blender.spec import ObjectSpec


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
    assert load.builder == "pallet" and load.params["tiers"] == 1
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
    ("counterbalance", True, True), ("counterbalance", False, False), ("reach", True, False),
])  # fmt: skip
def test_only_counterbalance_trucks_get_a_driver_where_labels_are_allowed(
    variant: str, allowed: bool, driven: bool, context: AttachmentContext, default_config: Config
) -> None:
    context = replace(
        context,
        ranges=default_config.ranges["forklift"],
        shares=Shares(driven=1.0),
        allow_labelled=allowed,
    )
    group = attach("forklift", context, variant=variant)
    assert (len(group.objects) == 2) == group.in_use == driven


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
