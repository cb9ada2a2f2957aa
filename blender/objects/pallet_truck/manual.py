"""Hand trucks: wheels, pump and frame of the plain, the weighing and the scissor truck.

The figures come from manufacturers' data sheets of 2 to 2.5 t hand trucks (EN ISO 3691-5): steering wheels
200 x 50 mm, 170 mm over both; load rollers of 82 mm or two of 74 mm; forks 85 to 200 mm high; scissor trucks
of 1 t, 85 to 800 mm; scale heads about 0.25 m wide.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from blender.geometry.mesh import Floats, Material, Part, boxes, move, tube
from blender.geometry.solids import bevelled, decals, level, loft, rectangle, rod, slab, turned
from blender.objects.pallet_truck.chassis import CHASSIS, TOP
from blender.objects.pallet_truck.forks import base_frame, centres, forks, rollers
from blender.objects.pallet_truck.livery import Livery
from blender.objects.pallet_truck.tiller import hand_tiller

HEAD = 0.405
"""Height of the underside of the frame's head while the forks are lowered, metres."""


def hand(params: dict[str, Any], livery: Livery) -> tuple[list[Part], list[Floats]]:
    """Build the plain hand truck; also return its flat faces for labels."""
    tiller, back = hand_tiller(params, livery)
    frame, faces = _frame(params, livery, params["lift"])
    steered = [*_pump(livery, HEAD + params["lift"]), *wheels(livery)]
    parts = [
        *forks(params, livery, CHASSIS["hand"].front - 0.05), *rollers(params, livery), *frame,
        *move(steered, yaw=params["tiller_turn"]), *tiller,
    ]  # fmt: skip
    return parts, [*faces, back]


def weighing(params: dict[str, Any], livery: Livery) -> tuple[list[Part], list[Floats]]:
    """Build a hand truck with a scale: a box on a neck above the frame's head, with a display."""
    parts, faces = hand(params, livery)
    z = HEAD + params["lift"] + 0.04
    neck = [(0.02, 0.11, -0.05, 0.05, 0.0), (0.05, 0.15, -0.075, 0.075, 0.14)]
    parts.append(loft([_ring(*n[:4], z + n[4], 0.008) for n in neck], livery.frame))
    outline = np.array(
        [(z + 0.12, 0.04), (z + 0.12, 0.17), (z + 0.30, 0.19), (z + 0.31, 0.12), (z + 0.20, 0.0)]
    )
    parts.append(bevelled(outline, -0.125, 0.125, 1, livery.cover, 0.008))
    face = np.array(
        [(0.0, 0.115, z + 0.20), (0.0, -0.115, z + 0.20), (0.12, -0.115, z + 0.31), (0.12, 0.115, z + 0.31)]
    )
    parts += [
        decals(face, [(0.06, 0.08, 0.94, 0.92)], Material("plastic", (0.33, 0.34, 0.34), 0.1)),
        decals(face, [(0.14, 0.48, 0.86, 0.82)], Material("plastic", (0.10, 0.14, 0.08), 0.0), 0.0014),
        decals(face, [(0.3, 0.56, 0.36, 0.74), (0.42, 0.56, 0.56, 0.74), (0.62, 0.56, 0.76, 0.74)],
               Material("paper", (0.01, 0.015, 0.01), 0.0), 0.002),
        decals(face, [(u, 0.16, u + 0.1, 0.36) for u in (0.14, 0.3, 0.46, 0.62, 0.76)],
               Material("plastic", (0.03, 0.08, 0.2), 0.1), 0.0014),
    ]  # fmt: skip
    return parts, faces


def scissor(params: dict[str, Any], livery: Livery) -> tuple[list[Part], list[Floats]]:
    """Build a scissor truck: two rams raise the forks on crossed legs, and the frame stays on the floor."""
    tiller, back = hand_tiller(params, livery)
    front, half, top = CHASSIS["scissor"].front, params["overall_width"] / 2, TOP + params["lift"]
    frame, faces = _frame(params, livery, -0.005)
    heel = [
        slab((front - 0.045, -half, top - 0.055), (front - 0.005, half, top - 0.003), livery.frame),
        *[slab((front - 0.012, y - 0.05, top - 0.01), (front, y + 0.05, top + 0.09), livery.frame, 0.003)
          for y in centres(params)],
    ]  # fmt: skip
    rams = []
    for y in (-0.05, 0.05):
        foot, eye = np.array([0.17, y, 0.13]), np.array([front - 0.03, y, top - 0.03])
        middle = foot + (eye - foot) * min(1.0, 0.36 / float(np.linalg.norm(eye - foot)))
        rams += [rod(foot, middle, 0.024, livery.cast), rod(foot, eye, 0.015, livery.chrome)]
    steered = [*_pump(livery, HEAD - 0.005), *wheels(livery)]
    parts = [
        *forks(params, livery, front - 0.05), *base_frame(params, livery), *heel, *rams, *frame,
        *move(steered, yaw=params["tiller_turn"]), *tiller,
    ]  # fmt: skip
    return parts, [*faces, back]


def _ring(x0: float, x1: float, y0: float, y1: float, z: float, cut: float) -> Floats:
    """Return a rectangle with cut corners at height z, (8, 3)."""
    return level(rectangle((x0, y0), (x1, y1), cut), z)


