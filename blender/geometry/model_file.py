"""Read a user's model file as one bpy mesh. Each process imports a file once; every frame loads it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from blender.contract import UserError
from blender.geometry.mesh import Floats
from blender.geometry.opacity import CUTOFF, UnknownOpacityError, add_opacity

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


def describe_opacity(path: Path) -> tuple[bool, tuple[str, ...]]:
    """Return whether parts of a model are transparent and cut out of its masks, and warnings about that.

    Raises:
        UserError: see ``read_mesh``.
    """
    converted = _find_converted(path)
    return converted.transparent, converted.warnings


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
    folder = _find_converted(path).folder
    with bpy.data.libraries.load(str(Path(folder.name, _NAME)), link=False) as (source, target):
        target.meshes = source.meshes
    return target.meshes[0]


@dataclass(frozen=True)
class _Converted:
    """A model as a .blend file with one mesh."""

    folder: tempfile.TemporaryDirectory[str]
    """The folder of the file; it is deleted with this process."""
    transparent: bool
    """Parts of the model are transparent: their opacity is below ``CUTOFF``."""
    warnings: tuple[str, ...]
    """What to tell the user about the opacity of the model."""


def _find_converted(path: Path) -> _Converted:
    if not path.is_file():
        raise UserError(f"{path}: no such model; name a file relative to the profile")
    state = path.stat()
    return _convert(path, state.st_mtime_ns, state.st_size)


@cache
def _convert(path: Path, modified: int, size: int) -> _Converted:
    """Convert a model to a .blend file with one mesh.

    Importing the user's file takes far longer than loading a .blend file, and imported data are deleted with
    the scene. Files in ``bpy.app.tempdir`` are deleted too, so the .blend file has its own folder.
    """
    mesh = _import(path)
    transparent, warnings = _prepare_cutouts(path, mesh)
    for material in dict.fromkeys(mesh.materials):
        if material is not None:
            material.name = f"{path.name}: {material.name}"
    folder = tempfile.TemporaryDirectory(prefix="transpalette-")
    bpy.data.libraries.write(str(Path(folder.name, _NAME)), {mesh}, path_remap="ABSOLUTE")
    return _Converted(folder, transparent, warnings)


def _prepare_cutouts(path: Path, mesh: Any) -> tuple[bool, tuple[str, ...]]:
    """Add the opacity of each material to its node tree, and delete the faces that are invisible.

    Returns:
        Whether the opacity of some faces is below ``CUTOFF``, and warnings.

    Raises:
        UserError: all faces are invisible.
    """
    known: dict[Any, float | None] = {None: 1.0}
    warnings = []
    for material in dict.fromkeys(mesh.materials):
        try:
            known[material] = add_opacity(material) if material else 1.0
        except UnknownOpacityError as error:
            known[material] = 1.0
            warnings.append(
                f"material '{material.name}' counts as opaque: {error}; if it is transparent, build it with "
                "Mix Shader and Transparent BSDF, or with the alpha of Principled BSDF"
            )
    slots = np.zeros(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("material_index", slots)
    of_slot = np.array([known[material] for material in mesh.materials] or [1.0], float)  # NaN: it varies
    opacity = of_slot[slots.clip(0, len(of_slot) - 1)]
    transparent = not (opacity >= CUTOFF).all()
    _delete_faces(mesh, np.flatnonzero(opacity == 0))
    opacity = opacity[opacity != 0]
    if not len(opacity):
        raise UserError(f"{path}: the model is invisible; raise the alpha of its materials")
    if (opacity < CUTOFF).all():
        warnings.append(
            f"the opacity of the whole model is below {CUTOFF}, so its objects get no mask; raise the alpha "
            "of its materials"
        )
    return transparent, tuple(warnings)


def _delete_faces(mesh: Any, faces: np.ndarray) -> None:
    """Delete the faces with these indices, and the vertices of no other face."""
    if not len(faces):
        return
    import bmesh  # bpy provides this module, and the imports above are sorted by name

    editable = bmesh.new()
    editable.from_mesh(mesh)
    editable.faces.ensure_lookup_table()
    bmesh.ops.delete(editable, geom=[editable.faces[k] for k in faces], context="FACES")
    editable.to_mesh(mesh)
    editable.free()


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
    """Import an .obj file.

    Blender reads an opacity map (map_d) from the image's alpha. If the image has none, its grey is meant.
    """
    bpy.ops.wm.obj_import(filepath=str(path))
    for material in bpy.data.materials:
        for link in list(material.node_tree.links) if material.node_tree else []:
            image = getattr(link.from_node, "image", None)
            if image and link.from_socket.name == "Alpha" and image.depth in (8, 24):  # bits: no alpha
                link.from_node.image = image.copy()  # a colour may use the same image
                link.from_node.image.colorspace_settings.name = "Non-Color"
                material.node_tree.links.new(link.from_node.outputs["Color"], link.to_socket)


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
