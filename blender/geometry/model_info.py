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


def unreadable_extensions(path: Path, reason: str) -> list[str]:
    """Describe the extensions of a glTF file because of which Blender's importer failed, for a message.

    Args:
        path: the model file.
        reason: the importer's error, which names an extension or its library.

    Returns:
        Entries such as "Draco compression (KHR_draco_mesh_compression)"; empty if the reason is another one.
    """
    if path.suffix.lower() not in (".gltf", ".glb"):
        return []
    table, names = gltf_table(path), []
    for key in ("extensionsRequired", "extensionsUsed"):
        entries = table.get(key)
        names += [name for name in entries if isinstance(name, str)] if isinstance(entries, list) else []
    texts = []
    for name in dict.fromkeys(names):
        known = name in EXTENSIONS
        keyword = name.split("_")[1].lower() if known else name  # libraries are named by it, such as "draco"
        if name in reason or (known and keyword in reason.lower()):
            texts.append(f"{EXTENSIONS[name]} ({name})" if known else name)
    return texts


def texture_notes(path: Path) -> list[str]:
    """Return a note if a glTF file has textures in a format that Blender leaves out without an error."""
    if path.suffix.lower() not in (".gltf", ".glb"):
        return []
    textures = gltf_table(path).get("textures")
    count = sum(
        isinstance(texture, dict) and "source" not in texture and "KHR_texture_basisu" in str(texture)
        for texture in (textures if isinstance(textures, list) else [])
    )
    return [f"left out (KTX2, which Blender cannot read): {count} textures; export PNG"] if count else []


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
    libraries = [_named_file(path, [text]) for text in _values(path, ("mtllib",))]
    default = path.with_suffix(".mtl")  # Blender's importer reads it, too
    if default.is_file():
        libraries.append(default)
    files = list(dict.fromkeys(libraries))
    for library in tuple(files):
        for text in _values(library, _TEXTURE_KEYS):
            # A texture's options precede its name, which may contain spaces.
            files.append(_named_file(library, [text[word.start() :] for word in re.finditer(r"\S+", text)]))
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


def _named_file(path: Path, names: list[str]) -> Path:
    """Return the first of ``names`` that is a file, or else the last if options precede it, or the first.

    Each is spelled as Blender's importer tries it: as it is, without quotes, with / for \\, with spaces for
    underscores, or in the folder of ``path``.
    """
    for name in names:
        bare = name.strip("\"'")
        slashes = bare.replace("\\", "/")
        for spelled in (name, bare, slashes, slashes.replace("_", " "), slashes.rpartition("/")[2]):
            file = path.parent / spelled
            with contextlib.suppress(OSError, ValueError):
                if spelled and file.is_file():
                    return file
    return path.parent / names[-1 if names[0].startswith("-") else 0].strip("\"'")
