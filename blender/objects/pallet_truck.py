"""Hand pallet truck (French: transpalette), parametric from real dimensions.

Origin: on the floor, below the steering axle, which lies across y. The forks reach to +x, the
tiller stands at the origin and is lowered towards -x. Figures of the common 2 to 2.5 t truck
(EN 1757 class; makers' data sheets agree within centimetres): forks 1150 x 160 mm, 540 mm
over both, 85 mm high lowered and 200 mm raised; steering wheels 200 x 50 mm; load
rollers 82 mm; handle about 1.2 m high when upright.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from blender.mesh import Colour, Material, Part, box, cylinder, prism, rounded_path, tube
from blender.objects import Assets
from blender.ranges import pick, uniform

PAINTS: dict[str, Colour] = {
    "red": (0.55, 0.03, 0.02),
    "orange": (0.75, 0.16, 0.02),
    "yellow": (0.80, 0.42, 0.02),
    "green": (0.08, 0.25, 0.06),
    "lime": (0.42, 0.55, 0.08),
    "blue": (0.03, 0.10, 0.42),
    "blue_grey": (0.12, 0.17, 0.22),
    "grey": (0.30, 0.31, 0.32),
    "white": (0.60, 0.60, 0.58),
    "black": (0.02, 0.02, 0.02),
}
PIVOT = (0.0, 0.0, 0.19)
"""Where the tiller turns, between the steering wheels."""


@dataclass(frozen=True)
class Ranges:
    """What varies from truck to truck; lengths in metres, angles in degrees."""

    paint: dict[str, float]
    """Weight of each paint of the frame."""
    handle_paint: dict[str, float]
    """Weight of each paint of the handle; "same" repeats the frame's."""
    fork_length: tuple[float, float] = (0.90, 1.22)
    fork_width: tuple[float, float] = (0.15, 0.17)
    overall_width: tuple[float, float] = (0.52, 0.69)
    lift: tuple[float, float] = (0.0, 0.115)
    """How far the forks are raised above their lowest position."""
    handle_height: tuple[float, float] = (1.14, 1.27)
    """Top of the upright handle."""
    tiller_rest: tuple[float, float] = (-4.0, 12.0)
    """Lean of a resting tiller from upright, away from the forks."""
    tiller_turn: tuple[float, float] = (-60.0, 60.0)
    """Steering angle about the vertical axis."""
    wear: tuple[float, float] = (0.1, 0.9)


