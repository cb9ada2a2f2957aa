"""The files that objects are built from, and the registry of object kinds."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from blender.contract import UserError, canonical_json, sha256_bytes, sha256_file


@dataclass(frozen=True)
class ModelFile:
    """A user's model and its bounding box, (3,) each in the file's units."""

    path: Path
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Assets:
    """Files that objects are built from."""

    people_dir: Path
    people: tuple[dict[str, Any], ...]
    """The people manifest's entries: file, pose, seated, height, ..."""
    digest: str
    """Hash of all assets, part of each frame's fingerprint."""
    files: dict[str, ModelFile] = field(default_factory=dict)
    """Models by their name in the profile."""


def load_assets(people_dir: Path, folder: Path = Path(), names: Iterable[str] = ()) -> Assets:
    """Read the list of baked bodies and measure the profile's models: ``names``, relative to ``folder``.

    Raises:
        UserError: people were not baked, or one is missing; a model can't be read.
    """
    people, digest = _people(people_dir)
    models = {name: folder / name for name in sorted(set(names))}
    if not models:
        return Assets(people_dir, people, digest)
    files = {name: _model_file(path) for name, path in models.items()}
    hashes = {name: _hash_model(path) for name, path in models.items()}
    return Assets(people_dir, people, sha256_bytes(canonical_json([digest, hashes])), files)


def _model_file(path: Path) -> ModelFile:
    try:
        from blender.geometry.model_file import measure
    except ImportError as error:
        raise UserError(f"{path}: Blender's Python module is needed to read it: {error}") from None
    low, high = measure(path)
    return ModelFile(path, tuple(low.tolist()), tuple(high.tolist()))


def _hash_model(path: Path) -> list[str]:
    """Hashes of the file and of those that an .obj or a .gltf names: materials, textures, buffers."""
    return [sha256_file(path), *(sha256_file(one) for one in named_beside(path) if one.is_file())]


def named_beside(path: Path) -> list[Path]:
    """The files that an .obj or a .gltf names; others hold all that they need, or what no hash follows."""
    if path.suffix.lower() == ".gltf":
        with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
            table = json.loads(path.read_bytes())
            uris = [one.get("uri", "") for part in ("buffers", "images") for one in table.get(part, [])]
            return [path.parent / unquote(uri) for uri in uris if uri and not uri.startswith("data:")]
    if path.suffix.lower() != ".obj":
        return []
    libraries = [path.parent / name for name in _words_after(path, ("mtllib",))]
    textures = [
        one for library in libraries for one in _words_after(library, ("map_", "bump", "disp", "norm"))
    ]
    return [*libraries, *(path.parent / name for name in textures)]


def _words_after(path: Path, keys: tuple[str, ...]) -> list[str]:
    """The last word of each line that begins with one of ``keys``."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [line.split()[-1] for line in lines if line.strip().lower().startswith(keys)]


def _people(people_dir: Path) -> tuple[tuple[dict[str, Any], ...], str]:
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
    return people, sha256_file(path)
