"""Pallet racks: uprights, beams, boarded levels, and the loaded pallets on them.

Origin: on the floor, in the middle of the front; bays run along x, the depth goes to +y. Dimensions of common
makes: bays 2.7 m wide for three EUR pallets, frames 1.1 m deep, uprights about 0.1 m wide.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any

import numpy as np

from blender.assets import Assets
from blender.contract.limits import Ge, Ordered, Share, ShareRange, Weights
from blender.geometry.mesh import Colour, Material, Part, boxes, move, plates, repeat, tube
from blender.objects import pallet
from blender.parts.fittings import YELLOW
from blender.sampling import chance, draw_seed, integer, pick, uniform

STEELS: dict[str, Colour] = {
    "blue": (0.03, 0.09, 0.30),
    "orange": (0.70, 0.13, 0.02),
    "black": (0.02, 0.02, 0.022),
    "yellow": (0.75, 0.42, 0.02),
    "galvanised": (0.42, 0.43, 0.44),
    "green": (0.03, 0.16, 0.10),
    "red": (0.5, 0.05, 0.02),
}
DEPTH, BAY, POST = 1.1, 2.7, 0.1
"""Depth of a rack, width of a bay, width of an upright, metres."""
LOAD_VARIANTS = 2
"""Number of different meshes for loads of equal type, height and wear, which limits the memory."""
OVERHANG = 0.07
"""Overhang of the loads at the front and the back, metres."""
TOP_LOAD = 1.3
"""Maximum height of a load on the top level, including its pallet, metres."""
UPRIGHT_ABOVE = 0.6
"""Height of the uprights above the top level, metres."""
BAY_INSET, BAY_REAR_INSET = 0.1, 0.15
"""Distance of an open bay's free floor from the uprights and from the rack's rear, metres."""


def _load_weights() -> dict[str, float]:
    return {
        "cartons": 4.0, "mixed": 5.0, "goods": 2.0, "crate": 4.0, "bundle": 3.0, "drinks": 1.0, "crates": 2.0,
        "sacks": 0.5, "stack": 1.0, "none": 1.0,
    }  # fmt: skip


@dataclass(frozen=True)
class Ranges:
    """[scene.rack]: the ranges of pallet racks."""

    uprights: Annotated[dict[str, float], Weights(STEELS)]
    """Weights of the colours of the uprights."""
    beams: Annotated[dict[str, float], Weights(STEELS)]
    """Weights of the colours of the beams."""
    bays: Annotated[tuple[int, int], Ge(1), Ordered()] = (2, 5)
    """Number of bays, each 2.7 metres wide."""
    levels: Annotated[tuple[int, int], Ge(1), Ordered()] = (2, 4)
    """Number of beam levels above the floor."""
    pitch: Annotated[tuple[float, float], Ge(0.5), Ordered()] = (1.1, 1.9)
    """Distance between levels in metres."""
    fill: ShareRange = (0.3, 1.0)
    """Share of filled pallet places on the beams."""
    floor_fill: ShareRange = (0.0, 1.0)
    """Share of filled pallet places on the floor."""
    open: Share = 0.25
    """Share of open bays, which have nothing on the floor: forks may reach in below the lowest beam."""
    decks: Share = 0.35
    """Share of racks whose levels are boarded."""
    load: Annotated[dict[str, float], Weights(pallet.KINDS)] = field(default_factory=_load_weights)
    """Weights of the loads on the pallets."""
    wrapped: Share = 0.2
    """Share of loads of cartons and goods in clear stretch wrap."""


def sample(ranges: Ranges, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Draw one rack's parameters (JSON values)."""
    return {
        "uprights": pick(ranges.uprights, rng),
        "beams": pick(ranges.beams, rng),
        "bays": integer(ranges.bays, rng),
        "levels": integer(ranges.levels, rng),
        "pitch": uniform(ranges.pitch, rng),
        "top": TOP_LOAD,
        "fill": uniform(ranges.fill, rng),
        "floor_fill": uniform(ranges.floor_fill, rng),
        "open": [bool(is_open) for is_open in rng.random(ranges.bays[1]) < ranges.open],
        "decks": chance(ranges.decks, rng),
        "load": dict(ranges.load),
        "wrapped": ranges.wrapped,
        "seed": draw_seed(rng),
    }


