"""Pallet racking: uprights, beams, and what lies on them.

Origin: on the floor, in the middle of the front face; bays run along x, the rack's depth goes to +y.
Usual makes: bays 2.7 m wide for three EUR pallets, frames 1.1 m deep, uprights about 0.1 m wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from blender.mesh import Colour, Material, Part, boxes, tube
from blender.objects import Assets, pallet
from blender.ranges import check_names, integer, pick, uniform

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


@dataclass(frozen=True)
class Ranges:
    """What varies from rack to rack."""

    uprights: dict[str, float]
    """Weight of each colour of the uprights: a key of STEELS."""
    beams: dict[str, float]
    """Weight of each colour of the beams."""
    bays: tuple[int, int] = (2, 5)
    levels: tuple[int, int] = (2, 4)
    """Beam levels above the floor."""
    pitch: tuple[float, float] = (1.1, 1.9)
    """Metres between levels."""
    fill: tuple[float, float] = (0.3, 1.0)
    """Share of filled pallet places."""
    floor_fill: tuple[float, float] = (0.0, 1.0)
    """The same for the places on the floor."""

    def __post_init__(self) -> None:
        check_names("uprights", self.uprights, STEELS)
        check_names("beams", self.beams, STEELS)


def sample(ranges: Ranges, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Draw one rack's parameters (JSON values)."""
    return {
        "uprights": pick(ranges.uprights, rng),
        "beams": pick(ranges.beams, rng),
        "bays": integer(ranges.bays, rng),
        "levels": integer(ranges.levels, rng),
        "pitch": uniform(ranges.pitch, rng),
        "fill": uniform(ranges.fill, rng),
        "floor_fill": uniform(ranges.floor_fill, rng),
        "seed": integer((0, 2**31 - 1), rng),
    }


def footprint(params: dict[str, Any], assets: Assets) -> tuple[float, float, float, float]:
    """Extent on the floor: x from, x to, y from, y to, in metres."""
    half = params["bays"] * BAY / 2 + POST
    return (-half, half, 0.0, DEPTH)


def build(params: dict[str, Any], assets: Assets) -> list[Part]:
    """The rack's and its loads' meshes."""
    rng = np.random.default_rng(params["seed"])
    parts = [*_frames(params), *_beams(params, rng)]
    for bay in range(params["bays"]):
        for level in range(params["levels"] + 1):
            parts += _places(params, rng, bay, level)
    return parts


def _bay_start(params: dict[str, Any], bay: int) -> float:
    return float((bay - params["bays"] / 2) * BAY)


def _frames(params: dict[str, Any]) -> list[Part]:
    """Uprights front and back, and the zigzag bracing between them."""
    steel = Material("paint", STEELS[params["uprights"]], 0.5)
    zinc = Material("galvanised", (0.4, 0.4, 0.42), 0.4)
    height = params["levels"] * params["pitch"] + 0.6
    centres, feet, braces = [], [], []
    for bay in range(params["bays"] + 1):
        x = _bay_start(params, bay)
        centres += [(x, y, height / 2) for y in (POST / 2, DEPTH - POST / 2)]
        feet += [(x, y, 0.005) for y in (POST / 2, DEPTH - POST / 2)]
        z, forward = 0.15, True
        while z < height - 0.7:
            ends = [(x, 0.06, z), (x, DEPTH - 0.06, z + 0.6)]
            braces.append(
                tube(ends if forward else [(x, DEPTH - 0.06, z), (x, 0.06, z + 0.6)], 0.018, zinc, 5)
            )
            z, forward = z + 0.6, not forward
    return [
        boxes(centres, (0.09, POST, height), steel),
        boxes(feet, (0.14, 0.16, 0.01), zinc),
        *braces,
    ]


def _beams(params: dict[str, Any], rng: np.random.Generator) -> list[Part]:
    steel = Material("paint", STEELS[params["beams"]], 0.4)
    label = Material("paper", (0.75, 0.75, 0.72), 0.2)
    centres, labels = [], []
    for bay in range(params["bays"]):
        x = _bay_start(params, bay) + BAY / 2
        for level in range(1, params["levels"] + 1):
            z = level * params["pitch"] - 0.06
            centres += [(x, y, z) for y in (0.025, DEPTH - 0.025)]
            labels += [(x + o, -0.001, z) for o in (-0.8, 0.0, 0.8) if rng.random() < 0.7]
    parts = [boxes(centres, (BAY - 0.09, 0.05, 0.12), steel)]
    if labels:
        parts.append(boxes(labels, (0.14, 0.004, 0.07), label))
    return parts


def _places(params: dict[str, Any], rng: np.random.Generator, bay: int, level: int) -> list[Part]:
    """Three pallet places; the pallets stand with their short side to the aisle."""
    share = params["fill"] if level else params["floor_fill"]
    ground = level * params["pitch"]
    room = params["pitch"] - pallet.HEIGHT - 0.25 if level < params["levels"] else 1.3
    parts: list[Part] = []
    for place in range(3):
        if rng.random() > share:
            continue
        kind = str(rng.choice(["cartons", "goods", "crate", "stack", "none"], p=[0.5, 0.2, 0.15, 0.08, 0.07]))
        height = room * rng.uniform(0.35, 1.0)
        load = {
            "load": kind,
            "stack": max(1, min(8, int(room / pallet.HEIGHT))) if kind == "stack" else 1,
            "load_height": height,
            "wrapped": kind in ("cartons", "goods") and rng.random() < 0.25,
            "wear": float(rng.choice([0.3, 0.6])),
            "seed": int(rng.integers(2**31)),
        }
        x = _bay_start(params, bay) + 0.05 + (place + 0.5) * (BAY - 0.1) / 3
        spot = (x, DEPTH / 2 + rng.normal(0.0, 0.015), ground)
        parts += [p.moved(spot, np.pi / 2 + rng.normal(0, 0.015)) for p in pallet.build(load, _NO_ASSETS)]
    return parts


_NO_ASSETS: Any = None
"""Pallets need no files."""
