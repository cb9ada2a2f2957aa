"""The interface of object kinds, and their registry. Each module or package in ``blender/objects`` is a kind.

A profile's table names the kind of its objects (``builder = "pallet_truck"``). ``find_kind`` returns that
kind as an ``ObjectKind``. The code that places, builds and labels objects calls these functions only: it
never compares a kind's name. To add a kind, write one module; see ``ObjectKind``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from blender.assets import Assets
from blender.contract import UserError
from blender.geometry.mesh import Floats, Part, bounds
from blender.spec import Footprint, ObjectSpec, Params


@dataclass(frozen=True)
class ObjectGroup:
    """An object and the objects attached to it: its load, its operator, what a person carries."""

    objects: tuple[ObjectSpec, ...]
    """The object itself first. Positions and yaws are in the object's own frame."""
    in_use: bool = False
    """Whether a person operates or drives the object. Then it is never parked, and it moves in clips."""
    backwards: bool = False
    """Whether an object in use moves with its back first: a truck that its operator pulls."""


@dataclass(frozen=True)
class Parking:
    """How an object stands at a face: at a wall or at the front of racks."""

    facing: bool = False
    """True: the object's front points to the face. False: it stands in one of four right-angled headings."""
    heading_deviation: float = 0.12
    """Standard deviation of the heading, radians."""
    mean_gap: float = 0.12
    """Mean of the exponentially distributed gap to the face, metres."""
    at_racks: bool = False
    """Choose the front of racks where the hall has racks."""
    always: bool = False
    """Stand at a face even if the profile's share ``parked`` leaves the object in the open."""


class SceneShares(Protocol):
    """The shares of attached objects in [scene] (``blender.config.profile.SceneConfig``)."""

    @property
    def operated(self) -> float:
        """Share of pallet trucks with an operator at the tiller."""

    @property
    def loaded(self) -> float:
        """Share of pallet trucks with a pallet on the forks."""

    @property
    def driven(self) -> float:
        """Share of forklifts, reach trucks, order pickers and tow tractors with a driver."""


@dataclass(frozen=True)
class KindTable:
    """The settings of one kind in a profile's table."""

    ranges: Any
    """A ``Ranges`` of the kind."""
    category: str
    """Class of the objects; empty: they are never labelled."""


@dataclass(frozen=True)
class AttachmentContext:
    """Everything that ``ObjectKind.attach`` needs: the generator, the assets and the profile's ranges."""

    rng: np.random.Generator
    assets: Assets
    ranges: Any
    """The ``Ranges`` from which the object itself was drawn."""
    shares: SceneShares
    common_ranges: Mapping[str, Any]
    """Ranges that all tables share, by kind: at least "pallet" and "carried"."""
    first_tables: Mapping[str, KindTable]
    """The profile's first table of each kind: kind name -> table."""
    allow_labelled: bool = True
    """False: the frame shows no labelled object, so attach none."""


class ObjectKind(Protocol):
    """The functions of one kind of object.

    To add the kind "crate", write ``blender/objects/crate.py`` (or a package ``crate/``) with module-level
    functions of these names. Nothing else changes: a profile's table with ``builder = "crate"`` finds it.
    ``Ranges``, ``sample`` and ``footprint`` are required, and either ``build`` or ``mesh``. All other
    functions are optional: a kind without them uses the implementations below.

    Lengths are metres, angles radians. In an object's own frame the floor is z = 0, z is up and the object's
    front points to +x. ``params`` is what ``sample`` returned; the frame's record repeats it, so it holds
    JSON values only. Equal ``params`` must give equal results: a random detail is drawn from a seed in them.
    ``assets`` holds the files that objects are built from.
    """

    Ranges: type[Any]
    """A frozen dataclass: the keys of the table's ``ranges``, with their defaults."""

    def sample(self, ranges: Any, rng: np.random.Generator, assets: Assets) -> Params:
        """Draw one object's parameters from ``ranges``, an instance of ``Ranges``."""
        raise NotImplementedError

    def footprint(self, params: Params, assets: Assets) -> Footprint:
        """Return the floor area that the object needs, in its own frame."""
        raise NotImplementedError

    def build(self, params: Params, assets: Assets) -> list[Part]:
        """Return the object's meshes."""
        raise NotImplementedError

    # Optional functions with their default implementations.

    def files(self, ranges: Any) -> tuple[str, ...]:
        """Return the paths of the model files that these ranges name, relative to the profile."""
        return ()

    def mesh(self, params: Params, assets: Assets) -> Any:
        """Return the object as one bpy mesh with its own materials; None: use ``build`` instead."""
        return None

    def warnings(self, ranges: Any, assets: Assets, hall: Any) -> list[str]:
        """Return what the user should know before a render, one line each. ``hall``: its ``Ranges``."""
        return []

    def height(self, params: Params, assets: Assets) -> float:
        """Return a height that the object does not exceed. The default measures its meshes."""
        return float(bounds(self.build(params, assets))[1][2])

    def keypoints(self, params: Params, assets: Assets) -> Floats | None:
        """Return the 17 COCO keypoints, (17, 3); None: objects of this kind have no keypoints."""
        return None

    def attach(self, item: ObjectSpec, context: AttachmentContext) -> ObjectGroup:
        """Draw the objects attached to ``item``, such as a load or an operator. ``item`` may change."""
        return ObjectGroup((item,))

    def parking(self, params: Params) -> Parking:
        """Return how the object stands at a wall or a rack."""
        return Parking()

    def walks(self, params: Params) -> bool:
        """Return whether the object moves by itself in a clip, its front first."""
        return False

    def rack_insertion(self, params: Params) -> float | None:
        """Return the x from which the object is low enough to fit below a rack's lowest beam, metres.

        None: no part of the object may stand there.
        """
        return None


REQUIRED = ("Ranges", "sample", "footprint")
"""Names that the module of every kind must define, besides ``build`` or ``mesh``."""
OPTIONAL = (
    "build",
    "files",
    "warnings",
    "mesh",
    "height",
    "keypoints",
    "attach",
    "parking",
    "rack_insertion",
    "walks",
)
FOLDER = Path(__file__).with_name("objects")


class _ModuleKind(ObjectKind):
    """A kind whose functions come from a module, or from ``ObjectKind`` where the module lacks them."""

    def __init__(self, name: str, module: ModuleType) -> None:
        missing = [member for member in REQUIRED if not hasattr(module, member)]
        if not (hasattr(module, "build") or hasattr(module, "mesh")):
            missing.append("build")
        if missing:
            raise UserError(
                f"blender/objects/{name} defines no {', '.join(missing)}; see ObjectKind in blender/kinds.py"
            )
        for member in (*REQUIRED, *OPTIONAL):
            if hasattr(module, member):
                setattr(self, member, getattr(module, member))


def kind_names() -> list[str]:
    """Return the names of all kinds, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules([str(FOLDER)]))


@cache  # called hundreds of times a frame; listing the folder takes 40 microseconds
def find_kind(name: str) -> ObjectKind:
    """Return the kind of that name.

    Raises:
        UserError: there is no such kind, or its module lacks a required function.
    """
    known = kind_names()
    if name not in known:
        raise UserError(f"unknown kind of object '{name}'; known: {', '.join(known)}")
    module = importlib.import_module(f"blender.objects.{name}")
    return _ModuleKind(name, module)  # type: ignore[abstract]  # __init__ sets the abstract functions
