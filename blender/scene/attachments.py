"""Things in use: a load on a truck's forks, hands on its tiller, a driver, what people carry. No bpy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from blender.assets import Assets
from blender.config.run import Config
from blender.geometry.mesh import Floats
from blender.objects import carried, forklift, pallet, pallet_truck, pedestrian
from blender.sampling import chance, uniform
from blender.spec import ObjectSpec

OPERATED = ("hand", "weighing", "scissor", "walkie", "stacker")
"""Variants whose operator walks; a rider's would stand, and no baked pose does so with both hands raised."""
_UNDER_DECK = 0.100
"""Where forks meet the boards under a EUR pallet's deck, metres."""
_OPENING = (0.0725, 0.300)
"""From its middle, each of a EUR pallet's two openings: between the blocks, metres."""

_TWIST, _ASIDE = np.radians(35), 0.06
"""How far a pulling body turns to the hand behind, and how far from the grip's middle that holds, metres:
so that the handle clears the hips."""


CLOTH, SLEEVE = 0.045, 0.03
"""Metres by which clothes are outside the bare body at most: on the trunk, on arms and legs."""


def equip(
    thing: ObjectSpec,
    key: str,
    config: Config,
    rng: np.random.Generator,
    assets: Assets,
    labelled: bool = True,
) -> list[ObjectSpec]:
    """An object of the table ``key`` with what a scene's shares give it, all in its own frame.

    Args:
        labelled: may it bring a labelled object with it?
    """
    match thing.builder:
        case "pallet_truck":
            return _truck(thing, config.ranges[key], config, rng, assets)
        case "forklift" if labelled:
            return _driven(thing, config, rng, assets)
        case "pedestrian":
            return _in_hands(thing, config, rng, assets)
    return [thing]


# ------------------------------------------------------------------------------ pallet trucks


def _truck(
    truck: ObjectSpec, ranges: pallet_truck.Ranges, config: Config, rng: np.random.Generator, assets: Assets
) -> list[ObjectSpec]:
    """With a load, an operator."""
    group = [truck]
    params = dict(truck.params)
    loaded = chance(config.scene.loaded, rng)
    if loaded:
        params = for_a_pallet(params, ranges, rng)
        loaded = fits_a_pallet(params)
    if loaded:
        alone = replace(config.ranges["pallet"], tiers=(1, 1))  # nobody drives with one on another
        group.append(load(params, pallet.sample(alone, rng, assets)))
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


def for_a_pallet(
    params: dict[str, Any], ranges: pallet_truck.Ranges, rng: np.random.Generator
) -> dict[str, Any]:
    """The truck's parameters, its forks made to fit a EUR pallet where the ranges have such."""
    if fits_a_pallet(params):
        return params
    widths = (
        max(ranges.overall_width[0], 2 * (params["fork_width"] + _OPENING[0] + 0.006)),
        min(ranges.overall_width[1], 2 * (_OPENING[1] - 0.006)),
    )
    lengths = (max(ranges.fork_length[0], 1.01), ranges.fork_length[1])
    if widths[0] > widths[1] or lengths[0] > lengths[1]:
        return params
    return params | {"overall_width": uniform(widths, rng), "fork_length": uniform(lengths, rng)}


def load(params: dict[str, Any], pallet_params: dict[str, Any]) -> ObjectSpec:
    """A pallet against the forks' face: borne by the forks, or on the floor above lowered ones."""
    # A millimetre apart: in one plane, surfaces would flicker.
    height = max(0.0, pallet_truck.fork_height(params) - _UNDER_DECK + 0.001)
    x = pallet_truck.front(params) + 0.01 + pallet.LENGTH / 2
    return ObjectSpec("pallet", pallet_params, (round(x, 4), 0.0, round(height, 4)))


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
    return _person(pedestrian.AT_TILLER, config, rng, assets)


def _person(
    poses: tuple[str, ...], config: Config, rng: np.random.Generator, assets: Assets
) -> ObjectSpec | None:
    """Somebody in one of the poses, of the profile's first table of people; None if none was baked."""
    if not any(p["pose"] in poses for p in assets.people):
        return None
    for key, table in config.scene.objects.items():
        if table.builder == "pedestrian":
            ranges = replace(config.ranges[key], poses=poses)
            return ObjectSpec("pedestrian", pedestrian.sample(ranges, rng, assets), category=table.category)
    return None


# ------------------------------------------------------------------------------ forklifts, people


def _driven(truck: ObjectSpec, config: Config, rng: np.random.Generator, assets: Assets) -> list[ObjectSpec]:
    """A forklift, or with its driver in the seat."""
    if truck.params["variant"] != "counterbalance" or not chance(config.scene.driven, rng):
        return [truck]
    driver = _person(("sitting",), config, rng, assets)
    if driver is None:
        return [truck]
    back = pedestrian.region(driver.params, assets, "torso", "hips")[:, 0].min() - CLOTH
    below = pedestrian.region(driver.params, assets, "hips", "thigh")[:, 2].min() - SLEEVE
    x, y, z = forklift.SEAT
    at = (round(float(x - back), 4), y, round(float(z - below), 4))
    return [truck, replace(driver, position=at)]


def _in_hands(
    person: ObjectSpec, config: Config, rng: np.random.Generator, assets: Assets
) -> list[ObjectSpec]:
    """Who carries has a carton on hands and forearms; who scans, a terminal in the raised hand."""
    if person.params["pose"] not in ("carrying", "scanning"):
        return [person]
    params = carried.sample(config.ranges["carried"], rng, assets)
    palms = pedestrian.palms(person.params, assets)
    if person.params["pose"] == "scanning":
        params["thing"] = "terminal"
        x, y, _ = palms[palms[:, 2].argmax()] + [0.4 * carried.TERMINAL[0], 0.0, 0.0]
    else:
        trunk = pedestrian.region(person.params, assets, "torso", "hips")[:, 0].max() + CLOTH
        x, y = max(trunk + params["size"][0] / 2, palms[:, 0].mean()), palms[:, 1].mean()
    back, front, right, left = carried.footprint(params, assets)
    heights = []
    for part, outside in (("hand", 0.006), ("forearm", SLEEVE)):
        arms = pedestrian.region(person.params, assets, part) - [x, y, 0.0]
        below = (arms[:, 0] > back) & (arms[:, 0] < front) & (arms[:, 1] > right) & (arms[:, 1] < left)
        heights += (arms[below, 2] - carried.underside(params, arms[below, 0]) + outside).tolist()
    if not heights:
        return [person]
    at = (round(float(x), 4), round(float(y), 4), round(max(heights), 4))
    return [person, ObjectSpec("carried", params, at)]
