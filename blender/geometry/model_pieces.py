"""The surfaces of a bpy scene as a render shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from blender.contract import list_names
from blender.geometry.mesh import Floats
from blender.geometry.model_info import ModelPart

_SOLID = ("MESH", "CURVE", "SURFACE", "FONT", "META")
"""Types of Blender objects that have a surface."""
_UNREAD = ("CURVES", "POINTCLOUD", "VOLUME", "GPENCIL", "GREASEPENCIL")
"""Types of Blender objects that a render shows, but that cannot be read as a surface."""


@dataclass(frozen=True)
class Piece:
    """One surface of a model."""

    mesh: Any
    """A bpy mesh with modifiers applied."""
    matrix: Any
    """Its world matrix."""
    source: str
    """Name of the Blender object that it was made from."""

    def measure(self) -> ModelPart:
        """Return the name and the bounding box of the surface in the file's frame."""
        points = vertices_of(self.mesh) @ np.array(self.matrix)[:3, :3].T + np.array(self.matrix)[:3, 3]
        return ModelPart(self.source, tuple(points.min(0).tolist()), tuple(points.max(0).tolist()))


def render_pieces(scene: Any) -> list[Piece]:
    """Return all surfaces that a render of a scene shows, with modifiers applied and instances made real.

    A render engine reads the surfaces, because only an engine sees a scene as a render shows it: with what is
    hidden in the viewport, without what is hidden in renders, and with the modifiers' settings for renders.
    """
    pieces: dict[tuple[Any, ...], Piece] = {}  # of all view layers, by the object and its instance
    errors: list[Exception] = []

    # A class of this function: one that outlives it would crash Blender's shutdown.
    class PieceReader(bpy.types.RenderEngine):  # type: ignore[misc]  # bpy has no types
        bl_idname, bl_label = "TRANSPALETTE_READ", "Transpalette model reader"

        def render(self, graph: Any) -> None:
            try:
                _collect_pieces(graph, pieces)
            except Exception as error:  # Blender would print it and go on
                errors.append(error.with_traceback(None))  # a traceback would keep this class

    render, camera = scene.render, bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera  # Blender refuses to render without one
    render.resolution_x = render.resolution_y = 16
    render.use_compositing = render.use_sequencer = render.use_multiview = render.use_freestyle = False
    render.use_persistent_data = False  # it would keep the engine
    bpy.utils.register_class(PieceReader)
    try:
        render.engine = PieceReader.bl_idname
        bpy.ops.render.render(scene=scene.name)
    finally:
        bpy.utils.unregister_class(PieceReader)
        del PieceReader
        bpy.data.cameras.remove(camera.data)
    if errors:
        raise errors[0]
    return list(pieces.values())


def _collect_pieces(graph: Any, pieces: dict[tuple[Any, ...], Piece]) -> None:
    """Add copies of the surfaces that a dependency graph shows to ``pieces``."""
    for instance in graph.object_instances:
        item = instance.object
        if item.type not in _SOLID:
            continue
        owner = instance.parent.name_full if instance.is_instance else ""
        key = (item.name_full, owner, tuple(instance.persistent_id) if owner else ())
        if key not in pieces:
            mesh = bpy.data.meshes.new_from_object(item, preserve_all_data_layers=True, depsgraph=graph)
            pieces[key] = Piece(mesh, instance.matrix_world.copy(), item.original.name)


def left_out(imported: list[Any], shown: set[str]) -> list[str]:
    """Return notes about objects that a user may miss in the model.

    Args:
        imported: the Blender objects of the file.
        shown: names of the objects that became surfaces.
    """
    hidden = [item.name for item in imported if item.type in _SOLID and item.name not in shown]
    unread = [f"{item.name} ({item.type.lower()})" for item in imported if item.type in _UNREAD]
    missing = [item.name for item in imported if item.is_missing or (item.data and item.data.is_missing)]
    groups = {"hidden in renders": hidden, "not a surface": unread, "in a missing library": missing}
    return [f"left out ({reason}): {list_names(names, 8)}" for reason, names in groups.items() if names]


def vertices_of(mesh: Any) -> Floats:
    """Return the vertices of a bpy mesh, (V, 3)."""
    flat = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", flat)
    return flat.reshape(-1, 3).astype(float)
