"""The file of a study and the profiles of its variants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blender.contract import UserError, from_table, merge_tables, read_toml
from blender.contract.shipped import shipped_names


@dataclass(frozen=True)
class Study:
    """The file of a study."""

    title: str
    profile: str
    """The profile that the variants change; relative to the file."""
    variants: dict[str, Any]
    """Name of a variant -> its changes, in the order of the table. Their key ``improve`` is no change of the
    profile: it has the options of ``transpalette improve``, which goes on from the variant's model."""
    common: dict[str, Any] = field(default_factory=dict)
    """Changes that all variants share, such as fewer and smaller images."""
    starts: dict[str, str] = field(default_factory=dict)
    """Name of a start -> the profile of its training, relative to the file. Variants that have the name as
    [model] weights start from its model."""
    seeds: tuple[int, ...] = (0,)
    timed_frames: int = 0
    """Frames of each variant that are rendered in one process to time them; 0: none."""


def read_study(path: Path) -> Study:
    """Read the file of a study.

    Raises:
        UserError: the file does not exist, is not TOML, or has a wrong key.
    """
    try:
        table = read_toml(path)
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such study; give the path of a file, or one of {shipped_names('studies')}"
        ) from None
    study = from_table(Study, table, str(path))
    if not study.variants:
        raise UserError(f"{path}: the study has no [variants]; add at least one")
    return study


def profile_changes(variant: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a variant changes in the profile: all but the options of its loop."""
    return {key: value for key, value in variant.items() if key != "improve"}


def absolute_model_files(profile: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Make the model files of a profile in ``folder`` absolute, so that it can be written elsewhere."""
    scene = profile.get("scene", {})
    objects = {
        name: merge_tables(table, {"ranges": {"file": str((folder / table["ranges"]["file"]).resolve())}})
        if "file" in table.get("ranges", {})
        else table
        for name, table in scene.get("objects", {}).items()
    }
    return merge_tables(profile, {"scene": {"objects": objects}}) if objects else dict(profile)
