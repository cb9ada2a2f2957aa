"""Load the files that objects are built from: posed body meshes and the profile's own model files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blender.contract import UserError, canonical_json, sha256_bytes, sha256_file
from blender.geometry.model_info import ModelFile

MODEL_READER_VERSION = 2
"""Increase it whenever the same model file is read as another mesh, so that its frames are rendered again."""


@dataclass(frozen=True)
class Assets:
    """The files that objects are built from."""

    people_dir: Path
    people: tuple[dict[str, Any], ...]
    """The entries of the people manifest: file, pose, seated, height, ..."""
    digest: str
    """Hash of all these files; part of each frame's fingerprint."""
    files: dict[str, ModelFile] = field(default_factory=dict)
    """Model files by their name in the profile."""


def load_assets(people_dir: Path, folder: Path = Path(), names: Iterable[str] = ()) -> Assets:
    """Read the people manifest and measure the profile's model files.

    Args:
        people_dir: folder of the posed body meshes (``transpalette people``).
        folder: folder of the profile.
        names: paths of model files, relative to ``folder``.

    Raises:
        UserError: the people manifest or a body mesh is missing, or a model cannot be read.
    """
    people, digest = _read_people(people_dir)
    paths = {name: folder / name for name in sorted(set(names))}
    if not paths:
        return Assets(people_dir, people, digest)
    files = {name: _measure_model(path) for name, path in paths.items()}
    hashes = [MODEL_READER_VERSION, {name: _hash_model(file) for name, file in files.items()}]
    return Assets(people_dir, people, sha256_bytes(canonical_json([digest, hashes])), files)


def _measure_model(path: Path) -> ModelFile:
    try:
        from blender.geometry.model_file import measure  # imports bpy, which takes seconds
    except ImportError as error:
        raise UserError(f"{path}: Blender's Python module is needed to read it: {error}") from None
    return measure(path)


def _hash_model(file: ModelFile) -> list[str]:
    """Hash a model file and the files that it refers to."""
    return [sha256_file(path) for path in (file.path, *file.references) if path.is_file()]


def _read_people(people_dir: Path) -> tuple[tuple[dict[str, Any], ...], str]:
    """Read the people manifest; return its entries and its hash.

    Raises:
        UserError: the manifest or one of its body meshes is missing, or the manifest cannot be read.
    """
    path = people_dir / "manifest.json"
    try:
        people = tuple(json.loads(path.read_bytes())["people"])
    except FileNotFoundError:
        raise UserError(f"{path}: no people manifest; bake the body meshes first (make people)") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not a readable people manifest ({error}); delete it and bake again"
        ) from None
    if not people:
        raise UserError(f"{path}: lists no body mesh; delete it and bake again (make people)")
    for entry in people:
        if not (people_dir / entry["file"]).is_file():
            raise UserError(
                f"{people_dir / entry['file']}: missing; delete {path} and bake again (make people)"
            )
    return people, sha256_file(path)
