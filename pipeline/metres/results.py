"""What ``predict`` adds to its results with a camera file: positions, distances, people near trucks."""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from blender.contract import UserError
from pipeline.metres.camera import Camera, read_camera
from pipeline.metres.estimate import MODEL, measure_objects

PEOPLE = ("pedestrian", "person")
TRUCKS = ("pallet_truck", "forklift", "reach_truck", "order_picker", "tow")
"""Classes of people and of trucks, between which ``--near`` and ``--event-distance`` measure."""
NOTICE = "distances are estimates: Transpalette is no safety device, so do not protect people with it"
COLUMNS = ("object", "x", "z", "distance", "distance_low", "distance_high", "near")
"""Columns that predictions.csv gets with a camera file; see ``Metres.add``."""


@dataclass(frozen=True)
class Metres:
    """The camera of a run of ``predict``, and the distance of people to trucks that it lists."""

    camera: Camera
    near: float | None = None
    """Metres; None: no pairs."""

    def check_classes(self, classes: tuple[str, ...]) -> None:
        """Raise a ``UserError`` if a model's classes have no people or no trucks, but pairs are wanted."""
        if self.near is not None:
            check_groups(classes, "--near")

    @property
    def near_note(self) -> str:
        """What a note about pairs says."""
        return f"people closer than {self.near:g} m to a truck"

    @property
    def settings(self) -> list[Any]:
        """Everything that determines the added fields, as JSON values."""
        return [asdict(self.camera), self.near, MODEL.read_text()]

    def add(self, results: list[dict[str, Any]], drawn: list[dict[str, Any]], size: tuple[int, int]) -> str:
        """Add to the results of one picture, in place: ``object`` (from 1) and ``measure_objects``'s fields.

        With ``near``, a person or truck also gets ``near``: a list of the objects of the other group that are
        closer, each with its ``object`` and the ``metres`` between both floor positions.

        Args:
            results: COCO results with ``category_name`` and masks.
            drawn: the same results for the drawing, perhaps in another size.
            size: width and height of the picture in pixels.

        Returns:
            The smallest distance of a pair for a note, "1.24 m"; empty without a pair.

        Raises:
            UserError: the picture does not fit the camera.
        """
        names = [result["category_name"] for result in results]
        fields = measure_objects(results, names, self.camera, size)
        for index, more in enumerate(fields):
            results[index] |= {"object": index + 1, **more}
            drawn[index] |= more
        smallest = math.inf
        for one, other in itertools.combinations(results, 2) if self.near is not None else ():
            kinds = {group_of(one["category_name"]), group_of(other["category_name"])}
            metres = math.hypot(one["x"] - other["x"], one["z"] - other["z"])
            if kinds == {PEOPLE, TRUCKS} and metres < (self.near or 0):
                smallest = min(smallest, metres)
                for entry, partner in ((one, other), (other, one)):
                    near = {"object": partner["object"], "metres": round(metres, 2)}
                    entry.setdefault("near", []).append(near)
        return f"{smallest:.2f} m" if smallest < math.inf else ""


def group_of(name: str) -> tuple[str, ...]:
    """Return ``PEOPLE`` or ``TRUCKS``, whichever has a class; of other classes an empty tuple."""
    return PEOPLE if name in PEOPLE else TRUCKS if name in TRUCKS else ()


def check_groups(classes: tuple[str, ...], option: str) -> None:
    """Raise a ``UserError`` that names ``option`` if a model's classes have no people or no trucks."""
    for group in (PEOPLE, TRUCKS):
        if not set(group) & set(classes):
            wanted, known = ", ".join(group), ", ".join(classes)
            raise UserError(f"{option} needs a class of {wanted}; the model detects {known}")


def read_metres(camera_file: Path | None, near: float | None) -> Metres | None:
    """Read the options ``--camera-file`` and ``--near``; None without a camera file.

    Raises:
        UserError: ``--near`` without a camera file, or the file is wrong; see ``read_camera``.
    """
    if camera_file is None:
        if near is not None:
            raise UserError("--near needs --camera-file, a description of the camera")
        return None
    return Metres(read_camera(camera_file), near)
