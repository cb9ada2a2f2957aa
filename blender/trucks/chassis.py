"""What all pallet trucks share: forks with load rollers, the tiller, and small helpers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from blender.mesh import Colour, Floats, Material, Part, box, boxes, cylinder, prism, rounded_path, tube

HEEL = 0.14
"""Where the forks begin."""
LOWERED = 0.085
"""Height of the forks' top at their lowest."""

BLACK = Material("plastic", (0.02, 0.02, 0.02), 0.4)
RUBBER = Material("rubber", (0.025, 0.025, 0.025), 0.6)
STEEL = Material("steel", (0.42, 0.42, 0.42), 0.5)
DARK = Material("steel", (0.06, 0.06, 0.065), 0.6)
CHROME = Material("chrome", (0.75, 0.75, 0.75), 0.2)


def shaded(colour: Colour, shade: float) -> Colour:
    """A paint a little darker or lighter."""
    r, g, b = (min(1.0, c * shade) for c in colour)
    return (r, g, b)


def profile(points: Sequence[tuple[float, float]], low: float, high: float, material: Material) -> Part:
    """Extrude a convex outline in the side view, (x, z), from y = low to high."""
    return _extruded([(z, x) for x, z in points], low, high, 1, material)


def face(points: Sequence[tuple[float, float]], low: float, high: float, material: Material) -> Part:
    """Extrude a convex outline in the front view, (y, z), from x = low to high."""
    return _extruded(points, low, high, 0, material)


def _extruded(
    points: Sequence[tuple[float, float]], low: float, high: float, axis: int, material: Material
) -> Part:
    outline = np.asarray(points, float)
    a, b = outline, np.roll(outline, -1, 0)
    turning = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()
    return prism(outline if turning > 0 else outline[::-1], low, high, axis, material)


def fork_centres(params: dict[str, Any]) -> tuple[float, float]:
    """The y of the two forks."""
    offset = (params["overall_width"] - params["fork_width"]) / 2
    return (-offset, offset)


def fork_top(params: dict[str, Any]) -> float:
    """Height of the forks' upper face."""
    return LOWERED + float(params["lift"])


def forks(params: dict[str, Any], paint: Material, top: float) -> list[Part]:
    """Two inverted channels, their upper face at ``top``, with tapered tips."""
    parts: list[Part] = []
    half: float = params["fork_width"] / 2
    tip = HEEL + 0.02 + params["fork_length"]
    for y in fork_centres(params):
        parts.append(box((HEEL, y - half, top - 0.006), (tip - 0.12, y + half, top), paint))
        for side in (-1, 1):
            edge = y + side * (half - 0.003)
            parts.append(
                box((HEEL, edge - 0.003, top - 0.055), (tip - 0.12, edge + 0.003, top - 0.006), paint)
            )
        outline = [(tip - 0.12, -half), (tip - 0.02, -half * 0.55), (tip, -half * 0.25)]
        outline += [(x, -w) for x, w in reversed(outline)]
        parts.append(prism([(x, y + w) for x, w in outline], top - 0.04, top, 2, paint))
    return parts


def load_rollers(params: dict[str, Any], top: float) -> list[Part]:
    """The rollers under the fork tips; their arms go down as the forks go up."""
    parts: list[Part] = []
    roller = HEEL - 0.2 + params["fork_length"]
    nylon = Material("plastic", (0.02, 0.02, 0.02), 0.5)
    for y in fork_centres(params):
        parts.append(cylinder((roller, y - 0.04, 0.041), (roller, y + 0.04, 0.041), 0.041, nylon))
        for offset in (-0.048, 0.048):
            arm = [(roller, y + offset, 0.041), (roller - 0.18, y + offset, top - 0.03)]
            parts.append(tube(arm, 0.011, STEEL, 8))
        parts.append(tube([(HEEL, y, top - 0.035), (roller - 0.18, y, top - 0.035)], 0.012, STEEL, 8))
    return parts


def wheel(x: float, y: float, radius: float, width: float, turn: float = 0.0) -> list[Part]:
    """A wheel on the floor, its axle across y, turned about the vertical axis through the origin."""
    a, b = y - width / 2, y + width / 2
    hub = Material("steel", (0.45, 0.45, 0.45), 0.5)
    parts = [
        cylinder((x, a, radius), (x, b, radius), radius, RUBBER, 28),
        cylinder((x, a - 0.004, radius), (x, b + 0.004, radius), radius * 0.6, hub, 20),
    ]
    return [part.moved(yaw=turn) for part in parts]


