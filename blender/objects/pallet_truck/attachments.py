"""Attach objects to a pallet truck: a pallet on its forks, an operator whose hands hold its tiller."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from blender.assets import Assets
from blender.geometry.mesh import Floats
from blender.kinds import AttachmentContext, ObjectGroup
from blender.objects import cage, pallet, pedestrian
from blender.objects.pallet_truck.chassis import fork_height, front, grip, hold
from blender.sampling import chance, uniform
from blender.spec import ObjectSpec, Params

WALKED_BEHIND = ("hand", "weighing", "scissor", "walkie", "stacker")
"""Variants whose operator walks. No posed body fits a rider, whose operator stands with both hands raised."""

PALLET_DECK = 0.100
"""Height of the underside of a EUR pallet's deck, metres, at which the forks carry the pallet."""
PALLET_OPENING = (0.0725, 0.300)
"""Inner and outer edge of a EUR pallet's two openings, measured from the pallet's middle, metres."""
OPENING_MARGIN = 0.005
"""Minimum distance between a fork and the blocks beside an opening, metres."""
FITTING_MARGIN = 0.006
"""That distance for forks that are changed to fit: a millimetre more, as a reserve for rounding."""
SHORTEST_FORK = 1.0
"""Minimum length of forks that carry a pallet lengthwise, metres."""
MESH_BOXES = 0.2
"""Share of loaded trucks that carry a mesh box; its floor is as high as a pallet's deck."""
MESH_BOX_MARGIN = 0.06
"""Half of a mesh box's length beyond a pallet's, metres."""
LOAD_GAP = 0.01
"""Gap between the forks' face and the pallet, metres."""
SURFACE_GAP = 0.001
"""Gap between fork and deck, metres. Surfaces in the same plane would give random pixels."""

PULLING_TURN = np.radians(35)
"""Angle by which a pulling operator's body is turned to the rear hand, radians, so that the handle clears the
hips."""
PULLING_OFFSET = 0.06
"""Distance of that hand from the middle of the grip, metres."""


def attach(truck: ObjectSpec, context: AttachmentContext) -> ObjectGroup:
    """Draw a truck's load and operator; its forks and its tiller are changed to fit them."""
    params, rng = dict(truck.params), context.rng
    objects: list[ObjectSpec] = []
    loaded = chance(context.shares.loaded, rng)
    if loaded:
        ranges = context.ranges
        params = fit_forks_to_pallet(params, ranges.overall_width, ranges.fork_length, rng)
        loaded = fits_pallet(params)
    if loaded:
        single = replace(context.common_ranges["pallet"], tiers=(1, 1))  # trucks carry no stacked loads
        load = place_load(params, pallet.sample(single, rng, context.assets))
        if chance(MESH_BOXES, rng):
            x, y, z = load.position
            box = cage.sample_single("mesh_box", rng, context.assets)
            load = ObjectSpec("cage", box, (round(x + MESH_BOX_MARGIN, 4), y, z))
        objects.append(load)
    operator, pulled = None, False
    if chance(context.shares.operated, rng):
        operator = pedestrian.sample_in_pose(pedestrian.AT_TILLER, context)
    operated = operator is not None and params["variant"] in WALKED_BEHIND
    if operator is not None and operated:
        pulled = operator.params["pose"] == "pulling"
        params, operator = place_operator(params, operator, context.assets)
        objects.append(operator)
    truck = replace(truck, params={**params, "loaded": loaded})
    return ObjectGroup((truck, *objects), in_use=operated, backwards=pulled)


def fits_pallet(params: Params) -> bool:
    """Return whether the forks go lengthwise into a EUR pallet's openings and are long enough to carry it."""
    outer = params["overall_width"] / 2
    return bool(
        params["fork_length"] > SHORTEST_FORK
        and outer < PALLET_OPENING[1] - OPENING_MARGIN
        and outer - params["fork_width"] > PALLET_OPENING[0] + OPENING_MARGIN
    )


def fit_forks_to_pallet(
    params: Params, widths: tuple[float, float], lengths: tuple[float, float], rng: np.random.Generator
) -> Params:
    """Draw forks that fit a EUR pallet, unless the truck's forks already fit.

    Args:
        params: the truck's parameters.
        widths: the profile's range of the width over both forks, metres.
        lengths: the profile's range of the forks' length, metres.

    Returns:
        The changed parameters. They are unchanged if the forks fit already, or if no forks of
        the ranges fit.
    """
    if fits_pallet(params):
        return params
    widths = (
        max(widths[0], 2 * (params["fork_width"] + PALLET_OPENING[0] + FITTING_MARGIN)),
        min(widths[1], 2 * (PALLET_OPENING[1] - FITTING_MARGIN)),
    )
    lengths = (max(lengths[0], SHORTEST_FORK + 0.01), lengths[1])
    if widths[0] > widths[1] or lengths[0] > lengths[1]:
        return params
    return params | {"overall_width": uniform(widths, rng), "fork_length": uniform(lengths, rng)}


def place_load(params: Params, pallet_params: Params) -> ObjectSpec:
    """Put a pallet against the forks' face: on raised forks, or on the floor above lowered forks."""
    height = max(0.0, fork_height(params) - PALLET_DECK + SURFACE_GAP)
    x = front(params) + LOAD_GAP + pallet.LENGTH / 2
    return ObjectSpec("pallet", pallet_params, (round(x, 4), 0.0, round(height, 4)))


def place_operator(params: Params, operator: ObjectSpec, assets: Assets) -> tuple[Params, ObjectSpec]:
    """Lower the tiller to the height of the operator's hands and move the operator so that they hold it.

    Returns:
        The truck's changed parameters, and the operator in the truck's frame.
    """
    hands = holding_point(operator.params, assets)
    params = hold(params, float(hands[2]))
    handle = grip(params)
    yaw = 0.0  # pushing: the operator faces the truck
    if operator.params["pose"] == "pulling":  # the operator walks away from the truck, one hand behind
        side = float(np.sign(hands[1]))
        yaw, handle = np.pi + side * PULLING_TURN, handle + np.array([0.0, side * PULLING_OFFSET, 0.0])
    c, s = np.cos(yaw), np.sin(yaw)
    at = (handle[0] - c * hands[0] + s * hands[1], handle[1] - s * hands[0] - c * hands[1], 0.0)
    return params, replace(operator, position=(round(float(at[0]), 4), round(float(at[1]), 4), 0.0), yaw=yaw)


def holding_point(person: Params, assets: Assets) -> Floats:
    """Return the point at which a person holds the tiller, (3,) metres in the person's frame.

    It is the middle of both palms; in the pose "pulling" it is the rear palm.
    """
    palms = pedestrian.palms(person, assets)
    return palms[np.argmin(palms[:, 0])] if person["pose"] == "pulling" else palms.mean(0)
