"""Read a user's model file as one bpy mesh. Each process imports a file once; every frame loads it."""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import bpy
from mathutils import Matrix

from blender.contract import (
    TEMPORARY_PREFIX,
    UserError,
    explain_temporary_errors,
    list_names,
    temporary_root,
)
from blender.geometry.model_info import (
    ModelFile,
    ModelPart,
    missing_buffers,
    referenced_files,
    texture_notes,
    unreadable_extensions,
)
from blender.geometry.model_opacity import prepare_cutouts, read_grey_opacity_maps
from blender.geometry.model_pieces import Piece, left_out, render_pieces, vertices_of

_NAME = "model.blend"
"""Name of the converted file in its temporary folder."""
_FILE_SOURCES = ("FILE", "SEQUENCE", "MOVIE", "TILED")
"""Sources of Blender's images that are files."""


@dataclass(frozen=True)
class _Converted:
    """A model that was imported."""

    folder: tempfile.TemporaryDirectory[str]
    """Contains the .blend file with the model's mesh; deleted with this process."""
    parts: tuple[ModelPart, ...]
    references: tuple[Path, ...]
    notes: tuple[str, ...]


def measure(path: Path) -> ModelFile:
    """Read a model and describe it. This replaces Blender's current scene by an empty one.

    Raises:
        UserError: see ``read_mesh``.
    """
    bpy.ops.wm.read_factory_settings(use_empty=True)
    points = vertices_of(read_mesh(path))
    converted = _convert(path)
    low, high = points.min(0).tolist(), points.max(0).tolist()
    return ModelFile(path, tuple(low), tuple(high), converted.parts, converted.references, converted.notes)


def read_mesh(path: Path) -> Any:
    """Read all surfaces of a file as one mesh with its materials. Scripts in the file never run.

    The caller owns the mesh. The names of its materials start with the file's name, so that none replaces a
    material of the renderer.

    Raises:
        UserError: the file is missing, damaged, without a visible surface, or of an unknown format.
    """
    folder = _convert(path).folder
    with bpy.data.libraries.load(str(Path(folder.name, _NAME)), link=False) as (source, target):
        target.meshes = source.meshes
    return target.meshes[0]


def _convert(path: Path) -> _Converted:
    if not path.is_file():
        raise UserError(f"{path}: no such model; name a file relative to the profile")
    state = path.stat()
    return _convert_version(path, state.st_mtime_ns, state.st_size)


@cache
def _convert_version(path: Path, modified: int, size: int) -> _Converted:
    """Convert a model to a .blend file with one mesh, in a folder that is deleted with this process.

    Importing the user's file takes far longer than loading a .blend file, and imported data are deleted with
    the scene. Files in ``bpy.app.tempdir`` are deleted too, so the .blend file has its own folder.
    """
    mesh, parts, references, notes = _import(path)
    notes += prepare_cutouts(path, mesh)
    for material in dict.fromkeys(mesh.materials):
        if material is not None:
            material.name = f"{path.name}: {material.name}"
    root = temporary_root()
    with explain_temporary_errors(root):
        folder = tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=root)
        bpy.data.libraries.write(str(Path(folder.name, _NAME)), {mesh}, path_remap="ABSOLUTE")
    return _Converted(folder, parts, references, notes)


