"""What the machines share: coats of paint, seats, overhead guards, masts with forks, names on panels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from blender.geometry.mesh import Colour, Floats, Material, Part, box, boxes, cylinder, prism, tube
from blender.geometry.solids import inset, level, loft, rounded
from blender.parts.fittings import YELLOW, ZINC

PAINTS: dict[str, Colour] = {
    "red": (0.45, 0.02, 0.015),
    "orange": (0.75, 0.16, 0.02),
    "yellow": (0.8, 0.45, 0.02),
    "green": (0.05, 0.22, 0.10),
    "grey": (0.25, 0.26, 0.27),
    "blue": (0.03, 0.12, 0.40),
    "white": (0.60, 0.60, 0.58),
}
TRIMS: dict[str, Colour] = {
    "dark": (0.03, 0.03, 0.032),
    "grey": (0.16, 0.165, 0.17),
    "light": (0.36, 0.36, 0.35),
}
"""Colours of the second paint: chassis, doors, lower edges."""
DARK = Material("plastic", (0.02, 0.02, 0.022), 0.5)
STEEL = Material("steel", (0.07, 0.07, 0.075), 0.7)
RED_LAMP = Material("plastic", (0.4, 0.01, 0.01), 0.1)
WHITE_LAMP = Material("paint", (0.7, 0.7, 0.68), 0.1)


@dataclass(frozen=True)
class Coat:
    """The materials of one machine."""

    body: Material
    trim: Material
    """Second paint: chassis, doors, lower edges."""
    guard: Material
    """Posts and roof of the overhead guard."""
    lettering: Material


@dataclass(frozen=True)
class Station:
    """Where a person operates a machine."""

    pose: str
    """"sitting" or "standing"."""
    back: tuple[float, float]
    """(x, y) of the backrest's face, metres."""
    height: float
    """Height of the cushion or of the floor that the person stands on, metres."""
    yaw: float = 0.0
    """Direction in which the person faces, radians."""


def coat_of(params: dict[str, Any], rng: np.random.Generator) -> Coat:
    """Return the materials of a machine; draws the guard's and the lettering's from ``rng``."""
    wear = params["wear"]
    shade = rng.uniform(0.7, 1.1)

    def faded(colour: Colour) -> Colour:
        r, g, b = (min(1.0, c * shade) for c in colour)
        return (r, g, b)

    body = Material("paint", faded(PAINTS[params["paint"]]), wear)
    second = TRIMS.get(params["trim"])
    trim = body if second is None else Material("paint", faded(second), wear)
    dark = Material("paint", (0.022, 0.022, 0.024), wear)
    guard = (dark, dark, trim, body)[int(rng.integers(4))]
    inks = ((0.75, 0.75, 0.73), (0.02, 0.02, 0.02), (0.4, 0.02, 0.02))
    return Coat(body, trim, guard, Material("paper", inks[int(rng.integers(len(inks)))], 0.2))


def side(outline: Sequence[tuple[float, float]], half: float, material: Material, y: float = 0.0) -> Part:
    """Extrude a convex side view, (x, z) clockwise seen from -y, to y - half .. y + half."""
    return prism([(z, x) for x, z in outline], y - half, y + half, 1, material)


def shell(
    plan: Sequence[tuple[float, float]] | Floats,
    rings: Sequence[tuple[float, float]],
    material: Material,
    radius: float = 0.08,
) -> Part:
    """Build a moulded cover with rounded edges.

    Args:
        plan: convex counter-clockwise outline from above, (x, y) metres.
        rings: pairs of inset and height from the lowest to the highest, metres.
        material: material of the cover.
        radius: distance from each corner of the plan at which its rounding starts, metres.
    """
    outline = rounded(plan, radius, 2)
    return loft(np.array([level(inset(outline, d), z) for d, z in rings]), material, smooth=True)


def seat(x: float, y: float, z: float, yaw: float = 0.0) -> list[Part]:
    """Build a cushion, a backrest and an armrest on a base at height z; the driver faces ``yaw``."""
    back = [(0.1, -0.3), (0.65, -0.4), (0.65, -0.3), (0.1, -0.16)]
    parts = [
        box((-0.25, -0.24, 0.0), (0.25, 0.24, 0.12), DARK),
        prism(back, -0.23, 0.23, 1, DARK),
        box((-0.2, -0.3, 0.22), (0.15, -0.25, 0.27), DARK),
    ]
    return [part.moved((x, y, z), yaw) for part in parts]


SEAT_FRONT = -0.1
"""x of the face against which the driver's back rests, from the middle of a seat, metres."""
CUSHION = 0.12
"""Height of a seat's cushion, metres."""


def fork(x: float, y: float, lift: float, length: float = 1.15) -> list[Part]:
    """Build an L-shaped fork: an upright shank and a blade that tapers to its tip."""
    blade = [(x, lift - 0.02), (x, lift + 0.022), (x + length, lift + 0.022), (x + length, lift + 0.01)]
    return [
        box((x, y - 0.05, lift - 0.02), (x + 0.04, y + 0.05, lift + 0.55), STEEL),
        prism([(z, a) for a, z in blade], y - 0.05, y + 0.05, 1, STEEL),
    ]


FORK_FACE = 0.18
"""x of the forks' shanks from the mast's, metres; a load stands against them."""
FORK_TOP = 0.022
"""Height of the forks' top above ``lift``, metres."""


