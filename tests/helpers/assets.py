"""The assets of tests whose objects need no people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from blender.assets import Assets

NO_ASSETS = Assets(Path(), (), "")


def model_assets(folder: Path, names: Iterable[str]) -> Assets:
    """Return assets with the model files of a folder and without people."""
    from blender.geometry.model_file import measure  # imports bpy, which takes seconds

    return replace(NO_ASSETS, files={name: measure(folder / name) for name in names})