def _import(path: Path) -> tuple[Any, tuple[ModelPart, ...], tuple[Path, ...], tuple[str, ...]]:
    """Import a model and join its surfaces to one mesh.

    Returns:
        The bpy mesh, the surfaces that it was joined from, the other files that the model refers to, and
        notes for the user.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path}: cannot be read as a model; export it as {', '.join(READERS)}")
    if missing := missing_buffers(path):
        raise UserError(f"{path}: its file {list_names(missing)} is missing; copy it to the model's folder")
    before = {kind: set(getattr(bpy.data, kind)) for kind in ("objects", "images", "libraries")}
    scene = _read(reader, path)
    imported = [item for item in bpy.data.objects if item not in before["objects"]]
    pieces = render_pieces(scene)
    notes = [*left_out(imported, {piece.source for piece in pieces}), *texture_notes(path)]
    references = referenced_files(path)
    if path.suffix.lower() == ".blend":
        references = _blend_references(path, before)
        notes += _other_scenes(path)
    if absent := [file.name for file in references if not file.is_file()]:
        notes.append(f"files that it refers to are missing: {list_names(absent)}; copy them beside it")
    for item in imported:
        bpy.data.objects.remove(item)
    bpy.data.scenes.remove(scene)
    if not sum(len(piece.mesh.polygons) for piece in pieces):
        reason = f" ({notes[0]})" if notes else ""
        raise UserError(f"{path}: the file contains no surface{reason}; export the model's meshes too")
    parts = tuple(piece.measure() for piece in pieces if len(piece.mesh.vertices))
    return _join(pieces), parts, tuple(references), tuple(notes)


def _read(reader: Callable[[Path], Any], path: Path) -> Any:
    """Call a reader; return the scene with the model.

    Raises:
        UserError: Blender cannot read the file.
    """
    messages = io.StringIO()  # Blender prints the traceback of its importer, and reports only its start
    try:
        with contextlib.redirect_stderr(messages):
            return reader(path)
    except Exception as error:  # importers raise whatever a damaged file leads to
        reason = _reason(messages.getvalue()) or _reason(str(error)) or type(error).__name__
        if extensions := unreadable_extensions(path, reason):
            # Blender's module for Python 3.13 comes without the library that decodes Draco.
            old = "draco" in extensions[0].lower() and sys.version_info >= (3, 12)
            version = ", or use Python 3.11 with its Blender 4.5" if old else ""
            raise UserError(
                f"{path}: it needs {' and '.join(extensions)}, which this Blender's module cannot read; "
                f"export it without{version}"
            ) from None
        raise UserError(f"{path}: not a readable model ({reason}); export it again") from None


def _reason(text: str) -> str:
    """Return the line of a traceback or of Blender's report that states the error."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith((" ", "Location:"))]
    return lines[-1].removeprefix("Error: ").strip() if lines else ""


def _gltf(path: Path) -> Any:
    return _import_to_new_scene(bpy.ops.import_scene.gltf, path)


def _obj(path: Path) -> Any:
    before = set(bpy.data.materials)
    scene = _import_to_new_scene(bpy.ops.wm.obj_import, path)
    read_grey_opacity_maps([material for material in bpy.data.materials if material not in before])
    return scene


def _import_to_new_scene(operator: Callable[..., Any], path: Path) -> Any:
    """Call an import operator, and move the objects that it created to a new scene."""
    before = set(bpy.data.objects)
    operator(filepath=str(path))
    scene = bpy.data.scenes.new("model")
    for item in bpy.data.objects:
        if item not in before:
            for collection in item.users_collection:
                collection.objects.unlink(item)
            scene.collection.objects.link(item)
    return scene


def _blend(path: Path) -> Any:
    """Append the file's first scene. Unlike opening the file, this runs no script in it."""
    with bpy.data.libraries.load(str(path), link=False) as (source, target):
        target.scenes = source.scenes[:1]
    if not target.scenes:
        raise ValueError("it contains no scene")
    return target.scenes[0]


READERS: dict[str, Callable[[Path], Any]] = {".glb": _gltf, ".gltf": _gltf, ".obj": _obj, ".blend": _blend}
"""File extension -> function that reads such a file into a scene of its own, and returns the scene."""


def _other_scenes(path: Path) -> list[str]:
    """Return a note if a .blend file has several scenes."""
    with bpy.data.libraries.load(str(path)) as (source, _):
        names = list(source.scenes)
    return [f"only its first scene '{names[0]}' is read, not {list_names(names[1:])}"] if names[1:] else []


def _blend_references(path: Path, before: dict[str, set[Any]]) -> list[Path]:
    """Return the libraries and the images outside a .blend file that was read.

    Args:
        path: the .blend file.
        before: Blender's data of each kind before the file was read.
    """
    data = [item for item in bpy.data.libraries if item not in before["libraries"]]
    for image in bpy.data.images:
        if image not in before["images"] and image.source in _FILE_SOURCES and not image.packed_files:
            data.append(image)
    # In Blender's paths, // stands for the folder of the file.
    names = [item.filepath.replace("\\", "/") for item in data if item.filepath]
    files = [path.parent / name[2:] if name.startswith("//") else Path(name) for name in names]
    return list(dict.fromkeys(file for file in files if file.absolute() != path.absolute()))


def _join(pieces: list[Piece]) -> Any:
    """Join surfaces to one mesh in the file's frame."""
    items = []
    for piece in pieces:
        mesh = piece.mesh
        mesh.transform(piece.matrix)
        if piece.matrix.determinant() < 0:
            mesh.flip_normals()
        item = bpy.data.objects.new("piece", mesh)
        item.matrix_world = Matrix.Identity(4)
        bpy.context.scene.collection.objects.link(item)
        items.append(item)
    first = items[0]
    if len(items) > 1:
        bpy.context.view_layer.update()
        with bpy.context.temp_override(
            active_object=first, object=first, selected_objects=items, selected_editable_objects=items
        ):
            bpy.ops.object.join()
    joined = first.data
    bpy.data.objects.remove(first)
    return joined