def labels(params: dict[str, Any], places: Sequence[tuple[Floats, Floats]]) -> list[Part]:
    """Stickers: thin plates, given as (centre, size); the sticker's colour is drawn from the truck's seed."""
    rng = np.random.default_rng(params["label_seed"])
    colours = np.array([(0.75, 0.75, 0.72), (0.8, 0.55, 0.02), (0.02, 0.02, 0.02), (0.6, 0.05, 0.03)])
    kept = [place for place in places if rng.random() < 0.7]
    if not kept:
        return []
    tints = colours[rng.choice(4, len(kept), p=[0.45, 0.25, 0.2, 0.1])]
    paper = Material("plastic", (1.0, 1.0, 1.0), 0.3)
    return [boxes([c for c, _ in kept], [s for _, s in kept], paper, tints)]


# ------------------------------------------------------------------------------ tiller


def tiller_frame(params: dict[str, Any], pivot: tuple[float, float, float]) -> Callable[[Floats], Floats]:
    """Map from the tiller's own frame (z along it, y across) to the truck's."""
    lean, turn = params["tiller_angle"], params["tiller_turn"]
    c, s = np.cos(-lean), np.sin(-lean)
    leaning = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    c, s = np.cos(turn), np.sin(turn)
    turning = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    rotation = (turning @ leaning).T
    return lambda points: points @ rotation + np.array(pivot)


_LOOPS: dict[str, list[tuple[float, float]]] = {
    "triangle": [(0.02, -0.30), (0.15, -0.06), (0.13, 0.0)],
    "loop": [(0.02, -0.30), (0.11, -0.22), (0.17, 0.0)],
    "shield": [(0.05, -0.33), (0.17, -0.27), (0.19, 0.0)],
    "wide": [(0.03, -0.22), (0.16, -0.16), (0.20, -0.03)],
}
"""Right half of the handle's loop: (y, distance from the tiller's end), from below."""
HANDLES = tuple(_LOOPS)


def hand_tiller(
    params: dict[str, Any], paint: Material, pole: Material, pivot: tuple[float, float, float]
) -> list[Part]:
    """Pole, loop handle with its grip, and the lowering lever."""
    length, shape = params["tiller_length"], params["handle_shape"]
    right = [(y, length + z) for y, z in _LOOPS[shape]]
    corners = [(0.0, y, z) for y, z in [*right, *((-y, z) for y, z in reversed(right))]]
    loop, top = right[0][1], right[-1]
    grip = [(0.0, y, top[1]) for y in (-0.72 * top[0], 0.72 * top[0])]
    lever = [(0.012, 0.0, loop), (0.016, 0.0, length - 0.07), (0.016, 0.05, length - 0.05)]
    parts = [
        tube([(0, 0, -0.02), (0, 0, 0.16)], 0.032, paint, 12),
        tube([(0, 0, 0.10), (0, 0, loop + 0.02)], 0.02, pole, 12),
        tube(rounded_path(corners, 0.045, closed=True), 0.0135, pole, 10, closed=True),
        tube(grip, 0.0175, BLACK, 12),
        tube(lever, 0.007, BLACK, 8),
        box((-0.02, -0.035, loop - 0.02), (0.03, 0.035, loop + 0.07), BLACK),
    ]
    if shape == "shield":  # a plate fills the lower part of the loop
        plate = [(0.05, loop), (0.15, loop + 0.06), (0.155, loop + 0.13)]
        parts.append(face([*plate, *((-y, z) for y, z in reversed(plate))], -0.006, 0.006, pole))
    return _in_frame(parts, tiller_frame(params, pivot))


def power_tiller(params: dict[str, Any], paint: Material, pivot: tuple[float, float, float]) -> list[Part]:
    """A sturdy pole under a thick head with two handle loops, a belly button and thumb switches."""
    length = params["tiller_length"]
    neck = length - 0.16
    head = [(0.055, neck), (0.09, neck + 0.06), (0.09, length - 0.02), (0.05, length + 0.03)]
    parts = [
        box((-0.035, -0.05, -0.04), (0.035, 0.05, neck * 0.45), paint),
        box((-0.03, -0.035, neck * 0.4), (0.03, 0.035, neck + 0.04), BLACK),
        face([*head, *((-y, z) for y, z in reversed(head))], -0.045, 0.045, paint),
        box(
            (-0.075, -0.035, length - 0.05),
            (-0.045, 0.035, length + 0.02),
            Material("plastic", (0.6, 0.02, 0.02), 0.2),
        ),
    ]
    for side in (-1, 1):
        loop = [(0.09, neck + 0.02), (0.21, neck + 0.05), (0.21, length), (0.05, length + 0.015)]
        path = rounded_path([(0.0, side * y, z) for y, z in loop], 0.05)
        parts.append(tube(path, 0.017, BLACK, 10))
    return _in_frame(parts, tiller_frame(params, pivot))


def _in_frame(parts: list[Part], frame: Callable[[Floats], Floats]) -> list[Part]:
    return [Part(frame(p.vertices), p.faces, p.material, p.tint, p.smooth) for p in parts]