def mast(x: float, high: float, lift: float, wide: float = 0.72, backrest: bool = True) -> list[Part]:
    """Build a mast: rails, crossbars, lift cylinders, chains, a carriage, a load backrest, two forks.

    Args:
        x: position of the outer rails, metres.
        high: height of the lowered mast, metres.
        lift: height of the forks, metres.
        wide: width over the outer rails, metres.
        backrest: whether the carriage has a load backrest.
    """
    rise = max(0.0, lift - 0.9)  # the inner rails follow the forks only after the free lift
    half = wide / 2
    outer = [(x, y, high / 2 + 0.06) for y in (-half, half)]
    inner = [(x + 0.02, y, high / 2 + 0.07 + rise) for y in (0.07 - half, half - 0.07)]
    bars = [(x - 0.05, 0, z) for z in (0.25, high * 0.6, high)] + [(x - 0.02, 0, high + 0.02 + rise)]
    rods = [(x - 0.07, y) for y in (0.09 - half, half - 0.09)]
    chains = [(x + 0.07, y, (lift + 0.3 + high) / 2) for y in (-0.08, 0.08)]
    carriage = [(x + 0.11, 0, lift + 0.08), (x + 0.11, 0, lift + 0.45)]
    parts = [
        boxes(outer, (0.15, 0.07, high), STEEL),
        boxes(inner, (0.12, 0.06, high), STEEL),
        boxes(bars, (0.05, wide, 0.09), STEEL),
        *[cylinder((a, y, 0.2), (a, y, high * 0.95), 0.03, STEEL, 8) for a, y in rods],
        boxes(chains, (0.012, 0.035, max(0.1, high - lift - 0.3)), ZINC),
        boxes(carriage, (0.05, 0.9, 0.12), STEEL),
        *[part for y in (-0.2, 0.2) for part in fork(x + 0.14, y, lift)],
    ]
    if backrest:
        cage = [(x + 0.12, y, lift + 0.75) for y in np.linspace(-0.42, 0.42, 8)]
        parts += [
            boxes(cage, (0.02, 0.025, 0.6), STEEL),
            boxes([(x + 0.12, 0, lift + 1.05)], (0.02, 0.88, 0.03), STEEL),
        ]
    return parts


def guard(
    back: tuple[float, float],
    front: tuple[float, float],
    half: float,
    heights: tuple[float, float],
    material: Material,
    along: bool = True,
    thick: float = 0.035,
) -> list[Part]:
    """Build an overhead guard: four leaning posts and a slatted roof.

    Args:
        back: x of the rear posts' feet and tops, metres.
        front: x of the front posts' feet and tops, metres.
        half: half of the width over the posts, metres.
        heights: height of the feet and of the roof, metres.
        material: paint of posts and roof.
        along: whether the slats run along x; the others run across.
        thick: radius of the posts, metres.
    """
    low, high = heights
    knee = low + 0.55 * (high - low)
    posts = [
        tube(
            [
                (foot, s * half, low),
                (foot + (top - foot) * 0.35, s * half, knee),
                (top, s * (half - 0.05), high),
            ],
            thick,
            material,
            6,
        )
        for foot, top in (back, front)
        for s in (-1, 1)
    ]
    a, b = back[1], front[1]
    middle = (a + b) / 2
    if along:
        slats = [(middle, y, high + 0.02) for y in np.linspace(0.1 - half, half - 0.1, 6)]
        size = (b - a, 0.035, 0.04)
    else:
        slats = [(x, 0.0, high + 0.02) for x in np.linspace(a + 0.08, b - 0.08, 7)]
        size = (0.03, 2 * half - 0.1, 0.045)
    return [
        *posts,
        boxes(slats, size, material),
        boxes([(x, 0, high) for x in (a, b)], (0.08, 2 * half, 0.07), material),
        boxes([(middle, s * (half - 0.03), high) for s in (-1, 1)], (b - a + 0.1, 0.07, 0.07), material),
    ]


def beacon(x: float, y: float, z: float) -> Part:
    """Build a yellow warning lamp that stands at height z."""
    return cylinder((x, y, z), (x, y, z + 0.11), 0.05, Material("plastic", YELLOW, 0.1), 10)


def name(
    centre: Sequence[float],
    width: float,
    axis: int,
    facing: int,
    ink: Material,
    panel: Material | None = None,
) -> list[Part]:
    """Build a maker's name: six letters of uneven width, on a panel or on the bare paint.

    Args:
        centre: (3,) metres, on the surface.
        width: width of the name, metres.
        axis: the axis that the surface faces: 0 or 1.
        facing: +1 or -1 along that axis.
        ink: material of the letters.
        panel: material of a plate behind the letters; None: no plate.
    """
    across = 1 - axis
    letters = np.array([0.10, 0.16, 0.05, 0.14, 0.12, 0.15]) * width
    starts = np.cumsum(letters + 0.045 * width) - letters - width / 2
    at = np.tile(np.asarray(centre, float), (len(letters), 1))
    at[:, across] += starts + letters / 2
    size = np.empty((len(letters), 3))
    size[:, axis], size[:, across], size[:, 2] = 0.006, letters, 0.2 * width
    parts = [boxes(at + 0.003 * facing * np.eye(3)[axis], size, ink)]
    if panel is not None:
        extent = np.full(3, 0.006)
        extent[across], extent[2] = 1.15 * width, 0.36 * width
        parts.append(boxes([np.asarray(centre, float)], extent, panel))
    return parts
