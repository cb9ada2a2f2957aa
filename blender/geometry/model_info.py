"""What a model file contains, which other files it refers to, and what it needs of its reader. No bpy."""

from __future__ import annotations

import contextlib
import json
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

Corner = tuple[float, float, float]

EXTENSIONS = {
    "KHR_draco_mesh_compression": "Draco compression",
    "EXT_meshopt_compression": "meshopt compression",
    "KHR_meshopt_compression": "meshopt compression",
    "KHR_texture_basisu": "KTX2 textures",
}
"""glTF extensions that some or all versions of Blender cannot read, in the words of export dialogs."""

_TEXTURE_KEYS = ("map_", "bump", "disp", "norm", "refl", "decal")
"""Starts of the lines of an .mtl file that name a texture."""


@dataclass(frozen=True)
class ModelPart:
    """One surface of a model and its bounding box in the file's units."""

    name: str
    low: Corner
    high: Corner


@dataclass(frozen=True)
class ModelFile:
    """A user's model file, the bounding box of its model in the file's units, and what was read."""

    path: Path
    low: Corner
    high: Corner
    parts: tuple[ModelPart, ...] = ()
    """The surfaces that were joined to the model."""
    references: tuple[Path, ...] = ()
    """Materials, textures, buffers and libraries outside the file; some may be missing."""
    notes: tuple[str, ...] = ()
    """What the user should know about the file, one line each, without its name."""


def list_names(names: list[str], limit: int = 8) -> str:
    """Join names for a message; beyond ``limit`` only their number is given."""
    text = ", ".join(f"'{name}'" for name in names[:limit])
    return text if len(names) <= limit else f"{text} and {len(names) - limit} more"


def gltf_table(path: Path) -> dict[str, Any]:
    """Return the JSON of a .gltf or .glb file; empty if it cannot be read."""
    with contextlib.suppress(OSError, ValueError, struct.error):
        data = path.read_bytes()
        if data[:4] == b"glTF":  # a header of 12 bytes, then a chunk: its length, its type, the JSON
            (length,) = struct.unpack_from("<I", data, 12)
            data = data[20 : 20 + length]
        table = json.loads(data)
        if isinstance(table, dict):
            return table
    return {}


def unreadable_extensions(path: Path) -> list[str]:
    """Describe the extensions of a glTF file that Blender's importer may lack, for a message.

    Returns:
        Entries such as "Draco compression (KHR_draco_mesh_compression)"; empty for other files.
    """
    if path.suffix.lower() not in (".gltf", ".glb"):
        return []
    table = gltf_table(path)
    required = table.get("extensionsRequired")
    used = table.get("extensionsUsed")
    names = [
        *(required if isinstance(required, list) else []),
        *(name for name in (used if isinstance(used, list) else []) if name in EXTENSIONS),
    ]
    return [
        f"{EXTENSIONS[name]} ({name})" if name in EXTENSIONS else str(name) for name in dict.fromkeys(names)
    ]


def missing_buffers(path: Path) -> list[str]:
    """Return the names of a glTF file's buffers that do not exist."""
    if path.suffix.lower() not in (".gltf", ".glb"):
        return []
    return [file.name for file in _gltf_files(path, ("buffers",)) if not file.is_file()]


def referenced_files(path: Path) -> list[Path]:
    """Return the materials, textures and buffers that an .obj, .gltf or .glb file refers to.

    Files may be missing. Those of a .blend are known after Blender has read it: ``ModelFile.references``.
    """
    if path.suffix.lower() in (".gltf", ".glb"):
        return _gltf_files(path, ("buffers", "images"))
    if path.suffix.lower() != ".obj":
        return []
    libraries = [_named_file(path, text) for text in _values(path, ("mtllib",))]
    default = path.with_suffix(".mtl")  # Blender's importer reads it, too
    if default.is_file():
        libraries.append(default)
    files = list(dict.fromkeys(libraries))
    for library in tuple(files):
        files += [_named_file(library, text) for text in _values(library, _TEXTURE_KEYS)]
    return list(dict.fromkeys(files))


def _gltf_files(path: Path, sections: tuple[str, ...]) -> list[Path]:
    """Return the files that these sections of a glTF file name by a URI."""
    table, files = gltf_table(path), []
    for section in sections:
        entries = table.get(section)
        for entry in entries if isinstance(entries, list) else []:
            uri = entry.get("uri") if isinstance(entry, dict) else None
            if isinstance(uri, str) and uri and not uri.startswith("data:"):
                files.append(path.parent / unquote(uri))
    return files


def _values(path: Path, keys: tuple[str, ...]) -> Iterator[str]:
    """Yield the rest of each line whose first word starts with one of ``keys``."""
    try:
        # surrogateescape: the names of files may be in any encoding.
        text = path.read_text(encoding="utf-8", errors="surrogateescape").removeprefix("\ufeff")
    except OSError:
        return
    for line in text.replace("\\\n", " ").splitlines():
        words = line.split(maxsplit=1)
        if len(words) == 2 and words[0].lower().startswith(keys):
            yield words[1].strip()


def _named_file(path: Path, text: str) -> Path:
    """Return the file that a line of ``path`` names.

    The name may contain spaces, and a texture's options may precede it. So the longest end of the line that
    is a file is taken, spelled as Blender's importer tries it: as it is, without quotes, with / for \\, with
    spaces for underscores, or in the folder of ``path``. If there is none, it is the last word, or the whole
    text if that has no options.
    """
    ends = [text[word.start() :] for word in re.finditer(r"\S+", text)]
    for end in ends:
        bare = end.strip("\"'")
        slashes = bare.replace("\\", "/")
        for name in (end, bare, slashes, slashes.replace("_", " "), slashes.rpartition("/")[2]):
            candidate = path.parent / name
            with contextlib.suppress(OSError, ValueError):
                if candidate.is_file():
                    return candidate
    return path.parent / (ends[-1] if text.startswith("-") else text).strip("\"'")
