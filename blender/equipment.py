"""A pallet truck in use: a load on its forks, somebody's hands on its tiller. No bpy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from blender.config import Config
from blender.mesh import Floats
from blender.objects import Assets, pallet, pallet_truck, pedestrian
from blender.ranges import chance
from blender.scene import ObjectSpec

OPERATED = ("hand", "weighing", "scissor", "walkie", "stacker")
"""Variants whose operator walks; a rider's would stand, and no baked pose does so with both hands raised."""
_UNDER_DECK = 0.100
"""Where forks meet the boards under a EUR pallet's deck, metres."""
_OPENING = (0.0725, 0.300)
"""From its middle, each of a EUR pallet's two openings: between the blocks, metres."""

_TWIST, _ASIDE = np.radians(35), 0.06
"""How far a pulling body turns to the hand behind, and how far from the grip's middle that holds, metres:
so that the handle clears the hips."""


def equip(truck: ObjectSpec, config: Config, rng: np.random.Generator, assets: Assets) -> list[ObjectSpec]:
    """The truck with what a scene's shares give it: a load, an operator; in the truck's frame."""
    group = [truck]
    params = dict(truck.params)
    loaded = chance(config.scene.loaded, rng) and fits_a_pallet(params)
    if loaded:
        group.append(load(params, pallet.sample(config.ranges["pallet"], rng, assets)))
    operator = _operator(config, rng, assets) if chance(config.scene.operated, rng) else None
    if operator is not None and params["variant"] in OPERATED:
        params, operator = at_the_tiller(params, operator, assets)
        group.append(operator)
    group[0] = replace(truck, params={**params, "loaded": loaded})
    return group


def fits_a_pallet(params: dict[str, Any]) -> bool:
    """Do the forks go lengthwise into a EUR pallet's openings, and reach far enough to carry it?"""
    outer = params["overall_width"] / 2
    return bool(
        params["fork_length"] > 1.0
        and outer < _OPENING[1] - 0.005
        and outer - params["fork_width"] > _OPENING[0] + 0.005
    )


def load(params: dict[str, Any], carried: dict[str, Any]) -> ObjectSpec:
    """A pallet against the forks' face: borne by the forks, or on the floor above lowered ones."""
    # A millimetre apart: in one plane, surfaces would flicker.
    height = max(0.0, pallet_truck.fork_height(params) - _UNDER_DECK + 0.001)
    x = pallet_truck.front(params) + 0.01 + pallet.LENGTH / 2
    return ObjectSpec("pallet", carried, (round(x, 4), 0.0, round(height, 4)))


def at_the_tiller(
    params: dict[str, Any], operator: ObjectSpec, assets: Assets
) -> tuple[dict[str, Any], ObjectSpec]:
    """Lower the tiller to the operator's hands, and put these on its grip."""
    hands = holding(operator.params, assets)
    params = pallet_truck.hold(params, float(hands[2]))
    handle = pallet_truck.handle_point(params)
    yaw = 0.0  # pushing, one faces the truck
    if operator.params["pose"] == "pulling":  # and walks away with a hand behind, the body turned to it
        side = float(np.sign(hands[1]))
        yaw, handle = np.pi + side * _TWIST, handle + np.array([0.0, side * _ASIDE, 0.0])
    c, s = np.cos(yaw), np.sin(yaw)
    at = (handle[0] - c * hands[0] + s * hands[1], handle[1] - s * hands[0] - c * hands[1], 0.0)
    return params, replace(operator, position=(round(float(at[0]), 4), round(float(at[1]), 4), 0.0), yaw=yaw)


def holding(person: dict[str, Any], assets: Assets) -> Floats:
    """What an operator holds the tiller with, (3,) metres: both palms, or pulling the one behind."""
    palms = pedestrian.palms(person, assets)
    return palms[np.argmin(palms[:, 0])] if person["pose"] == "pulling" else palms.mean(0)


def _operator(config: Config, rng: np.random.Generator, assets: Assets) -> ObjectSpec | None:
    """Somebody whose baked pose can hold a tiller, if there is one."""
    if not any(p["pose"] in ("pushing", "pulling") for p in assets.people):
        return None
    for key, table in config.scene.objects.items():
        if table.builder == "pedestrian":
            ranges = replace(config.ranges[key], poses=("pushing", "pulling"))
            return ObjectSpec("pedestrian", pedestrian.sample(ranges, rng, assets), category=table.category)
    return None
