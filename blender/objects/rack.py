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
from blender.geometry.mesh import Material, Part, boxes, move
from blender.objects import guard, pallet
from blender.parts import picking, protectors, rack_steel
from blender.parts.containers import plastic
from blender.parts.rack_steel import LABELS, STEELS, bay_start, level_height
from blender.sampling import chance, draw_seed, integer, pick, uniform

DEPTH, BAY, POST, UPRIGHT_ABOVE = (
    rack_steel.DEPTH,
    rack_steel.BAY,
    rack_steel.POST,
    rack_steel.UPRIGHT_ABOVE,
)
LOOKS = 8
"""Number of different meshes for loads of equal type and height, which limits the memory."""
LOOKS_IN_HALL = 2
"""Number of those that the racks of a hall show: goods in a hall resemble each other."""
OVERHANG = 0.07
"""Overhang of the loads at the front and the back, metres."""
TOP_LOAD = 1.3
"""Maximum height of a load on the top level, including its pallet, metres."""
BAY_INSET, BAY_REAR_INSET = 0.1, 0.15
"""Distance of an open bay's free floor from the uprights and from the rack's rear, metres."""


def _load_weights() -> dict[str, float]:
    return {
        "cartons": 4.0, "mixed": 5.0, "goods": 2.0, "crate": 4.0, "bundle": 3.0, "drinks": 1.0, "crates": 2.0,
        "sacks": 0.5, "containers": 2.0, "tyres": 1.0, "rolls": 1.0, "drums": 1.0, "canisters": 0.5,
        "parts": 1.5, "blanks": 0.5, "tank": 0.5, "stack": 1.0, "none": 1.0,
    }  # fmt: skip


def _shelf_weights() -> dict[str, float]:
    return {"bins": 3.0, "containers": 3.0, "cartons": 2.0, "parts": 2.0, "mixed": 2.0}


def _protector_weights() -> dict[str, float]:
    return {
        "none": 3.0, "angle": 3.0, "shell": 4.0, "plate": 1.0, "post": 1.0, "striped": 1.0, "high": 0.3,
        "painted": 1.5,
    }  # fmt: skip


def _end_weights() -> dict[str, float]:
    return {"none": 3.0, "rack_guard": 1.0, "double_rail": 2.0, "end_plate": 1.0, "kerb": 1.0, "bollard": 1.0}


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
    prevailing: Share = 0.5
    """Share of halls in which half of the loads are of one type."""
    same_colour: Share = 0.2
    """Share of halls whose beams have the colour of the uprights."""
    low_beam: Share = 0.25
    """Share of halls whose racks have a beam near the floor; their bays are never open."""
    low_beam_height: Annotated[tuple[float, float], Ge(0.17), Ordered()] = (0.17, 0.4)
    """Height of that beam's top in metres."""
    high_first: Share = 0.25
    """Share of halls whose lowest beam is higher by ``rise``: goods stand on the floor in a row below it."""
    rise: Annotated[tuple[float, float], Ge(0), Ordered()] = (0.4, 0.9)
    """Metres by which that beam, and all above it, are higher."""
    picking: Share = 0.25
    """Share of racks whose lowest one or two storeys have shelves with bins; their bays are never open."""
    shelves: Annotated[dict[str, float], Weights(picking.CONTENTS)] = field(default_factory=_shelf_weights)
    """Weights of what stands on those shelves."""
    labels: Annotated[dict[str, float], Weights(("none", *LABELS))] = field(
        default_factory=lambda: {"none": 1.0, "white": 3.0, "yellow": 2.0, "green": 0.5, "long": 1.0}
    )
    """Weights of the location labels on beams."""
    protectors: Annotated[dict[str, float], Weights(("none", *protectors.STYLES))] = field(
        default_factory=_protector_weights
    )
    """Weights of the shapes of the uprights' protectors."""
    protector_paint: Annotated[dict[str, float], Weights(protectors.PAINTS)] = field(
        default_factory=lambda: {"yellow": 6.0, "lime": 1.0, "orange": 1.0, "red": 0.5}
    )
    """Weights of the protectors' colours."""
    ends: Annotated[dict[str, float], Weights(("none", *guard.VARIANTS))] = field(
        default_factory=_end_weights
    )
    """Weights of the guards at the ends of rows."""


