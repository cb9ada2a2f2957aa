"""The tables [scene.aisle] to [scene.stores] of a profile: the ranges of each layout of a hall.

Lengths are in metres; positions are measured from the wall behind the camera (x = 0) unless a key says
otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from blender.contract.limits import Ge, Le, Ordered, Share, ShareRange, Weights
from blender.objects import furniture, guard
from blender.objects.hall import SHORTEST
from blender.objects.rack import DEPTH

Distance = Annotated[tuple[float, float], Ge(0.1), Ordered()]
"""A range of lengths in metres, each at least 0.1."""
HallLength = Annotated[tuple[float, float], Ge(SHORTEST), Ordered()]
"""A range of a hall's length in metres."""
Count = Annotated[tuple[int, int], Ge(0), Ordered()]
"""A range of integers; both ends are included."""


@dataclass(frozen=True)
class AisleConfig:
    """[scene.aisle]: an aisle between two rows of racks."""

    width: Distance = (2.8, 4.8)
    """Metres between the faces of the racks."""
    start: Distance = (1.2, 4.0)
    """Metres from the wall behind the camera to the start of each row of racks."""
    end: Distance = (0.5, 5.0)
    """Metres from the end of each row to the hall's end wall."""
    length: Annotated[tuple[float, float] | None, Ge(SHORTEST), Ordered()] = None
    """Length of the hall in metres; without this key as in [scene.hall]."""
    blocks: Share = 0.0
    """Share of the sides with goods on the floor along the wall in place of racks."""


@dataclass(frozen=True)
class StagingConfig:
    """[scene.staging]: rows of loaded pallets on an open floor."""

    far_racks: Share = 0.7
    """Share of halls with racks along the end wall."""
    side_racks: Share = 0.5
    """Share of halls with racks along one side."""
    first: Distance = (3.0, 7.0)
    """Metres to the first row of pallets."""
    aside: Annotated[tuple[float, float], Ge(-1), Le(1), Ordered()] = (-0.7, 0.2)
    """Offset of a row's first pallet from the hall's middle, as a share of the hall's half width."""
    rows: Count = (1, 3)
    """Rows of pallets, one behind the other."""
    places: Count = (1, 4)
    """Pallet places side by side in a row."""
    empty: Share = 0.25
    """Share of those places that are empty."""


@dataclass(frozen=True)
class WallConfig:
    """[scene.wall]: a view of a wall or of racks a few metres away, where trucks are parked."""

    length: HallLength = (6.0, 12.0)
    """Length of the hall in metres."""
    racks: Share = 0.6
    """Share of halls with racks along the end wall."""
    partial: Share = 0.5
    """Share of those halls whose racks leave a part of the wall free."""
    free: ShareRange = (0.2, 0.5)
    """Share of the wall that stays free in those halls."""


@dataclass(frozen=True)
class DockConfig:
    """[scene.dock]: loading doors in a row, with pallets in front of them."""

    length: HallLength = (9.0, 17.0)
    """Length of the hall in metres."""
    racks: Share = 0.4
    """Share of halls with racks along one side."""
    idle: Share = 0.45
    """Share of doors without pallets."""
    turned: Share = 0.7
    """Share of lanes whose pallets stand lengthwise to the door."""
    places: Count = (1, 4)
    """Pallets in a lane, one behind the other."""
    double: Share = 0.5
    """Share of those places with two pallets side by side."""


def _furniture() -> dict[str, float]:
    return {"desk": 2.0, "packing_table": 4.0, "shelving": 3.0, "locker": 1.0, "electrical": 0.5}


@dataclass(frozen=True)
class PackingConfig:
    """[scene.packing]: a packing corner, with furniture along the end wall."""

    length: HallLength = (7.0, 12.0)
    """Length of the hall in metres."""
    racks: Share = 0.4
    """Share of halls with racks along one side."""
    filled: ShareRange = (0.5, 0.9)
    """Share of the end wall that has furniture in front of it."""
    gap: Annotated[tuple[float, float], Ge(0), Ordered()] = (0.05, 0.5)
    """Metres between two pieces of furniture."""
    seats: Share = 0.6
    """Share of desks and tables with a chair."""
    furniture: Annotated[dict[str, float], Weights(furniture.VARIANTS)] = field(default_factory=_furniture)
    """Weights of the pieces of furniture."""


def _guards() -> dict[str, float]:
    return {"rack_guard": 3.0, "bollard": 2.0, "rail": 1.0}


@dataclass(frozen=True)
class CrossingConfig:
    """[scene.crossing]: a main aisle along the ends of rack rows, which stand back to back."""

    width: Distance = (2.6, 4.8)
    """Width of the main aisle in metres."""
    beside: Annotated[tuple[float, float], Ge(2 * DEPTH), Ordered()] = (11.0, 17.0)
    """Metres for the rows on both sides of the main aisle together."""
    first: Distance = (3.0, 5.0)
    """Metres to the first row."""
    side_aisle: Distance = (2.4, 3.2)
    """Width of the aisles between rows, in metres."""
    guards: Annotated[dict[str, float], Weights(guard.VARIANTS)] = field(default_factory=_guards)
    """Weights of the guards that protect the ends of rows."""


STORED_GOODS = (
    "pallet",
    "mesh_box",
    "tub",
    "crates",
    "roll_cage",
    "roll_box",
    "vessels",
    "tyres",
    "rolls",
    "parts",
)
"""Goods stored along walls: pallets, and variants of ``blender.objects.cage`` and ``clutter``."""


def _stored() -> dict[str, float]:
    return {
        "pallet": 6.0, "mesh_box": 3.0, "tub": 1.0, "crates": 0.5, "roll_cage": 1.0, "roll_box": 0.3,
        "vessels": 0.3, "tyres": 0.3, "rolls": 0.3, "parts": 0.3,
    }  # fmt: skip


@dataclass(frozen=True)
class StoresConfig:
    """[scene.stores]: goods stored along free walls, in runs of equal stacks. They are placed last."""

    halls: Share = 0.7
    """Share of halls with stored goods."""
    filled: ShareRange = (0.2, 0.9)
    """Share of a free wall that has goods in front of it."""
    run: Annotated[tuple[int, int], Ge(1), Ordered()] = (1, 4)
    """Equal stacks side by side."""
    deep: Annotated[tuple[int, int], Ge(1), Ordered()] = (1, 2)
    """Rows of stacks, one in front of the other."""
    apart: Annotated[tuple[float, float], Ge(0.03), Ordered()] = (0.06, 0.18)
    """Metres between two stacks of a run, and between its rows."""
    away: Annotated[tuple[float, float], Ge(0.03), Ordered()] = (0.08, 0.4)
    """Metres between the wall and the nearest row."""
    near: Annotated[float, Ge(1.5)] = 2.5
    """Minimum distance from the camera in metres."""
    things: Annotated[dict[str, float], Weights(STORED_GOODS)] = field(default_factory=_stored)
    """Weights of the goods."""


LAYOUTS = ("aisle", "staging", "wall", "dock", "packing", "crossing")
"""Names of the layouts; ``blender.scene.layouts`` has a function for each."""
