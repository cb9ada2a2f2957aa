"""Attach objects to a machine: its driver, and what its forks carry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from blender.kinds import AttachmentContext, ObjectGroup
from blender.objects import cage, pallet, pedestrian
from blender.objects.forklift import counterbalance, order_picker, reach_truck, tow_tractor
from blender.objects.forklift.fittings import FORK_FACE, FORK_TOP
from blender.objects.pedestrian.attachments import ARM_CLOTH, TRUNK_CLOTH
from blender.sampling import chance
from blender.spec import ObjectSpec, Params

STATIONS = {
    "counterbalance": counterbalance.station,
    "reach_truck": reach_truck.station,
    "order_picker": order_picker.station,
    "tow": tow_tractor.station,
}
"""Variant -> function that returns where its driver sits or stands."""
LOAD_GAP = 0.02
"""Gap between the forks' shanks and a load, metres."""
LENGTHS = {"pallet": pallet.LENGTH, "mesh_box": 1.32, "roll_cage": 0.74}
"""What the forks carry -> its length along them, metres."""
UNDERSIDES = {"pallet": 0.100, "mesh_box": 0.100, "roll_cage": 0.138}
"""What the forks carry -> height of the underside at which they lift it, metres."""
SOLE = 0.015
"""Thickness of shoe soles below the bare feet, metres."""
ROLL_CAGES = 0.35
"""Share of loaded order pickers with roll containers."""
MESH_BOXES = 0.25
"""Share of mesh boxes among the other loads; the rest are pallets."""


def attach(truck: ObjectSpec, context: AttachmentContext) -> ObjectGroup:
    """Draw a load, with the share ``loaded`` of its ranges, and a driver, with ``driven`` of [scene]."""
    rng = context.rng
    loads = _loads(truck.params, context) if chance(context.ranges.loaded, rng) else []
    driver = None
    if context.allow_labelled and chance(context.shares.driven, rng):
        driver = _driver(truck.params, context)
    truck = replace(truck, params={**truck.params, "loaded": bool(loads)})
    if driver is None:
        return ObjectGroup((truck, *loads))
    return ObjectGroup((truck, *loads, driver), in_use=True)


def _driver(params: Params, context: AttachmentContext) -> ObjectSpec | None:
    """Draw a person with the back at the machine's backrest; None if no body has the pose."""
    station = STATIONS[params["variant"]](params)
    driver = pedestrian.sample_in_pose((station.pose,), context)
    if driver is None:
        return None
    body, assets = driver.params, context.assets
    back = float(pedestrian.region(body, assets, "torso", "hips")[:, 0].min()) - TRUNK_CLOTH
    if station.pose == "sitting":
        below = float(pedestrian.region(body, assets, "hips", "thigh")[:, 2].min()) - ARM_CLOTH
    else:
        below = float(pedestrian.region(body, assets, "foot")[:, 2].min()) - SOLE
    x, y = station.back
    position = (
        round(x - float(np.cos(station.yaw)) * back, 4),
        round(y - float(np.sin(station.yaw)) * back, 4),
        round(station.height - below, 4),
    )
    return replace(driver, position=position, yaw=round(station.yaw, 4))


def _loads(params: Params, context: AttachmentContext) -> list[ObjectSpec]:
    """Draw pallets or roll containers on the forks; a tow tractor carries none."""
    variant, rng = params["variant"], context.rng
    if variant == "tow":
        return []
    if variant == "order_picker":
        top, room = order_picker.fork_top(params), order_picker.fork_length(params)
        name = "roll_cage" if chance(ROLL_CAGES, rng) else _single(rng)
        length = LENGTHS[name]
        faces = [(length + LOAD_GAP) * k for k in range(max(1, round(room / length)))]
        return [_load(name, 0.04 + face, top, context) for face in faces]
    shape = reach_truck.shape_of(params) if variant == "reach_truck" else None
    face = (counterbalance.MAST if shape is None else shape.reach) + FORK_FACE
    return [_load(_single(rng), face, params["lift"] + FORK_TOP, context)]


def _single(rng: np.random.Generator) -> str:
    return "mesh_box" if chance(MESH_BOXES, rng) else "pallet"


def _load(name: str, face: float, top: float, context: AttachmentContext) -> ObjectSpec:
    """Draw a single load.

    Args:
        name: a key of ``LENGTHS``.
        face: x of the load's rear, metres.
        top: height of the top of the forks, metres.
        context: ranges, assets and the generator.
    """
    params: dict[str, Any]
    if name == "pallet":
        single = replace(context.common_ranges["pallet"], tiers=(1, 1))
        params = pallet.sample(single, context.rng, context.assets)
    else:
        params = cage.sample_single(name, context.rng, context.assets)
    x, z = face + LOAD_GAP + LENGTHS[name] / 2, max(0.0, top - UNDERSIDES[name] + 0.001)
    return ObjectSpec("pallet" if name == "pallet" else "cage", params, (round(x, 4), 0.0, round(z, 4)))