STYLE = (
    "uprights", "beams", "pitch", "base", "rise", "labels", "protectors", "protector_paint", "ends", "looks",
    "load",
)  # fmt: skip
"""Parameters that the racks of a hall share."""


def sample(ranges: Ranges, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Draw one rack's parameters (JSON values)."""
    uprights, beams, load = pick(ranges.uprights, rng), pick(ranges.beams, rng), dict(ranges.load)
    if chance(ranges.prevailing, rng):
        load[pick(ranges.load, rng)] += sum(load.values())
    return {
        "uprights": uprights,
        "beams": uprights if chance(ranges.same_colour, rng) else beams,
        "bays": integer(ranges.bays, rng),
        "levels": integer(ranges.levels, rng),
        "pitch": uniform(ranges.pitch, rng),
        "base": uniform(ranges.low_beam_height, rng) if chance(ranges.low_beam, rng) else 0.0,
        "rise": uniform(ranges.rise, rng) if chance(ranges.high_first, rng) else 0.0,
        "top": TOP_LOAD,
        "fill": uniform(ranges.fill, rng),
        "floor_fill": uniform(ranges.floor_fill, rng),
        "open": [bool(is_open) for is_open in rng.random(ranges.bays[1]) < ranges.open],
        "decks": chance(ranges.decks, rng),
        "load": load,
        "wrapped": ranges.wrapped,
        "picking": int(rng.choice([1, 1, 2])) if chance(ranges.picking, rng) else 0,
        "shelves": pick(ranges.shelves, rng),
        "labels": pick(ranges.labels, rng),
        "protectors": pick(ranges.protectors, rng),
        "protector_paint": pick(ranges.protector_paint, rng),
        "ends": pick(ranges.ends, rng),
        "looks": [integer((0, LOOKS - 1), rng) for _ in range(LOOKS_IN_HALL)],
        "seed": draw_seed(rng),
    }


def footprint(params: dict[str, Any], assets: Assets) -> tuple[float, float, float, float]:
    """Return the extent on the floor: x from, x to, y from, y to, metres."""
    half = params["bays"] * BAY / 2 + POST
    return (-half, half, -OVERHANG, DEPTH + OVERHANG)


def open_bays(params: dict[str, Any]) -> list[tuple[float, float, float, float]]:
    """Return the free floor of the open bays: x from, x to, y from, y to, metres."""
    starts = [bay_start(params, bay) for bay in range(params["bays"]) if _is_open(params, bay)]
    rear = DEPTH - BAY_REAR_INSET
    return [(x + BAY_INSET, x + BAY - BAY_INSET, -OVERHANG, rear) for x in starts]


def solids(params: dict[str, Any]) -> list[tuple[float, float, float, float]]:
    """Return the footprint without its open bays, as rectangles (x from, x to, y from, y to), metres."""
    x0, x1, y0, y1 = footprint(params, _NO_ASSETS)
    parts = [(x0, x1, DEPTH - BAY_REAR_INSET, y1)] if open_bays(params) else []
    for low, high, _, _ in open_bays(params):
        parts.append((x0, low, y0, y1))
        x0 = high
    return [*parts, (x0, x1, y0, y1)]


def build(params: dict[str, Any], assets: Assets) -> list[Part]:
    """Build the rack and its loads."""
    rng = np.random.default_rng(params["seed"])
    parts = [*rack_steel.frames(params), *rack_steel.holes(params), *rack_steel.beams(params, rng)]
    if params["decks"]:
        parts.append(rack_steel.decks(params, rng))
    if params["protectors"] != "none":
        style = np.random.default_rng(params["looks"])  # equal in a hall
        x = [bay_start(params, bay) for bay in range(params["bays"] + 1)]
        parts += protectors.uprights(params["protectors"], params["protector_paint"], x, style)
    for bay in range(params["bays"]):
        shelved = params["picking"] if rng.random() < 0.9 else 0
        for level in range(params["levels"] + 1):
            if level < shelved:
                parts += _shelves(params, rng, bay, level)
            else:
                parts += _places(params, rng, bay, level)
    return parts


def _is_open(params: dict[str, Any], bay: int) -> bool:
    """Return whether a bay has nothing on the floor."""
    return bool(params["open"][bay]) and not params["base"] and not params["picking"]


def _shelves(params: dict[str, Any], rng: np.random.Generator, bay: int, level: int) -> list[Part]:
    """Build shelves with bins between a bay's level and the next."""
    z = level_height(params, level) or 0.06
    size = (BAY - 0.12, DEPTH - 0.1, level_height(params, level + 1) - z - 0.14)
    look = np.random.default_rng(params["looks"])
    colours = [plastic(look) for _ in range(int(look.choice([1, 1, 2, 3])))]
    edge = Material("paint", STEELS[params["beams"]], 0.4)
    parts = picking.storey(rng, params["shelves"], size, colours, edge)
    if level == 0 or not params["decks"]:
        board = Material("galvanised", (0.4, 0.4, 0.41), 0.4)
        parts.append(boxes([(0, DEPTH / 2 - 0.05, -0.012)], (size[0], DEPTH - 0.11, 0.02), board))
        if not params["base"] and level == 0:
            parts.append(boxes([(0, 0, -0.03)], (size[0], 0.03, 0.055), edge))
    return move(parts, (bay_start(params, bay) + BAY / 2, 0.05, z))


def _places(params: dict[str, Any], rng: np.random.Generator, bay: int, level: int) -> list[Part]:
    """Fill the three pallet places of a bay's level; the pallets' short side faces the aisle."""
    if level == 0 and _is_open(params, bay):
        return []
    share = params["fill"] if level else params["floor_fill"]
    z = level_height(params, level)
    room = level_height(params, level + 1) - z - pallet.HEIGHT - 0.25
    room = max(room, 0.3) if level < params["levels"] else params["top"]
    parts: list[Part] = []
    for place in range(3):
        if rng.random() > share:
            continue
        name = pick(params["load"], rng)
        loaded = _loaded_pallet(
            name,
            stack=max(1, min(8, int(room / pallet.HEIGHT))) if name == "stack" else 1,
            decimetres=2 * max(1, round(5 * room * rng.uniform(0.35, 1.0))),
            wrapped=bool(name in pallet.WRAPPED and rng.random() < params["wrapped"]),
            look=int(rng.choice(params["looks"])),
        )
        x = bay_start(params, bay) + 0.05 + (place + 0.5) * (BAY - 0.1) / 3
        turn = np.pi / 2 + float(np.clip(rng.normal(0, 0.01), -0.02, 0.02))
        parts += move(loaded, (x, DEPTH / 2 + rng.normal(0.0, 0.012), z), turn)
    return parts


@lru_cache(maxsize=1024)  # 25 kB each: 25 MB at most
def _loaded_pallet(name: str, *, stack: int, decimetres: int, wrapped: bool, look: int) -> list[Part]:
    """Build a loaded pallet. Cached, because a hall has dozens; they took a fifth of the time for a scene."""
    params = {"load": name, "stack": stack, "tiers": 1, "load_height": decimetres / 10, "wrapped": wrapped}
    return pallet.build({**params, "wear": 0.3 if look % 2 else 0.6, "seed": look}, _NO_ASSETS)


_NO_ASSETS: Any = None
"""Racks and pallets need no files."""
