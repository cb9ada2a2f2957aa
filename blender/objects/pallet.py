"""EUR pallets (EN 13698-1: 1200 x 800 x 144 mm): empty, empty in a stack, loaded, or loaded in a stack.

Origin: on the floor below the pallet's middle; its long side lies along x.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np

from blender.assets import Assets
from blender.contract.limits import Ge, Gt, Ordered, Share, ShareRange, Weights
from blender.geometry.mesh import Material, Part, bounds, boxes, move
from blender.parts import loads
from blender.parts.soft import film
from blender.sampling import chance, draw_seed, integer, pick, uniform

LENGTH, WIDTH, HEIGHT = 1.2, 0.8, 0.144
LOWEST = 0.24
"""Minimum height of a load in a stack of loaded pallets, metres."""
_BOARD = 0.022
"""Thickness of a board, metres."""
WRAPPED = ("cartons", "goods", "mixed", "drinks", "crates")
"""Loads that may be wrapped in clear film."""
BEARING = ("crate", "crates", "drinks")
"""Loads that are flat and firm enough to carry another pallet."""
LEVEL_MARGIN = 0.35
"""Maximum excess of a load over its nominal height, metres: uneven tops, lids, cartons on top."""


PAINTED = 0.15
"""Share of pallets in the paint of rental companies, or of grey plastic."""
_PAINTS = ((0.02, 0.09, 0.35), (0.02, 0.09, 0.35), (0.3, 0.31, 0.32), (0.12, 0.12, 0.13), (0.4, 0.03, 0.03))
_WOOD = Material("wood", (0.42, 0.32, 0.21))
KINDS = ("none", "stack", *loads.LOADS)
"""Loads of a pallet: nothing, more empty pallets, or a key of ``loads.LOADS``."""


@dataclass(frozen=True)
class Ranges:
    """[scene.pallet], and ranges of [scene.objects.NAME] with builder = "pallet"."""

    load: Annotated[dict[str, float], Weights(KINDS)]
    """Weights of the loads; "stack" is a stack of empty pallets."""
    stack: Annotated[tuple[int, int], Ge(1), Ordered()] = (2, 15)
    """Number of empty pallets in a stack."""
    load_height: Annotated[tuple[float, float], Ge(0.05), Ordered()] = (0.3, 1.5)
    """Height of the load in metres, above the pallet."""
    tiers: Annotated[tuple[int, int], Ge(1), Ordered()] = (1, 1)
    """Number of loaded pallets in a stack, if the load can carry another pallet."""
    tallest: Annotated[float, Gt(0)] = 2.4
    """Maximum height of such a stack in metres."""
    wrapped: Share = 0.3
    """Share of loads of cartons and goods in clear stretch wrap."""
    wear: ShareRange = (0.2, 0.9)
    """0: new, 1: scratched and dirty."""

    def __post_init__(self) -> None:
        if self.tallest < self.tiers[1] * (HEIGHT + LOWEST):
            raise ValueError(f"tallest must be at least {HEIGHT + LOWEST:.3f} metres a tier")


def sample(ranges: Ranges, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Draw one pallet's parameters (JSON values)."""
    load = pick(ranges.load, rng)
    tiers = integer(ranges.tiers, rng) if load in BEARING else 1
    height = uniform(ranges.load_height, rng)
    return {
        "load": load,
        "stack": integer(ranges.stack, rng) if load == "stack" else 1,
        "tiers": tiers,
        "load_height": height if tiers == 1 else min(height, round(ranges.tallest / tiers - HEIGHT, 4)),
        "wrapped": load in WRAPPED and chance(ranges.wrapped, rng),
        "wear": uniform(ranges.wear, rng),
        "seed": draw_seed(rng),
    }


def footprint(params: dict[str, Any], assets: Assets) -> tuple[float, float, float, float]:
    """Return the extent on the floor: x from, x to, y from, y to, metres."""
    return (-LENGTH / 2, LENGTH / 2, -WIDTH / 2, WIDTH / 2)


def build(params: dict[str, Any], assets: Assets) -> list[Part]:
    """Build the pallet and its load. In a stack, each loaded pallet is turned by 180 degrees."""
    lowest, top = _loaded(params, np.random.default_rng(params["seed"]))
    parts = list(lowest)
    for tier in range(1, params["tiers"]):
        parts += move(lowest, (0.003, 0.005, tier * top), np.pi * tier + 0.006 * (-1) ** tier)
    return parts


def _loaded(params: dict[str, Any], rng: np.random.Generator) -> tuple[list[Part], float]:
    """Build a loaded pallet or a stack of empty pallets, and return the height of its top, metres."""
    parts: list[Part] = []
    for level in range(params["stack"]):
        # The lowest pallet has no offset, because forks have only millimetres of play in its openings.
        shift, turn = (rng.normal(0, 0.008, 2), rng.normal(0, 0.008)) if level else (np.zeros(2), 0.0)
        single = pallet(rng, params["wear"])
        parts.append(single.moved((shift[0], shift[1], level * HEIGHT), turn))
    if params["load"] in loads.LOADS:
        bearing = params["tiers"] > 1
        parts += loads.build(
            params["load"], rng, params["load_height"], params["wear"], HEIGHT, bearing=bearing
        )
    top = float(bounds(parts)[1][2])
    if params["wrapped"]:
        parts += move(film(rng, top - HEIGHT), (0, 0, HEIGHT))
    return parts, top


def height(params: dict[str, Any], assets: Assets) -> float:
    """Return an upper limit of the height of pallet and load, metres, without building the meshes."""
    nominal = max(params["stack"] * HEIGHT, params["tiers"] * (HEIGHT + params["load_height"]))
    return float(nominal + LEVEL_MARGIN)


def pallet(rng: np.random.Generator, wear: float) -> Part:
    """Build one EUR pallet: 5 top boards, 3 stringer boards, 9 blocks, 3 bottom boards."""
    centres: list[tuple[float, float, float]] = []
    sizes: list[tuple[float, float, float]] = []
    widths = (0.145, 0.10, 0.145, 0.10, 0.145)
    rows = np.array([-0.3275, -0.18, 0.0, 0.18, 0.3275])
    for y, w in zip(rows, widths, strict=True):
        centres.append((0, y, HEIGHT - _BOARD / 2))
        sizes.append((LENGTH, w, _BOARD))
    for x in (-0.5275, 0, 0.5275):
        centres.append((x, 0, HEIGHT - 1.5 * _BOARD))
        sizes.append((0.145, WIDTH, _BOARD))
        for y, w in zip((-0.35, 0, 0.35), (0.1, 0.145, 0.1), strict=True):
            centres.append((x, y, 0.061))
            sizes.append((0.145, w, 0.078))
    for y, w in zip((-0.35, 0, 0.35), (0.1, 0.145, 0.1), strict=True):
        centres.append((0, y, 0.011))
        sizes.append((LENGTH, w, _BOARD))
    tone = rng.uniform(0.55, 1.25) * np.array([1.0, 1.0 - 0.1 * rng.random(), 1.0 - 0.15 * rng.random()])
    if rng.random() < PAINTED:
        tone = np.array(_PAINTS[int(rng.integers(len(_PAINTS)))]) / np.array(_WOOD.colour)
    tint = tone * rng.uniform(0.8, 1.15, (len(centres), 1))
    return boxes(centres, sizes, replace(_WOOD, wear=round(wear, 2)), tint)
