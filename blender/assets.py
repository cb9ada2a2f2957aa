"""Load the files that objects are built from: posed body meshes and the profile's own model files."""

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
    """A user's model file."""

    path: Path
    low: tuple[float, ...]
    """Lowest corner of the model's bounding box, (3,) in the file's units."""
    high: tuple[float, ...]
    """Highest corner."""
    transparent: bool = False
    """Parts of the model are transparent and cut out of the masks."""
    warnings: tuple[str, ...] = ()
    """What the user should know about the model."""


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
    hashes = {name: _hash_model(file) for name, file in files.items()}
    return Assets(people_dir, people, sha256_bytes(canonical_json([digest, hashes])), files)


def _measure_model(path: Path) -> ModelFile:
    try:
        # Imports bpy, which takes seconds.
        from blender.geometry.model_file import describe_opacity, measure
    except ImportError as error:
        raise UserError(f"{path}: Blender's Python module is needed to read it: {error}") from None
    low, high = measure(path)
    return ModelFile(path, tuple(low.tolist()), tuple(high.tolist()), *describe_opacity(path))


def _hash_model(file: ModelFile) -> list[str]:
    """Hash a model file and the files that it refers to."""
    paths = [file.path, *(other for other in referenced_files(file.path) if other.is_file())]
    # The word makes the fingerprint differ from that of frames from before transparent parts were cut out.
    return [*map(sha256_file, paths), *(["cut out"] if file.transparent else [])]


def referenced_files(path: Path) -> list[Path]:
    """Return the materials, textures and buffers that an .obj or a .gltf file refers to.

    Empty for other formats: a .glb contains all its data, and the references of a .blend are not followed.
    """
    if path.suffix.lower() == ".gltf":
        with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
            table = json.loads(path.read_bytes())
            entries = [entry for section in ("buffers", "images") for entry in table.get(section, [])]
            uris = [entry.get("uri", "") for entry in entries]
            return [path.parent / unquote(uri) for uri in uris if uri and not uri.startswith("data:")]
    if path.suffix.lower() != ".obj":
        return []
    libraries = [path.parent / name for name in _last_words(path, ("mtllib",))]
    textures = [
        name for library in libraries for name in _last_words(library, ("map_", "bump", "disp", "norm"))
    ]
    return [*libraries, *(path.parent / name for name in textures)]


def _last_words(path: Path, keys: tuple[str, ...]) -> list[str]:
    """Return the last word of each line that starts with one of ``keys``; empty if the file is unreadable."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [line.split()[-1] for line in lines if line.strip().lower().startswith(keys)]


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
