"""The materials of a truck, its stickers and its scratches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from blender.geometry.mesh import Colour, Floats, Material, Part, boxes
from blender.geometry.solids import decals

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
CAST: Colour = (0.045, 0.046, 0.05)
"""Dark grey of castings."""
TYRES: dict[str, Colour] = {
    "black": (0.022, 0.022, 0.022),
    "grey": (0.12, 0.12, 0.12),
    "nylon": (0.55, 0.53, 0.47),
    "amber": (0.35, 0.14, 0.03),
}
"""Colours of tyres: rubber, non-marking rubber, polyamide, polyurethane."""


@dataclass(frozen=True)
class Livery:
    """The materials of one truck."""

    frame: Material
    handle: Material
    cover: Material
    skirt: Material
    """Paint of a powered truck's lower part."""
    tyre: Material
    hub: Material
    dark: Material
    """Plastic of grips, skirts and mats."""
    cast: Material
    """Paint of pump, castings and bolts."""
    mast: Material
    """Paint of a stacker's mast."""
    steel: Material
    chrome: Material


def livery_of(params: dict[str, Any]) -> Livery:
    """Return the materials that a truck's parameters name."""
    wear = params["wear"]

    def painted(key: str) -> Material:
        r, g, b = (min(1.0, c * params["shade"]) for c in PAINTS[params[key]])
        return Material("paint", (r, g, b), wear)

    return Livery(
        frame=painted("paint"),
        handle=painted("handle_paint"),
        cover=painted("cover_paint"),
        skirt=painted("skirt_paint"),
        tyre=Material("plastic" if params["tyre"] == "nylon" else "rubber", TYRES[params["tyre"]], wear),
        hub=Material("paint", (0.32, 0.32, 0.31), wear),
        dark=Material("plastic", (0.022, 0.022, 0.024), wear),
        cast=Material("paint", CAST, wear),
        mast=painted("mast_paint") if "mast_paint" in params else Material("paint", CAST, wear),
        steel=Material("steel", (0.42, 0.41, 0.40), wear),
        chrome=Material("chrome", (0.75, 0.75, 0.75), 0.2),
    )


def stickers(params: dict[str, Any], faces: Sequence[Floats]) -> list[Part]:
    """Build labels on some of a truck's flat faces.

    Args:
        params: the truck's parameters: "stickers" is the number of labels.
        faces: corners of each flat face, (4, 3): u runs from the first to the second, v from the first to
            the fourth. Labels are upright along v.
    """
    rng = np.random.default_rng(params["seed"])
    chosen = rng.permutation(len(faces))[: params["stickers"]]
    names = sorted(LABELS)
    return [
        part for i in chosen for part in LABELS[names[int(rng.integers(len(names)))]](_panel(faces[i], rng))
    ]


def scuffs(params: dict[str, Any], faces: Sequence[Floats]) -> list[Part]:
    """Build dark and rusty patches on a truck's flat faces, (4, 3) each; a worn truck has more."""
    rng = np.random.default_rng([params["seed"], 2])
    parts = []
    for face in faces:
        count = int(rng.integers(0, 1 + round(5 * params["wear"])))
        if count:
            size = rng.uniform((0.04, 0.01), (0.3, 0.12), (count, 2))
            start = rng.random((count, 2)) * (1 - size)
            colour = _BARE[int(rng.integers(len(_BARE)))]
            patch = Material("paint", colour, params["wear"])
            parts.append(decals(face, np.hstack([start, start + size]), patch, 0.0004))
    return parts


_BARE: tuple[Colour, ...] = ((0.05, 0.045, 0.04), (0.14, 0.065, 0.03), (0.22, 0.21, 0.2))
"""Colours of grease, rust and bare steel below the paint."""


