"""What varies in halls: the tables [scene.aisle] to [scene.stores] as frozen dataclasses. No bpy.

Lengths in metres, from the wall behind the camera (x = 0) unless something else is said.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from blender.objects import furniture, guard
from blender.objects.hall import SHORTEST
from blender.objects.rack import DEPTH
from blender.sampling import at_least, named, ordered, shares

Span = tuple[float, float]
Count = tuple[int, int]


@dataclass(frozen=True)
class AisleConfig:
    """[scene.aisle]: between two rows of racks."""

    width: Span = (2.8, 4.8)
    """Between the racks' faces."""
    start: Span = (1.2, 4.0)
    """Where each row begins."""
    end: Span = (0.5, 5.0)
    """From each row's end to the hall's end wall."""

    def __post_init__(self) -> None:
        ordered(width=self.width, start=self.start, end=self.end)
        at_least(0.1, width=self.width, start=self.start, end=self.end)


@dataclass(frozen=True)
class StagingConfig:
    """[scene.staging]: rows of loaded pallets on an open floor."""

    far_racks: float = 0.7
    """Share of halls with racks along the end wall."""
    side_racks: float = 0.5
    """Share of halls with racks along a side."""
    first: Span = (3.0, 7.0)
    """Where the first row of pallets stands."""
    aside: Span = (-0.7, 0.2)
    """Of each row's first pallet, off the hall's middle: a share of its half width."""
    rows: Count = (1, 3)
    """Rows of pallets, one behind the other."""
    places: Count = (1, 4)
    """Pallet places side by side in a row."""
    empty: float = 0.25
    """Share of those places that are empty."""

    def __post_init__(self) -> None:
        shares(far_racks=self.far_racks, side_racks=self.side_racks, empty=self.empty)
        ordered(first=self.first, aside=self.aside, rows=self.rows, places=self.places)
        at_least(0.1, first=self.first)
        at_least(0, rows=self.rows, places=self.places)


@dataclass(frozen=True)
class WallConfig:
    """[scene.wall]: facing a wall or a rack a few metres away, where trucks are parked."""

    length: Span = (6.0, 12.0)
    """Of the hall."""
    racks: float = 0.6
    """Share of halls with racks along the end wall."""
    partial: float = 0.5
    """Share of those whose racks leave a part of the wall free ..."""
    free: Span = (0.2, 0.5)
    """... and that part, a share of the wall."""

    def __post_init__(self) -> None:
        ordered(length=self.length, free=self.free)
        shares(racks=self.racks, partial=self.partial, free=self.free)
        at_least(SHORTEST, length=self.length)


@dataclass(frozen=True)
class DockConfig:
    """[scene.dock]: doors in a row, pallets waiting in front of them."""

    length: Span = (9.0, 17.0)
    """Of the hall."""
    racks: float = 0.4
    """Share of halls with racks along a side."""
    idle: float = 0.45
    """Share of doors with no pallets before them."""
    turned: float = 0.7
    """Share of lanes whose pallets stand lengthwise to the door."""
    places: Count = (1, 4)
    """Pallets one behind the other in a lane."""
    double: float = 0.5
    """Share of those places with two pallets side by side."""

    def __post_init__(self) -> None:
        ordered(length=self.length, places=self.places)
        shares(racks=self.racks, idle=self.idle, turned=self.turned, double=self.double)
        at_least(SHORTEST, length=self.length)
        at_least(0, places=self.places)


def _furniture() -> dict[str, float]:
    return {"desk": 2.0, "packing_table": 4.0, "shelving": 3.0, "locker": 1.0, "electrical": 0.5}


@dataclass(frozen=True)
class PackingConfig:
    """[scene.packing]: a corner with furniture along the end wall."""

    length: Span = (7.0, 12.0)
    """Of the hall."""
    racks: float = 0.4
    """Share of halls with racks along a side."""
    filled: Span = (0.5, 0.9)
    """Share of the end wall that furniture stands along."""
    gap: Span = (0.05, 0.5)
    """Between two pieces."""
    seats: float = 0.6
    """Share of desks and tables with a chair."""
    furniture: dict[str, float] = field(default_factory=_furniture)
    """Weights: keys of ``blender.objects.furniture.VARIANTS``."""

    def __post_init__(self) -> None:
        ordered(length=self.length, filled=self.filled, gap=self.gap)
        shares(racks=self.racks, filled=self.filled, seats=self.seats)
        at_least(SHORTEST, length=self.length)
        named("furniture", self.furniture, furniture.VARIANTS)
        at_least(0, gap=self.gap)


def _protectors() -> dict[str, float]:
    return {"rack_guard": 3.0, "bollard": 2.0, "rail": 1.0}


@dataclass(frozen=True)
class CrossingConfig:
    """[scene.crossing]: a main aisle along the ends of rack rows, back to back."""

    width: Span = (2.6, 4.8)
    """Of the main aisle."""
    beside: Span = (11.0, 17.0)
    """Left and right of it together: what the rows have."""
    first: Span = (3.0, 5.0)
    """Where the first row stands."""
    side_aisle: Span = (2.4, 3.2)
    """Width of the aisles between the rows."""
    guards: dict[str, float] = field(default_factory=_protectors)
    """Weights of what protects the ends of rows: keys of ``blender.objects.guard.VARIANTS``."""

    def __post_init__(self) -> None:
        ordered(width=self.width, beside=self.beside, first=self.first, side_aisle=self.side_aisle)
        at_least(0.1, width=self.width, first=self.first, side_aisle=self.side_aisle)
        at_least(2 * DEPTH, beside=self.beside)
        named("guards", self.guards, guard.VARIANTS)


THINGS = ("pallet", "mesh_box", "tub", "crates", "roll_cage")
"""What stands along walls: pallets, and variants of ``blender.objects.cage``."""


def _stored() -> dict[str, float]:
    return {"pallet": 6.0, "mesh_box": 3.0, "tub": 1.0, "crates": 0.5, "roll_cage": 0.5}


@dataclass(frozen=True)
class StoresConfig:
    """[scene.stores]: goods along walls that are free, in runs of equal stacks, put there last of all."""

    halls: float = 0.7
    """Share of halls that have them."""
    filled: Span = (0.2, 0.9)
    """Share of a free wall that they take."""
    run: Count = (1, 4)
    """Equal stacks side by side."""
    deep: Count = (1, 2)
    """Rows, one before the other."""
    apart: Span = (0.06, 0.18)
    """Between two stacks of a run, and between its rows."""
    away: Span = (0.08, 0.4)
    """From the wall."""
    near: float = 2.5
    """They stand at least so far from the camera, metres."""
    things: dict[str, float] = field(default_factory=_stored)
    """Weights: some of THINGS."""

    def __post_init__(self) -> None:
        shares(halls=self.halls, filled=self.filled)
        ordered(filled=self.filled, run=self.run, deep=self.deep, apart=self.apart, away=self.away)
        at_least(1, run=self.run, deep=self.deep)
        at_least(0.03, apart=self.apart, away=self.away)
        if not self.near >= 1.5:  # so that nan is caught too
            raise ValueError("near must be at least 1.5 metres")
        named("things", self.things, THINGS)


LAYOUTS = ("aisle", "staging", "wall", "dock", "packing", "crossing")
"""Names of the layouts; ``blender.scene.layouts`` has a function for each."""
