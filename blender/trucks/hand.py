"""Hand pallet trucks: the plain one, one that weighs, and the high-lift scissor truck.

Figures of the common 2 to 2.5 t truck (EN 1757 class; makers' data sheets agree within centimetres): forks
1150 x 160 mm, 540 mm over both, 85 mm high lowered and 200 mm raised; steering wheels 200 x 50 mm; load
rollers 82 mm; handle about 1.2 m high when upright. High-lift trucks: forks up to 800 mm on scissor legs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from blender.mesh import Material, Part, box, cylinder, tube
from blender.trucks import chassis
from blender.trucks.chassis import CHROME, DARK, STEEL, face, fork_centres, fork_top, profile

PIVOT = (0.0, 0.0, 0.19)
"""Where the tiller turns, between the steering wheels."""


def build_hand(params: dict[str, Any], paint: Material, pole: Material, cover: Material) -> list[Part]:
    """The truck seen everywhere."""
    top = fork_top(params)
    return [
        *chassis.forks(params, paint, top),
        *chassis.load_rollers(params, top),
        *_apron(params, paint),
        *_pump(params, paint),
        *_steering(params),
        *chassis.hand_tiller(params, paint, pole, PIVOT),
        *chassis.labels(params, _label_places(params)),
    ]


def build_weighing(params: dict[str, Any], paint: Material, pole: Material, cover: Material) -> list[Part]:
    """A hand truck with a slanted console and a display behind the tiller."""
    lift = params["lift"]
    console = [
        (0.165, 0.16 + lift),
        (0.34, 0.16 + lift),
        (0.30, 0.52 + lift),
        (0.22, 0.80 + lift),
        (0.12, 0.80 + lift),
    ]
    screen = Material("plastic", (0.05, 0.07, 0.05), 0.1)
    return [
        *build_hand(params, paint, pole, cover),
        profile(console, -0.13, 0.13, paint),
        # The display leans towards whoever stands at the tiller.
        profile(
            [(0.05, 0.74 + lift), (0.20, 0.86 + lift), (0.24, 0.83 + lift), (0.12, 0.70 + lift)],
            -0.12,
            0.12,
            cover,
        ),
        profile(
            [(0.058, 0.752 + lift), (0.135, 0.814 + lift), (0.139, 0.810 + lift), (0.062, 0.748 + lift)],
            -0.09,
            0.09,
            screen,
        ),
    ]


def build_scissor(params: dict[str, Any], paint: Material, pole: Material, cover: Material) -> list[Part]:
    """A high-lift truck: the forks rise from a low frame on crossed legs."""
    top = fork_top(params)
    low = 0.075
    length = params["fork_length"]
    parts = [*chassis.forks(params, paint, top), *_pump({**params, "lift": 0.12}, paint), *_steering(params)]
    for y in fork_centres(params):
        parts.append(box((chassis.HEEL, y - 0.05, 0.03), (length, y + 0.05, low - 0.012), DARK))
        parts.append(cylinder((length - 0.04, y - 0.04, 0.04), (length - 0.04, y + 0.04, 0.04), 0.04, STEEL))
        for side, (start, end) in enumerate([(0.20, length - 0.12), (length - 0.12, 0.20)]):
            offset = -0.02 if side else 0.02
            leg = [(start, y + offset, low), (end, y + offset, top - 0.03)]
            parts.append(tube(leg, 0.019, paint, 8))
    middle = (0.20 + length - 0.12) / 2
    half = params["overall_width"] / 2 - 0.05
    parts.append(tube([(middle, -half, (low + top) / 2), (middle, half, (low + top) / 2)], 0.016, STEEL, 10))
    ram = [(0.16, 0.0, 0.10), (middle - 0.1, 0.0, (low + top) / 2)]
    parts.append(tube(ram, 0.028, CHROME, 10))
    parts += _apron({**params, "lift": 0.0}, paint)
    parts += chassis.hand_tiller(params, paint, pole, PIVOT)
    return [*parts, *chassis.labels(params, _label_places({**params, "lift": 0.0}))]


def _label_places(params: dict[str, Any]) -> list[tuple[np.ndarray, np.ndarray]]:
    lift = params["lift"]
    forks = [
        (np.array([0.55, y, fork_top(params) + 0.0008]), np.array([0.16, 0.07, 0.0016]))
        for y in fork_centres(params)
    ]
    plate = (np.array([0.1492, 0.0, 0.30 + lift]), np.array([0.0016, 0.10, 0.06]))
    return [*forks, plate]


def _apron(params: dict[str, Any], paint: Material) -> list[Part]:
    """The frame that joins the forks and rises, narrowing, to the pump's head."""
    lift, half = params["lift"], params["overall_width"] / 2
    low, high = 0.03 + lift, 0.40 + lift
    inner = 0.085
    shoulder = [(half, low), (half, low + 0.055), (inner, high)]
    parts = [face([*shoulder, *((-y, z) for y, z in reversed(shoulder))], 0.15, 0.165, paint)]
    for y in (-inner, inner - 0.012):  # cheeks beside the pump
        cheek = [(0.155, low + 0.06), (0.05, low + 0.06), (0.0, high), (0.155, high)]
        parts.append(profile(cheek, y, y + 0.012, paint))
    parts.append(box((-0.02, -inner, high - 0.02), (0.16, inner, high), paint))
    for y in fork_centres(params):  # gussets from the forks up to the frame
        w = params["fork_width"] / 2
        gusset = [(0.15, low), (0.30, low + 0.05), (0.15, low + 0.17)]
        parts.append(profile(gusset, y - w, y - w + 0.01, paint))
        parts.append(profile(gusset, y + w - 0.01, y + w, paint))
    return parts


def _pump(params: dict[str, Any], paint: Material) -> list[Part]:
    """Hydraulic block, chromed piston and the axle's yoke."""
    lift = params["lift"]
    cast = Material("steel", (0.12, 0.12, 0.13), 0.6)
    return [
        cylinder((0.0, 0.0, 0.09), (0.0, 0.0, 0.27), 0.048, paint),
        box((0.0, -0.05, 0.12), (0.10, 0.05, 0.24), paint),
        cylinder((0.0, 0.0, 0.27), (0.0, 0.0, 0.385 + lift), 0.019, CHROME),
        cylinder((0.06, 0.0, 0.15), (0.06, 0.0, 0.33), 0.022, cast),
    ]


def _steering(params: dict[str, Any]) -> list[Part]:
    """Two steering wheels side by side, turned with the tiller."""
    turn = params["tiller_turn"]
    axle = cylinder((0, -0.08, 0.1), (0, 0.08, 0.1), 0.015, STEEL, 10).moved(yaw=turn)
    return [axle, *chassis.wheel(0.0, -0.06, 0.1, 0.05, turn), *chassis.wheel(0.0, 0.06, 0.1, 0.05, turn)]
