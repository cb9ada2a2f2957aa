"""Draw the scene of one frame: ``sample_scene`` returns its description. No bpy.

The layout comes first: it draws a hall with the racks and pallets of one type of place. Then the profile's
objects are placed by rules: on the floor, in the hall, in the image, without collisions. Lamps, sensor and
stored goods follow.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from blender.assets import Assets
from blender.config.kind_classes import category_of_kind
from blender.config.profile import Config
from blender.imaging.sensor import sample_sensor
from blender.objects import hall
from blender.scene.checks import Placements, add_placements
from blender.scene.layouts import LAYOUTS
from blender.scene.lighting import sample_lamps
from blender.scene.motion import ClipTime, move_scene
from blender.scene.placement import place_object
from blender.scene.sampler import SceneSampler
from blender.scene.stores import add_stores
from blender.spec import ObjectSpec, SceneSpec


def sample_scene(
    config: Config,
    rng: np.random.Generator,
    assets: Assets,
    placements: Placements | None = None,
    time: ClipTime | None = None,
) -> SceneSpec:
    """Draw the scene of one frame.

    Args:
        config: one split of a profile.
        rng: the frame's generator. Equal generators give equal scenes.
        assets: the files that objects are built from.
        placements: the number of objects wanted and placed is added for each table of [scene.objects].
        time: the time in the clip; None: the frame is a scene of its own.
    """
    sampler, scene = SceneSampler(config, rng, assets), config.scene
    name = sampler.pick(scene.layouts)
    plan = LAYOUTS[name](sampler)
    negative = sampler.chance(scene.negatives)
    for key, table in scene.objects.items():
        absent = table.frames < 1 and not sampler.chance(table.frames)
        if not absent and not (negative and table.category):
            wanted = sampler.integer(table.count)
            placed = sum(place_object(sampler, plan, key, not negative) for _ in range(wanted))
            if placements is not None:
                add_placements(placements, {key: (wanted, placed)})
    lamps, temperature, ambient, environment = sample_lamps(
        scene.light, plan.room, plan.hall.params["height"], rng
    )
    sensor = sample_sensor(scene.sensor, rng)
    add_stores(sampler, plan)  # last, so that no other draw depends on stored goods
    if time is not None:
        move_scene(sampler, plan, time)
    lit_hall = replace(plan.hall, params=hall.with_lamps(plan.hall.params, lamps))
    names = config.kind_classes()
    objects = [_with_category_of_kind(item, names) for item in plan.objects]
    return SceneSpec(
        layout=name,
        objects=(lit_hall, *objects),
        camera=plan.camera,
        lamps=lamps,
        temperature=temperature,
        ambient=ambient,
        environment=environment,
        sensor=sensor,
    )


def _with_category_of_kind(item: ObjectSpec, names: tuple[str, ...]) -> ObjectSpec:
    """Return an object with the class that labels its kind, if there is one, as its category."""
    name = category_of_kind(item, names)
    return replace(item, category=name) if name else item