def _panel(face: Floats, rng: np.random.Generator) -> Floats:
    """Draw the corners of a label on a face, (4, 3): 1.6 times as wide as high; turned on a narrow face."""
    wide, high = (float(np.linalg.norm(face[i] - face[0])) for i in (1, 3))
    if high > 2.5 * wide:
        face, wide, high = np.roll(face, -1, 0), high, wide
    width = min(0.8 * wide, 1.4 * high, rng.uniform(0.08, 0.18))
    u, v = width / wide, width / 1.6 / high
    u0, v0 = rng.uniform(0.05, 0.95 - u), rng.uniform(0.05, 0.95 - v)
    return decals(face, [(u0, v0, u0 + u, v0 + v)], _ink((0, 0, 0))).vertices


def _ink(colour: Colour) -> Material:
    """Return the material of printed ink."""
    return Material("paper", colour, 0.2)


def _text(panel: Floats, lines: Sequence[tuple[float, float]], colour: Colour) -> Part:
    """Print words as bars of uneven length; a line is (v from, v to)."""
    words = [(0.08, 0.30), (0.34, 0.45), (0.49, 0.72), (0.76, 0.92)]
    return decals(panel, [(a, low, b, high) for low, high in lines for a, b in words], _ink(colour))


def _warning(panel: Floats) -> list[Part]:
    """Print a yellow triangle beside text on white."""
    triangle = [(0.05 + 0.03 * k, 0.15 + 0.14 * k, 0.41 - 0.03 * k, 0.29 + 0.14 * k) for k in range(5)]
    return [
        decals(panel, [(0, 0, 1, 1)], _ink((0.7, 0.7, 0.68)), 0.0),
        decals(panel, triangle, _ink((0.75, 0.45, 0.01))),
        decals(panel, [(0.5, v, 0.93, v + 0.09) for v in (0.15, 0.4, 0.65)], _ink((0.03, 0.03, 0.03))),
    ]


def _plate(panel: Floats) -> list[Part]:
    """Print a maker's plate: aluminium with rows of small text."""
    return [
        decals(panel, [(0, 0, 1, 1)], Material("galvanised", (0.6, 0.6, 0.6), 0.3), 0.0),
        _text(panel, [(v, v + 0.06) for v in (0.12, 0.3, 0.48, 0.7)], (0.05, 0.05, 0.06)),
    ]


def _capacity(panel: Floats) -> list[Part]:
    """Print the load limit in large figures."""
    figures = [(0.1, 0.2, 0.16, 0.8), (0.24, 0.2, 0.42, 0.8), (0.48, 0.2, 0.66, 0.8), (0.74, 0.2, 0.92, 0.6)]
    return [
        decals(panel, [(0, 0, 1, 1)], _ink((0.72, 0.72, 0.7)), 0.0),
        decals(panel, figures, _ink((0.02, 0.02, 0.02))),
    ]


def _name(panel: Floats) -> list[Part]:
    """Print a maker's name in black on a white strip."""
    return [
        decals(panel, [(0, 0.25, 1, 0.75)], _ink((0.7, 0.7, 0.7)), 0.0),
        _text(panel, [(0.36, 0.64)], (0.30, 0.02, 0.02)),
    ]


LABELS = {"warning": _warning, "plate": _plate, "capacity": _capacity, "name": _name}
"""Kind of label -> function that prints it on a panel (4, 3)."""


def scratches(params: dict[str, Any], low: Sequence[float], high: Sequence[float]) -> Part:
    """Build scratches along x on a level surface from ``low`` to ``high``; a worn truck has more."""
    rng = np.random.default_rng([params["seed"], 1])
    count = 2 + int(14 * params["wear"])
    size = np.column_stack(
        [rng.uniform(0.03, 0.3, count), rng.uniform(0.001, 0.009, count), np.full(count, 0.0008)]
    )
    a, b = np.asarray(low, float), np.asarray(high, float)
    span = np.maximum(b - a - size, 0)
    centres = a + size / 2 + rng.random((count, 3)) * span * [1, 1, 0]
    tint = rng.uniform(0.5, 1.1, (count, 1)) * np.ones(3)
    return boxes(centres, size, Material("paint", (0.20, 0.19, 0.18), params["wear"]), tint)