def sample(ranges: Ranges, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Draw one truck's parameters (JSON values)."""
    paint = pick(ranges.paint, rng)
    handle = pick(ranges.handle_paint, rng)
    return {
        "variant": "hand",
        "paint": paint,
        "handle_paint": paint if handle == "same" else handle,
        "shade": uniform((0.75, 1.15), rng),
        "fork_length": uniform(ranges.fork_length, rng),
        "fork_width": uniform(ranges.fork_width, rng),
        "overall_width": uniform(ranges.overall_width, rng),
        "lift": uniform(ranges.lift, rng),
        "tiller_length": uniform(ranges.handle_height, rng) - PIVOT[2],
        "tiller_angle": np.radians(uniform(ranges.tiller_rest, rng)).item(),
        "tiller_turn": np.radians(uniform(ranges.tiller_turn, rng) * rng.random() ** 2).item(),
        "handle_shape": str(rng.choice(["triangle", "loop", "shield"])),
        "wear": uniform(ranges.wear, rng),
    }


def handle_point(params: dict[str, Any]) -> np.ndarray:
    """Middle of the handle's grip, (3,) metres in the truck's own frame."""
    return _tiller_frame(params)(np.array([[0.0, 0.0, params["tiller_length"] - 0.03]]))[0]


def footprint(params: dict[str, Any], assets: Assets) -> tuple[float, float, float, float]:
    """Extent on the floor: x from, x to, y from, y to, in metres in the truck's own frame."""
    half = params["overall_width"] / 2
    reach = max(0.14, params["tiller_length"] * np.sin(params["tiller_angle"]) + 0.08)
    return (-float(reach), 0.16 + params["fork_length"], -half, half)


def build(params: dict[str, Any], assets: Assets) -> list[Part]:
    """The truck's meshes."""
    shade = params["shade"]
    frame = Material("paint", _shaded(PAINTS[params["paint"]], shade), params["wear"])
    handle = Material("paint", _shaded(PAINTS[params["handle_paint"]], shade), params["wear"])
    return [
        *_forks(params, frame),
        *_apron(params, frame),
        *_pump(params, frame),
        *_wheels(params),
        *_tiller(params, handle),
    ]


def _shaded(colour: Colour, shade: float) -> Colour:
    r, g, b = (min(1.0, c * shade) for c in colour)
    return (r, g, b)


def _fork_centres(params: dict[str, Any]) -> tuple[float, float]:
    offset = (params["overall_width"] - params["fork_width"]) / 2
    return (-offset, offset)


def _forks(params: dict[str, Any], paint: Material) -> list[Part]:
    """Two inverted channels: top plate, two flanges, a tapered tip, a load roller."""
    parts: list[Part] = []
    top = 0.085 + params["lift"]
    half: float = params["fork_width"] / 2
    heel, tip = 0.14, 0.16 + params["fork_length"]
    rubber, steel = Material("plastic", (0.02, 0.02, 0.02), 0.5), Material("steel", (0.4, 0.4, 0.4), 0.5)
    for y in _fork_centres(params):
        parts.append(box((heel, y - half, top - 0.006), (tip - 0.12, y + half, top), paint))
        for side in (-1, 1):
            edge = y + side * (half - 0.003)
            parts.append(
                box((heel, edge - 0.003, top - 0.055), (tip - 0.12, edge + 0.003, top - 0.006), paint)
            )
        outline = [(tip - 0.12, -half), (tip - 0.02, -half * 0.55), (tip, -half * 0.25)]
        outline += [(x, -w) for x, w in reversed(outline)]
        parts.append(prism([(x, y + w) for x, w in outline], top - 0.04, top, 2, paint))
        roller = tip - 0.22
        parts.append(cylinder((roller, y - 0.04, 0.041), (roller, y + 0.04, 0.041), 0.041, rubber))
        # The load wheel's arm goes down as the fork goes up.
        for offset in (-0.048, 0.048):
            arm = [(roller, y + offset, 0.041), (roller - 0.18, y + offset, top - 0.03)]
            parts.append(tube(arm, 0.011, steel, 8))
        parts.append(tube([(heel, y, top - 0.035), (roller - 0.18, y, top - 0.035)], 0.012, steel, 8))
    return parts


def _apron(params: dict[str, Any], paint: Material) -> list[Part]:
    """The frame that joins the forks and rises, narrowing, to the pump's head."""
    lift, half = params["lift"], params["overall_width"] / 2
    low, high = 0.03 + lift, 0.40 + lift
    inner = 0.085
    front = [
        (-half, low),
        (half, low),
        (half, low + 0.055),
        (inner, high),
        (-inner, high),
        (-half, low + 0.055),
    ]
    parts = [prism(front, 0.15, 0.165, 0, paint)]
    for y in (-inner, inner - 0.012):  # cheeks beside the pump
        cheek = [(low + 0.06, 0.155), (low + 0.06, 0.05), (high, 0.0), (high, 0.155)]
        parts.append(prism([(z, x) for z, x in cheek][::-1], y, y + 0.012, 1, paint))
    parts.append(box((-0.02, -inner, high - 0.02), (0.16, inner, high), paint))
    for y in _fork_centres(params):  # gussets from the forks up to the frame
        w = params["fork_width"] / 2
        gusset = [(low, 0.15), (low + 0.05, 0.30), (low + 0.17, 0.15)]
        parts.append(prism(gusset[::-1], y - w, y - w + 0.01, 1, paint))
        parts.append(prism(gusset[::-1], y + w - 0.01, y + w, 1, paint))
    return parts


def _pump(params: dict[str, Any], paint: Material) -> list[Part]:
    """Hydraulic block, chromed piston and the axle's yoke."""
    lift = params["lift"]
    chrome, cast = Material("chrome", (0.75, 0.75, 0.75), 0.2), Material("steel", (0.12, 0.12, 0.13), 0.6)
    return [
        cylinder((0.0, 0.0, 0.09), (0.0, 0.0, 0.27), 0.048, paint),
        box((0.0, -0.05, 0.12), (0.10, 0.05, 0.24), paint),
        cylinder((0.0, 0.0, 0.27), (0.0, 0.0, 0.385 + lift), 0.019, chrome),
        cylinder((0.06, 0.0, 0.15), (0.06, 0.0, 0.33), 0.022, cast),
    ]


def _wheels(params: dict[str, Any]) -> list[Part]:
    """Two steering wheels side by side, turned with the tiller."""
    tyre, hub = Material("rubber", (0.025, 0.025, 0.025), 0.6), Material("steel", (0.45, 0.45, 0.45), 0.5)
    parts = []
    for side in (-1, 1):
        a, b = side * 0.035, side * 0.085
        parts.append(cylinder((0, a, 0.1), (0, b, 0.1), 0.1, tyre, 28))
        parts.append(cylinder((0, b - side * 0.004, 0.1), (0, b + side * 0.003, 0.1), 0.06, hub, 20))
    parts.append(cylinder((0, -0.08, 0.1), (0, 0.08, 0.1), 0.015, hub, 10))
    return [part.moved(yaw=params["tiller_turn"]) for part in parts]


def _tiller_frame(params: dict[str, Any]) -> Any:
    """Map from the tiller's own frame (z along it, y across) to the truck's."""
    lean, turn = params["tiller_angle"], params["tiller_turn"]
    c, s = np.cos(-lean), np.sin(-lean)
    leaning = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    c, s = np.cos(turn), np.sin(turn)
    turning = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return lambda points: points @ (turning @ leaning).T + np.array(PIVOT)


def _tiller(params: dict[str, Any], paint: Material) -> list[Part]:
    """Pole, loop handle and lowering lever."""
    length = params["tiller_length"]
    black = Material("plastic", (0.02, 0.02, 0.02), 0.4)
    loop = length - 0.30
    shapes = {
        "triangle": [
            (0.02, loop),
            (0.15, length - 0.06),
            (0.13, length),
            (-0.13, length),
            (-0.15, length - 0.06),
            (-0.02, loop),
        ],
        "loop": [
            (0.02, loop),
            (0.11, loop + 0.08),
            (0.17, length),
            (-0.17, length),
            (-0.11, loop + 0.08),
            (-0.02, loop),
        ],
        "shield": [
            (0.05, loop - 0.03),
            (0.17, loop + 0.03),
            (0.19, length),
            (-0.19, length),
            (-0.17, loop + 0.03),
            (-0.05, loop - 0.03),
        ],
    }
    corners = [(0.0, y, z) for y, z in shapes[params["handle_shape"]]]
    grip = [(0.0, y * 0.72, length) for y in (-0.14, 0.14)]
    parts = [
        tube([(0, 0, -0.02), (0, 0, 0.16)], 0.032, paint, 12),
        tube([(0, 0, 0.10), (0, 0, loop + 0.02)], 0.02, paint, 12),
        tube(rounded_path(corners, 0.045, closed=True), 0.0135, paint, 10, closed=True),
        tube(grip, 0.0175, black, 12),
        tube(
            [(0.012, 0.0, loop), (0.016, 0.0, length - 0.07), (0.016, 0.05, length - 0.05)], 0.007, black, 8
        ),
        box((-0.02, -0.035, loop - 0.02), (0.03, 0.035, loop + 0.07), black),
    ]
    if params["handle_shape"] == "shield":  # a plate fills the lower part of the loop
        plate = [
            (-0.05, loop - 0.03),
            (0.05, loop - 0.03),
            (0.15, loop + 0.03),
            (0.155, loop + 0.10),
            (-0.155, loop + 0.10),
            (-0.15, loop + 0.03),
        ]
        parts.append(prism(plate, -0.006, 0.006, 0, paint))
    frame = _tiller_frame(params)
    return [Part(frame(p.vertices), p.faces, p.material, p.tint, p.smooth) for p in parts]
