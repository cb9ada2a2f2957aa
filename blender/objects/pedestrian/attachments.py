"""Attach objects to people's hands: a carton in the pose "carrying", a terminal in the pose "scanning"."""

from __future__ import annotations

from blender.kinds import AttachmentContext, ObjectGroup
from blender.objects import carried
from blender.objects.pedestrian.body import palms, region
from blender.spec import ObjectSpec

TRUNK_CLOTH, ARM_CLOTH, HAND_CLOTH = 0.045, 0.03, 0.006
"""Maximum distance of clothes from the bare body, metres: on the trunk, on arms and legs, on hands."""
TERMINAL_REACH = 0.4
"""Distance from a palm to the middle of the terminal that it holds, as a share of the terminal's length."""


def attach(person: ObjectSpec, context: AttachmentContext) -> ObjectGroup:
    """Put a carton on the hands and forearms, or a terminal into the raised hand, according to the pose."""
    pose, assets = person.params["pose"], context.assets
    if pose not in ("carrying", "scanning"):
        return ObjectGroup((person,))
    params = carried.sample(context.common_ranges["carried"], context.rng, assets)
    hands = palms(person.params, assets)
    if pose == "scanning":
        params["thing"] = "terminal"
        x, y, _ = hands[hands[:, 2].argmax()] + [TERMINAL_REACH * carried.TERMINAL[0], 0.0, 0.0]
    else:
        trunk = region(person.params, assets, "torso", "hips")[:, 0].max() + TRUNK_CLOTH
        x, y = max(trunk + params["size"][0] / 2, hands[:, 0].mean()), hands[:, 1].mean()
    back, front, right, left = carried.footprint(params, assets)
    heights = []  # heights of the object at which its underside clears a vertex of hands or forearms
    for part, cloth in (("hand", HAND_CLOTH), ("forearm", ARM_CLOTH)):
        arms = region(person.params, assets, part) - [x, y, 0.0]
        below = (arms[:, 0] > back) & (arms[:, 0] < front) & (arms[:, 1] > right) & (arms[:, 1] < left)
        heights += (arms[below, 2] - carried.underside(params, arms[below, 0]) + cloth).tolist()
    if not heights:
        return ObjectGroup((person,))
    position = (round(float(x), 4), round(float(y), 4), round(max(heights), 4))
    return ObjectGroup((person, ObjectSpec("carried", params, position)))
