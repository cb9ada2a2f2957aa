"""Rows of racks: style below low roofs, faces to park at, open bays, guards at their ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from blender.assets import Assets
from blender.config.profile import Config
from blender.objects import rack
from blender.parts.rack_steel import level_height
from blender.scene.camera import HEADROOM
from blender.scene.plan import Face, Plan
from blender.scene.racks import RACK_GAP, add_rack_end_guard, add_rack_row, draw_rack_style
from blender.scene.sampler import SceneSampler
from blender.spec import CameraSpec, ObjectSpec

CAMERA = CameraSpec((1.0, 0.0, 1.5), 0.0, 0.0, 0.0, 1.0)


@pytest.fixture
def sampler(default_config: Config, assets: Assets) -> SceneSampler:
    """Return a sampler whose racks have only open bays and whose rows have no guards."""
    racks = replace(default_config.ranges["rack"], open=1.0, low_beam=0.0, picking=0.0, ends={"none": 1.0})
    ranges = {**default_config.ranges, "rack": racks}
    return SceneSampler(replace(default_config, ranges=ranges), np.random.default_rng(0), assets)


def empty_plan() -> Plan:
    return Plan(ObjectSpec("hall", {"height": 6.0}), (0.0, 30.0, -8.0, 8.0), CAMERA, [])


def test_racks_stay_below_the_roof(sampler: SceneSampler) -> None:
    for roof in (3.0, 4.5, 9.0):
        for _ in range(20):
            style = draw_rack_style(sampler, roof)
            assert style["levels"] >= 1
            assert (
                level_height(style, style["levels"]) + style["top"] < roof - HEADROOM or style["levels"] == 1
            )
            assert style["top"] <= rack.TOP_LOAD


@pytest.mark.parametrize("front", [Face(0, 3.0, -1, (4.0, 28.0)), Face(1, 28.0, -1, (-7.0, 7.0))])
def test_rack_row_fills_its_span_and_gives_a_face_and_open_bays(front: Face, sampler: SceneSampler) -> None:
    plan = empty_plan()
    style = {**draw_rack_style(sampler, 9.0), "pitch": 1.5}
    add_rack_row(sampler, plan, style, front)
    assert len(plan.objects) >= 1 and all(item.builder == "rack" for item in plan.objects)
    (face,) = plan.faces
    assert face.is_rack and face.axis == front.axis and face.inward == front.inward
    assert front.span[0] == face.span[0] and face.span[1] <= front.span[1]
    assert face.position == front.position + front.inward * rack.OVERHANG
    bays = sum(item.params["bays"] for item in plan.objects)
    assert len(plan.bay_floors) == len(plan.open_bays) == bays
    assert all(bay.face.span[0] < bay.face.span[1] for bay in plan.open_bays)


def test_low_beams_make_no_bay_that_trucks_may_enter(sampler: SceneSampler) -> None:
    plan = empty_plan()
    style = {**draw_rack_style(sampler, 9.0), "pitch": 1.0, "rise": 0.0}
    add_rack_row(sampler, plan, style, Face(0, 3.0, -1, (4.0, 28.0)))
    assert plan.bay_floors and not plan.open_bays


def test_span_too_short_for_a_bay_adds_nothing(sampler: SceneSampler) -> None:
    plan = empty_plan()
    add_rack_row(sampler, plan, draw_rack_style(sampler, 9.0), Face(0, 3.0, -1, (4.0, 6.0)))
    assert not plan.objects and not plan.faces


@pytest.mark.parametrize(("variant", "count"), [("bollard", 2), ("rack_guard", 1), ("rail", 1)])
def test_rack_end_gets_a_guard_or_two_bollards(variant: str, count: int, sampler: SceneSampler) -> None:
    plan = empty_plan()
    ranges = replace(sampler.scene.crossing, guards={variant: 1.0})
    add_rack_end_guard(sampler, plan, ranges, (12.0, 3.0))
    assert [item.params["variant"] for item in plan.objects] == [variant] * count


@pytest.mark.parametrize("front", [Face(0, 3.0, -1, (4.0, 28.0)), Face(1, 28.0, -1, (-7.0, 7.0))])
def test_rows_get_equal_guards_at_both_ends_outside_the_racks(front: Face, sampler: SceneSampler) -> None:
    plan = empty_plan()
    add_rack_row(sampler, plan, {**draw_rack_style(sampler, 9.0), "ends": "double_rail"}, front)
    guards = [item for item in plan.objects if item.builder == "guard"]
    assert [item.params["variant"] for item in guards] == ["double_rail"] * 2
    assert guards[0].params == guards[1].params
    start, end = plan.faces[0].span
    along = [item.position[front.axis] for item in guards]
    assert along[0] < start and along[1] > end - RACK_GAP


def test_first_beam_rises_only_below_high_roofs(sampler: SceneSampler) -> None:
    racks = replace(sampler.config.ranges["rack"], high_first=1.0, levels=(1, 1), pitch=(1.9, 1.9))
    ranges = {**sampler.config.ranges, "rack": replace(racks, rise=(0.9, 0.9))}
    high = replace(sampler, config=replace(sampler.config, ranges=ranges))
    assert level_height(draw_rack_style(high, 9.0), 1) == pytest.approx(2.8)
    assert level_height(draw_rack_style(high, 3.0), 1) == pytest.approx(1.9)


def test_racks_of_a_row_stand_side_by_side(sampler: SceneSampler) -> None:
    """On a free floor a row has no gap but that between two racks, to less than a bay before its end."""
    for front in (Face(0, 3.0, -1, (4.0, 28.0)), Face(1, 28.0, -1, (-7.0, 7.0))):
        plan = empty_plan()
        add_rack_row(sampler, plan, draw_rack_style(sampler, 9.0), front)
        (run,) = (face.span for face in plan.faces)
        start, end = front.span
        assert run[0] == start and end - rack.BAY - 2 * rack.POST <= run[1] <= end
        assert sum(item.builder == "rack" for item in plan.objects) >= 2


def test_a_gap_in_a_row_of_racks_is_no_face_of_racks(sampler: SceneSampler) -> None:
    racks = replace(sampler.config.ranges["rack"], bays=(2, 2))
    short = replace(sampler, config=replace(sampler.config, ranges={**sampler.config.ranges, "rack": racks}))
    plan = empty_plan()
    plan.occupied.append(np.array([[14.0, 3.2], [14.4, 3.2], [14.4, 3.6], [14.0, 3.6]]))  # a column
    add_rack_row(short, plan, draw_rack_style(short, 9.0), Face(0, 3.0, -1, (4.0, 28.0)))
    (_, before), (after, _) = (face.span for face in plan.faces)
    assert before <= 14.0 and after >= 14.4
    middles = [item.position[0] for item in plan.objects if item.builder == "rack"]
    assert len(middles) >= 2 and all(x < before or x > after for x in middles)
