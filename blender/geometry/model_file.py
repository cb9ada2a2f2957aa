"""Read a user's model file as one bpy mesh: imported once in a process, then appended by every frame."""

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
_SOLID = ("MESH", "CURVE", "SURFACE", "FONT", "META")


def measure(path: Path) -> tuple[Floats, Floats]:
    """Lowest and highest corner of a model, (3,) each in the file's units. Empties Blender.

    Raises:
        UserError: as ``read_mesh``.
    """
    bpy.ops.wm.read_factory_settings(use_empty=True)
    points = vertices_of(read_mesh(path))
    return points.min(0), points.max(0)


def vertices_of(mesh: Any) -> Floats:
    """Vertices of a bpy mesh, (V, 3) metres."""
    flat = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", flat)
    return flat.reshape(-1, 3).astype(float)


def read_mesh(path: Path) -> Any:
    """Everything solid in the file as one mesh, with its materials; scripts in the file never run.

    The mesh is the caller's own. Its materials bear the file's name too: none passes for one of ours.

    Raises:
        UserError: missing, of a kind that can't be read, damaged, or without a surface.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such model; name a file relative to the profile")
    state = path.stat()
    folder = _converted(path, state.st_mtime_ns, state.st_size)
    with bpy.data.libraries.load(str(Path(folder.name, _NAME)), link=False) as (source, wanted):
        wanted.meshes = source.meshes
    return wanted.meshes[0]


@cache
def _converted(path: Path, modified: int, size: int) -> tempfile.TemporaryDirectory[str]:
    """A folder, gone with this process, with a .blend of the model as one mesh.

    An importer takes far longer to read the user's file than Blender its own, and nothing that it made
    outlives the scene. (Nor does what is in ``bpy.app.tempdir``.)
    """
    mesh = _imported(path)
    for material in dict.fromkeys(mesh.materials):
        if material is not None:
            material.name = f"{path.name}: {material.name}"
    folder = tempfile.TemporaryDirectory(prefix="transpalette-")
    bpy.data.libraries.write(str(Path(folder.name, _NAME)), {mesh}, path_remap="ABSOLUTE")
    return folder


def _imported(path: Path) -> Any:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path}: cannot be read as a model; export it as {', '.join(READERS)}")
    before = set(bpy.data.objects)
    try:
        reader(path)
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise UserError(f"{path}: not a readable model ({reason}); export it again") from None
    found = [thing for thing in bpy.data.objects if thing not in before]
    pieces = _pieces(found)
    for thing in found:
        bpy.data.objects.remove(thing)
    if not sum(len(mesh.polygons) for mesh, _ in pieces):
        raise UserError(f"{path}: no surface in it; export the model's meshes too")
    return _joined(pieces)


def _gltf(path: Path) -> None:
    bpy.ops.import_scene.gltf(filepath=str(path))


def _obj(path: Path) -> None:
    bpy.ops.wm.obj_import(filepath=str(path))


def _blend(path: Path) -> None:
    """Append the file's first scene: unlike opening the file, that runs nothing in it."""
    with bpy.data.libraries.load(str(path), link=False) as (source, wanted):
        wanted.scenes = source.scenes[:1]
    for scene in wanted.scenes:
        for thing in scene.objects:
            bpy.context.scene.collection.objects.link(thing)
        bpy.data.scenes.remove(scene)


READERS: dict[str, Callable[[Path], None]] = {".glb": _gltf, ".gltf": _gltf, ".obj": _obj, ".blend": _blend}
"""Ending of a file -> what loads it into the current scene."""


def _pieces(found: list[Any]) -> list[tuple[Any, Any]]:
    """Meshes with modifiers applied, and where each stands; instances of collections made real."""
    bpy.context.view_layer.update()
    graph = bpy.context.evaluated_depsgraph_get()
    pieces = []
    for instance in graph.object_instances:
        owner = instance.parent if instance.is_instance else instance.object
        thing = instance.object
        if owner.original in found and thing.type in _SOLID and not thing.original.hide_render:
            mesh = bpy.data.meshes.new_from_object(thing, preserve_all_data_layers=True, depsgraph=graph)
            pieces.append((mesh, instance.matrix_world.copy()))
    return pieces


def _joined(pieces: list[tuple[Any, Any]]) -> Any:
    """One mesh of all pieces, in the file's frame."""
    things = []
    for mesh, place in pieces:
        mesh.transform(place)
        if place.determinant() < 0:
            mesh.flip_normals()
        thing = bpy.data.objects.new("piece", mesh)
        thing.matrix_world = Matrix.Identity(4)
        bpy.context.scene.collection.objects.link(thing)
        things.append(thing)
    first = things[0]
    if len(things) > 1:
        bpy.context.view_layer.update()
        with bpy.context.temp_override(
            active_object=first, object=first, selected_objects=things, selected_editable_objects=things
        ):
            bpy.ops.object.join()
    joined = first.data
    bpy.data.objects.remove(first)
    return joined
