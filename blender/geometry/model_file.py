"""Read a user's model file as one bpy mesh. Each process imports a file once; every frame loads it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from blender.contract import UserError
from blender.geometry.mesh import Floats

_NAME = "model.blend"
"""Name of the converted file in its temporary folder."""
_SOLID = ("MESH", "CURVE", "SURFACE", "FONT", "META")
"""Types of Blender objects that have a surface."""


def measure(path: Path) -> tuple[Floats, Floats]:
    """Return the lowest and the highest corner of a model, (3,) each in the file's units.

    This replaces Blender's current scene by an empty one.

    Raises:
        UserError: see ``read_mesh``.
    """
    bpy.ops.wm.read_factory_settings(use_empty=True)
    points = vertices_of(read_mesh(path))
    return points.min(0), points.max(0)


def vertices_of(mesh: Any) -> Floats:
    """Return the vertices of a bpy mesh, (V, 3)."""
    flat = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", flat)
    return flat.reshape(-1, 3).astype(float)


def read_mesh(path: Path) -> Any:
    """Read all surfaces of a file as one mesh with its materials. Scripts in the file never run.

    The caller owns the mesh. The names of its materials start with the file's name, so that none replaces a
    material of the renderer.

    Raises:
        UserError: the file is missing, damaged, without a surface, or of an unknown format.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such model; name a file relative to the profile")
    state = path.stat()
    folder = _converted(path, state.st_mtime_ns, state.st_size)
    with bpy.data.libraries.load(str(Path(folder.name, _NAME)), link=False) as (source, target):
        target.meshes = source.meshes
    return target.meshes[0]


@cache
def _converted(path: Path, modified: int, size: int) -> tempfile.TemporaryDirectory[str]:
    """Convert a model to a .blend file with one mesh, in a folder that is deleted with this process.

    Importing the user's file takes far longer than loading a .blend file, and imported data are deleted with
    the scene. Files in ``bpy.app.tempdir`` are deleted too, so the .blend file has its own folder.
    """
    mesh = _import(path)
    for material in dict.fromkeys(mesh.materials):
        if material is not None:
            material.name = f"{path.name}: {material.name}"
    folder = tempfile.TemporaryDirectory(prefix="transpalette-")
    bpy.data.libraries.write(str(Path(folder.name, _NAME)), {mesh}, path_remap="ABSOLUTE")
    return folder


def _import(path: Path) -> Any:
    """Import a model and join its surfaces to one mesh."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path}: cannot be read as a model; export it as {', '.join(READERS)}")
    before = set(bpy.data.objects)
    try:
        reader(path)
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise UserError(f"{path}: not a readable model ({reason}); export it again") from None
    imported = [item for item in bpy.data.objects if item not in before]
    pieces = _pieces(imported)
    for item in imported:
        bpy.data.objects.remove(item)
    if not sum(len(mesh.polygons) for mesh, _ in pieces):
        raise UserError(f"{path}: the file contains no surface; export the model's meshes too")
    return _join(pieces)


def _gltf(path: Path) -> None:
    bpy.ops.import_scene.gltf(filepath=str(path))


def _obj(path: Path) -> None:
    bpy.ops.wm.obj_import(filepath=str(path))


def _blend(path: Path) -> None:
    """Append the file's first scene. Unlike opening the file, this runs no script in it."""
    with bpy.data.libraries.load(str(path), link=False) as (source, target):
        target.scenes = source.scenes[:1]
    for scene in target.scenes:
        for item in scene.objects:
            bpy.context.scene.collection.objects.link(item)
        bpy.data.scenes.remove(scene)


READERS: dict[str, Callable[[Path], None]] = {".glb": _gltf, ".gltf": _gltf, ".obj": _obj, ".blend": _blend}
"""File extension -> function that loads such a file into the current scene."""


def _pieces(imported: list[Any]) -> list[tuple[Any, Any]]:
    """Return (mesh, world matrix) of all surfaces, with modifiers applied and instances made real."""
    bpy.context.view_layer.update()
    graph = bpy.context.evaluated_depsgraph_get()
    pieces = []
    for instance in graph.object_instances:
        owner = instance.parent if instance.is_instance else instance.object
        item = instance.object
        if owner.original in imported and item.type in _SOLID and not item.original.hide_render:
            mesh = bpy.data.meshes.new_from_object(item, preserve_all_data_layers=True, depsgraph=graph)
            pieces.append((mesh, instance.matrix_world.copy()))
    return pieces


def _join(pieces: list[tuple[Any, Any]]) -> Any:
    """Join (mesh, world matrix) pairs to one mesh in the file's frame."""
    items = []
    for mesh, place in pieces:
        mesh.transform(place)
        if place.determinant() < 0:
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