def _frame(params: dict[str, Any], livery: Livery, lift: float) -> tuple[list[Part], list[Floats]]:
    """Build the two sloping legs from the head above the pump to the forks; also return their flat faces."""
    top, high, half = TOP + lift, HEAD + lift, params["overall_width"] / 2
    front = CHASSIS[params["variant"]].front
    legs = [_leg(params, livery, top, high, side) for side in (-1, 1)]
    inner, end = half - params["fork_width"] + 0.02, half - 0.01
    parts = [
        slab((-0.052, -0.102, high - 0.012), (0.082, 0.102, high + 0.018), livery.frame, 0.009),
        rod((0, 0, high), (0, 0, high + 0.034), 0.027, livery.cast, 16),
        slab((front - 0.085, -end, top - 0.055), (front - 0.045, end, top - 0.004), livery.frame),
        *[leg for leg, _ in legs],
    ]
    if params["apron"] == "closed":
        x, z = front - 0.06, top - 0.02
        near = np.array([(x, -inner, z), (x, inner, z), (0.03, 0.03, high), (0.03, -0.03, high)])
        parts.append(loft(np.array([near, near + np.array([0.008, 0, 0])]), livery.frame))
    return parts, [face for _, faces in legs for face in faces]


def _leg(
    params: dict[str, Any], livery: Livery, top: float, high: float, side: int
) -> tuple[Part, list[Floats]]:
    """Build one leg; also return its face towards the forks and its outer face, (4, 3) each."""
    front, half = CHASSIS[params["variant"]].front, params["overall_width"] / 2
    y0, y1 = sorted((side * (half - params["fork_width"]), side * half))
    a0, a1 = sorted((side * 0.012, side * 0.098))
    x, z = front - 0.02, top + 0.014
    rings = [
        _ring(-0.036, 0.074, a0, a1, high, 0.006),
        _ring(x - 0.108, x, y0 + 0.003, y1 - 0.003, z, 0.006),
        _ring(front - 0.118, front + 0.004, y0 + 0.001, y1 - 0.001, top - 0.004, 0.006),
        _ring(front - 0.098, front + 0.012, y0 + 0.001, y1 - 0.001, top - 0.05, 0.006),
    ]
    inside = [(x, y0 + 0.01, z), (x, y1 - 0.01, z), (0.074, a1 - 0.006, high), (0.074, a0 + 0.006, high)]
    foot, head = np.array([x - 0.054, side * half, z]), np.array([0.02, side * 0.098, high])
    return loft(np.array(rings), livery.frame), [np.array(inside), _flank(foot, head, side)]


def _flank(foot: Floats, head: Floats, side: int) -> Floats:
    """Return a rectangle on a leg's outer face, along the slope between the middles of its ends, (4, 3)."""
    along = (head - foot) / np.linalg.norm(head - foot)
    across = np.array([-side, 0.0, 0.0])
    across -= along * (across @ along)
    low, high = foot + 0.15 * (head - foot), foot + 0.88 * (head - foot)
    return np.array([low - 0.04 * across, low + 0.04 * across, high + 0.04 * across, high - 0.04 * across])


def _pump(livery: Livery, high: float) -> list[Part]:
    """Build reservoir, pump, valve block, the tiller's yoke and the chromed ram up to ``high`` metres."""
    return [
        turned([(0, 0.036), (0.008, 0.044), (0.19, 0.044), (0.2, 0.034), (0.215, 0.034), (0.22, 0.028)],
               (0.008, 0, 0.088), (0, 0, 1), livery.cast),
        rod((0.008, 0, 0.28), (0.008, 0, high), 0.017, livery.chrome),
        slab((-0.075, -0.036, 0.118), (0.0, 0.036, 0.205), livery.cast, 0.006),
        rod((-0.062, 0.0, 0.2), (-0.062, 0.0, 0.262), 0.017, livery.chrome),
        slab((-0.1, -0.055, 0.16), (-0.035, -0.041, 0.262), livery.cast),
        slab((-0.1, 0.041, 0.16), (-0.035, 0.055, 0.262), livery.cast),
        rod((-0.078, -0.062, 0.235), (-0.078, 0.062, 0.235), 0.011, livery.steel, 12),
        rod((-0.02, 0.036, 0.17), (-0.02, 0.052, 0.17), 0.011, livery.steel, 10),
        tube([(-0.05, -0.03, 0.15), (-0.085, -0.07, 0.15), (-0.13, -0.075, 0.165)], 0.006, livery.cast, 8),
        slab((-0.145, -0.095, 0.16), (-0.125, -0.055, 0.172), livery.dark, 0.003),
    ]  # fmt: skip


_TYRE = (
    (0, 0.088),
    (0.003, 0.096),
    (0.009, 0.1),
    (0.041, 0.1),
    (0.047, 0.096),
    (0.050, 0.088),
    (0.050, 0.072),
)
_HUB = ((0, 0.070), (0.050, 0.072), (0.053, 0.068), (0.053, 0.062), (0.046, 0.058))
_CAP = ((0.046, 0.024), (0.058, 0.024), (0.061, 0.018))
"""Profiles of a steering wheel: pairs of the distance from its inner side and the radius, metres."""


def wheels(livery: Livery) -> list[Part]:
    """Build two steering wheels on one axle, each with tyre, hub with holes and cap."""
    parts = [rod((0, -0.05, 0.1), (0, 0.05, 0.1), 0.018, livery.steel, 12)]
    angle = np.linspace(0, 2 * np.pi, 5, endpoint=False)
    for side in (-1, 1):
        inner, out = (0, side * 0.034, 0.1), (0, side, 0)
        holes = np.stack([0.041 * np.cos(angle), np.full(5, side * 0.0808), 0.1 + 0.041 * np.sin(angle)], 1)
        parts += [
            turned(_TYRE, inner, out, livery.tyre, 32),
            turned(_HUB, inner, out, livery.hub, 28),
            turned(_CAP, inner, out, livery.cast, 16),
            boxes(holes, (0.015, 0.001, 0.018), livery.cast),
        ]
    return parts