def footprint(params: dict[str, Any], assets: Assets) -> tuple[float, float, float, float]:
    """Return the extent on the floor: x from, x to, y from, y to, metres."""
    half = params["bays"] * BAY / 2 + POST
    return (-half, half, -OVERHANG, DEPTH + OVERHANG)


def open_bays(params: dict[str, Any]) -> list[tuple[float, float, float, float]]:
    """Return the free floor of the open bays: x from, x to, y from, y to, metres."""
    starts = [_bay_start(params, bay) for bay in range(params["bays"]) if params["open"][bay]]
    rear = DEPTH - BAY_REAR_INSET
    return [(x + BAY_INSET, x + BAY - BAY_INSET, -OVERHANG, rear) for x in starts]


def solids(params: dict[str, Any]) -> list[tuple[float, float, float, float]]:
    """Return the footprint without its open bays, as rectangles (x from, x to, y from, y to), metres."""
    x0, x1, y0, y1 = footprint(params, _NO_ASSETS)
    parts = [(x0, x1, DEPTH - BAY_REAR_INSET, y1)] if any(params["open"][: params["bays"]]) else []
    for low, high, _, _ in open_bays(params):
        parts.append((x0, low, y0, y1))
        x0 = high
    return [*parts, (x0, x1, y0, y1)]


def build(params: dict[str, Any], assets: Assets) -> list[Part]:
    """Build the rack and its loads."""
    rng = np.random.default_rng(params["seed"])
    parts = [*_frames(params), *_holes(params), *_beams(params, rng)]
    if params["decks"]:
        parts.append(_decks(params, rng))
    for bay in range(params["bays"]):
        for level in range(params["levels"] + 1):
            parts += _places(params, rng, bay, level)
    return parts


def _bay_start(params: dict[str, Any], bay: int) -> float:
    """Return the x where a bay starts, metres."""
    return float((bay - params["bays"] / 2) * BAY)


def _frames(params: dict[str, Any]) -> list[Part]:
    """Build the uprights and the zigzag braces between them."""
    steel = Material("paint", STEELS[params["uprights"]], 0.5)
    zinc = Material("galvanised", (0.4, 0.4, 0.42), 0.4)
    height = params["levels"] * params["pitch"] + UPRIGHT_ABOVE
    x = np.array([_bay_start(params, bay) for bay in range(params["bays"] + 1)])
    feet = np.stack(np.meshgrid(x, (POST / 2, DEPTH - POST / 2), (0.0,), indexing="ij"), -1).reshape(-1, 3)
    near, far, braces = 0.06, DEPTH - 0.06, []
    for number, z in enumerate(np.arange(0.15, height - 0.7, 0.6)):
        start, end = (near, far) if number % 2 == 0 else (far, near)
        brace = tube([(0, start, z), (0, end, z + 0.6)], 0.018, zinc, 5)
        braces.append(repeat(brace, np.stack([x, 0 * x, 0 * x], 1)))
    return [
        boxes(feet + np.array([0, 0, height / 2]), (0.09, POST, height), steel),
        boxes(feet + np.array([0, 0, 0.005]), (0.14, 0.16, 0.01), zinc),
        *braces,
    ]


def _holes(params: dict[str, Any]) -> list[Part]:
    """Build the rows of slots in the uprights: dark plates on their front and their sides."""
    height = params["levels"] * params["pitch"] + UPRIGHT_ABOVE
    shadow = Material("paper", (0.012, 0.012, 0.014), 0.0)
    levels = np.arange(0.1, height - 0.05, 0.1)
    x = np.array([_bay_start(params, bay) for bay in range(params["bays"] + 1)])
    front = np.stack(np.meshgrid(x, (-0.0015,), levels, indexing="ij"), -1).reshape(-1, 1, 3)
    front = (front + np.array([[-0.022, 0, 0], [0.022, 0, 0.05]])).reshape(-1, 3)
    side = np.stack(np.meshgrid(x, (0.05,), levels, indexing="ij"), -1).reshape(-1, 3)
    parts = [plates(front, (0.012, 0.04), 1, -1, shadow)]
    return parts + [plates(side + np.array([0.0465 * s, 0, 0]), (0.02, 0.05), 0, s, shadow) for s in (-1, 1)]


