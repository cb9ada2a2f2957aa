"""Transparent parts of a model: the opacity of its materials, and faces that are invisible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from blender.contract import UserError
from blender.geometry.opacity import CUTOFF, UnknownOpacityError, add_opacity


def prepare_cutouts(path: Path, mesh: Any) -> tuple[str, ...]:
    """Add the opacity of each material to its node tree, and delete the faces that are invisible.

    Args:
        path: the model's file, for messages.
        mesh: the model as a bpy mesh.

    Returns:
        Notes for the user.

    Raises:
        UserError: all faces are invisible.
    """
    known: dict[Any, float | None] = {None: 1.0}
    notes = []
    for material in dict.fromkeys(mesh.materials):
        try:
            known[material] = add_opacity(material) if material else 1.0
        except UnknownOpacityError as error:
            known[material] = 1.0
            notes.append(
                f"material '{material.name}' counts as opaque: {error}; if it is transparent, build it with "
                "Mix Shader and Transparent BSDF, or with the alpha of Principled BSDF"
            )
    slots = np.zeros(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("material_index", slots)
    of_slot = np.array([known[material] for material in mesh.materials] or [1.0], float)  # NaN: it varies
    opacity = of_slot[slots.clip(0, len(of_slot) - 1)]
    _delete_faces(mesh, np.flatnonzero(opacity == 0))
    opacity = opacity[opacity != 0]
    if not len(opacity):
        raise UserError(f"{path}: the model is invisible; raise the alpha of its materials")
    if (opacity < CUTOFF).all():
        notes.append(
            f"the opacity of the whole model is below {CUTOFF}, so its objects get no mask; raise the alpha "
            "of its materials"
        )
    return tuple(notes)


def _delete_faces(mesh: Any, faces: np.ndarray) -> None:
    """Delete the faces with these indices, and the vertices that no other face has."""
    if not len(faces):
        return
    import bmesh  # Blender's own module; it exists after bpy is imported

    editable = bmesh.new()
    editable.from_mesh(mesh)
    editable.faces.ensure_lookup_table()
    bmesh.ops.delete(editable, geom=[editable.faces[k] for k in faces], context="FACES")
    editable.to_mesh(mesh)
    editable.free()


def read_grey_opacity_maps(materials: list[Any]) -> None:
    """Take the opacity from the grey of images without an alpha channel.

    Blender reads the opacity maps of .obj files (map_d) from the alpha of an image alone.
    """
    for material in materials:
        for link in list(material.node_tree.links) if material.node_tree else []:
            image = getattr(link.from_node, "image", None)
            if image and link.from_socket.name == "Alpha" and image.depth in (8, 24):  # bits: no alpha
                link.from_node.image = image.copy()  # a colour may use the same image
                link.from_node.image.colorspace_settings.name = "Non-Color"
                material.node_tree.links.new(link.from_node.outputs["Color"], link.to_socket)
