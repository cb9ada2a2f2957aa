"""Kinds of object, one module each.

A module offers four names; a profile's table names the module, and nothing else needs to know it::

    Ranges                        frozen dataclass: the profile's ranges, with meaning and unit
    sample(ranges, rng, assets)   draw one object's parameters, as JSON values
    build(params, assets)         its meshes, list[Part]: metres, z up, standing on z = 0
                                  (or ``load``: a bpy mesh with materials of its own)
    footprint(params, assets)     (x from, x to, y from, y to) of the floor it needs
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blender.contract import UserError, sha256_bytes, sha256_file


@dataclass(frozen=True)
class Assets:
    """Files that objects are built from."""

    people_dir: Path
    people: tuple[dict[str, Any], ...]
    """The people manifest's entries: file, pose, seated, height, ..."""
    digest: str
    """Hash of all assets, part of each frame's fingerprint."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """The profile's own files, by the name it gives them."""


def load_assets(people_dir: Path, files: Mapping[str, Path] | None = None) -> Assets:
    """Read the list of baked bodies, and look at the profile's own files.

    Raises:
        UserError: the bodies were not baked, or a file is missing.
    """
    path = people_dir / "manifest.json"
    try:
        people = tuple(json.loads(path.read_bytes())["people"])
    except FileNotFoundError:
        raise UserError(f"{path}: no people; bake them first (make people)") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not a readable people manifest ({error}); delete it and bake again"
        ) from None
    for entry in people:
        if not (people_dir / entry["file"]).is_file():
            raise UserError(
                f"{people_dir / entry['file']}: missing; delete {path} and bake again (make people)"
            )
    digest = sha256_file(path)
    for name, file in sorted((files or {}).items()):
        if not file.is_file():
            raise UserError(f"{file}: no such file; a table of [scene.objects] names it")
        digest = sha256_bytes(f"{digest} {name} {sha256_file(file)}".encode())
    return Assets(people_dir, people, digest, files or {})


def kind(name: str) -> Any:
    """The module of one kind.

    Raises:
        UserError: there is no such kind.
    """
    known = sorted(m.name for m in pkgutil.iter_modules(__path__))
    if name not in known:
        raise UserError(f"unknown kind of object '{name}'; known: {', '.join(known)}")
    return importlib.import_module(f"{__name__}.{name}")