def _decks(params: dict[str, Any], rng: np.random.Generator) -> Part:
    """Build the boards across the beams, which carry the pallets."""
    wood = Material("wood", (0.42, 0.32, 0.21), 0.5)
    across = np.arange(0.17, BAY - 0.1, 0.16)
    starts = [_bay_start(params, bay) for bay in range(params["bays"])]
    centres = [
        (x + at, DEPTH / 2, level * params["pitch"] - 0.011)
        for x in starts for level in range(1, params["levels"] + 1) for at in across
    ]  # fmt: skip
    return boxes(
        centres, (0.15, DEPTH - 0.11, 0.02), wood, rng.uniform(0.7, 1.1, (len(centres), 1)) * np.ones(3)
    )


def _beams(params: dict[str, Any], rng: np.random.Generator) -> list[Part]:
    """Build the beams, their end plates, labels on them, and the bays' number plates."""
    steel = Material("paint", STEELS[params["beams"]], 0.4)
    label = Material("paper", (0.75, 0.75, 0.72), 0.2)
    centres, labels = [], []
    for bay in range(params["bays"]):
        x = _bay_start(params, bay) + BAY / 2
        for level in range(1, params["levels"] + 1):
            z = level * params["pitch"] - 0.06
            centres += [(x, y, z) for y in (0.025, DEPTH - 0.025)]
            labels += [(x + o, -0.002, z) for o in (-0.8, 0.0, 0.8) if rng.random() < 0.7]
    ends = [(x + s * (BAY / 2 - 0.06), -0.004, z) for x, y, z in centres if y < 0.1 for s in (-1, 1)]
    parts = [boxes(centres, (BAY - 0.09, 0.05, 0.12), steel), boxes(ends, (0.05, 0.012, 0.2), steel)]
    if labels:
        parts.append(plates(labels, (0.14, 0.07), 1, -1, label))
    numbers = [(_bay_start(params, bay), -0.003, 1.75) for bay in range(params["bays"] + 1)]
    parts.append(plates(numbers, (0.085, 0.16), 1, -1, Material("paper", YELLOW, 0.1)))
    return parts


def _places(params: dict[str, Any], rng: np.random.Generator, bay: int, level: int) -> list[Part]:
    """Fill the three pallet places of a bay's level; the pallets' short side faces the aisle."""
    if level == 0 and params["open"][bay]:
        return []
    share = params["fill"] if level else params["floor_fill"]
    room = params["pitch"] - pallet.HEIGHT - 0.25 if level < params["levels"] else params["top"]
    parts: list[Part] = []
    for place in range(3):
        if rng.random() > share:
            continue
        name = pick(params["load"], rng)
        loaded = _loaded_pallet(
            name,
            stack=max(1, min(8, int(room / pallet.HEIGHT))) if name == "stack" else 1,
            decimetres=round(10 * room * rng.uniform(0.35, 1.0)),
            wrapped=bool(name in pallet.WRAPPED and rng.random() < params["wrapped"]),
            wear=float(rng.choice([0.3, 0.6])),
            seed=int(rng.integers(LOAD_VARIANTS)),
        )
        x = _bay_start(params, bay) + 0.05 + (place + 0.5) * (BAY - 0.1) / 3
        position = (x, DEPTH / 2 + rng.normal(0.0, 0.012), level * params["pitch"])
        turn = np.pi / 2 + float(np.clip(rng.normal(0, 0.01), -0.02, 0.02))
        parts += move(loaded, position, turn)
    return parts


@lru_cache(maxsize=256)  # 25 kB each: 6 MB at most
def _loaded_pallet(
    name: str, *, stack: int, decimetres: int, wrapped: bool, wear: float, seed: int
) -> list[Part]:
    """Build a loaded pallet. Cached, because a hall has dozens; they took a fifth of the time for a scene."""
    params = {"load": name, "stack": stack, "tiers": 1, "load_height": decimetres / 10, "wrapped": wrapped}
    return pallet.build({**params, "wear": wear, "seed": seed}, _NO_ASSETS)


_NO_ASSETS: Any = None
"""Racks and pallets need no files."""
