"""Your own object, from a file: glTF (.glb, .gltf), Wavefront (.obj) or Blender (.blend), its materials kept.

Origin: on the floor below the middle of its bounding box. No script, driver or handler of the file is run.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from blender.contract import UserError
from blender.mesh import Floats
from blender.objects import Assets
from blender.ranges import uniform

FORMATS = (".glb", ".gltf", ".obj", ".blend")
LIBRARY = "model.blend"
SOLID = ("MESH", "CURVE", "SURFACE", "FONT", "META")
"""Types of bpy objects that have a surface."""


@dataclass(frozen=True)
class Ranges:
    """Which file, and how it stands."""

    file: str
    """Path of the file; relative to the profile."""
    scale: tuple[float, float] = (1.0, 1.0)
    """The file's units in metres."""
    turn: float = 0.0
    """Turns the object about the vertical so that its front looks to +x, degrees."""

    def __post_init__(self) -> None:
        if not self.file.lower().endswith(FORMATS):
            raise ValueError(f"file '{self.file}': not one of {', '.join(FORMATS)}")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError("scale must be a range [low, high] above 0")


def sample(ranges: Ranges, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Draw one object's parameters (JSON values)."""
    return {"file": ranges.file, "scale": uniform(ranges.scale, rng), "turn": ranges.turn}


def footprint(params: dict[str, Any], assets: Assets) -> tuple[float, float, float, float]:
    """Extent on the floor: x from, x to, y from, y to, in metres in the object's own frame."""
    corners = _placed(_extent(assets.files[params["file"]]), params)
    (x0, y0, _), (x1, y1, _) = corners.min(0), corners.max(0)
    return float(x0), float(x1), float(y0), float(y1)


def load(params: dict[str, Any], assets: Assets) -> Any:
    """The object as a bpy mesh with its materials, in its own frame, in the current .blend."""
    path = assets.files[params["file"]]
    extent = _extent(path)
    mesh, vertices = _appended(path)
    mesh.vertices.foreach_set("co", _placed(vertices, params, extent).astype(np.float32).ravel())
    mesh.update()
    return mesh


def _appended(path: Path) -> tuple[Any, Floats]:
    """The file's mesh, appended to the current .blend, and its vertices (V, 3)."""
    source = f"{_converted(path).name}/{LIBRARY}"  # first: it may empty Blender, and bpy.data with it
    import bpy

    with bpy.data.libraries.load(source, link=False) as (theirs, ours):
        ours.meshes = theirs.meshes
    (mesh,) = ours.meshes
    vertices = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", vertices)
    return mesh, vertices.reshape(-1, 3).astype(float)


def _placed(points: Floats, params: dict[str, Any], extent: Floats | None = None) -> Floats:
    """Carry points (N, 3) of the file into the object's frame; ``extent`` (8, 3) defaults to the points."""
    turn = np.radians(params["turn"])
    c, s = np.cos(turn), np.sin(turn)
    matrix = params["scale"] * np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    corners = (points if extent is None else extent) @ matrix.T
    low, high = corners.min(0), corners.max(0)
    middle = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    return points @ matrix.T - middle


@lru_cache(maxsize=64)
def _extent(path: Path) -> Floats:
    """The corners of the file's bounding box, (8, 3), in its own units."""
    import bpy

    mesh, points = _appended(path)
    bpy.data.meshes.remove(mesh)
    low, high = points.min(0), points.max(0)
    if not (high - low > 1e-9).any():
        raise UserError(f"{path}: its mesh has no extent")
    return np.array(
        [[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])]
    )


@lru_cache(maxsize=64)
def _converted(path: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder, gone with the process, that holds the file's geometry as one mesh in a .blend.

    Made once a process: every frame takes its copy from there.

    Empties Blender: called while a scene is drawn, before it is built.

    Raises:
        UserError: the file is unreadable or holds no mesh.
    """
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    try:
        _import(path)
    except (RuntimeError, OSError) as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise UserError(f"{path}: cannot be read as {path.suffix}: {reason}") from None
    mesh = _joined(path)
    folder = tempfile.TemporaryDirectory(prefix="transpalette-model-")
    bpy.data.libraries.write(f"{folder.name}/{LIBRARY}", {mesh}, fake_user=True)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    return folder


def _import(path: Path) -> None:
    """Bring the file's objects into the empty scene."""
    import bpy

    suffix = path.suffix.lower()
    if suffix == ".obj":
        bpy.ops.wm.obj_import(filepath=str(path))
    elif suffix == ".blend":
        with bpy.data.libraries.load(str(path), link=False) as (theirs, ours):
            ours.objects = theirs.objects
        for thing in ours.objects:
            bpy.context.scene.collection.objects.link(thing)
    else:
        bpy.ops.import_scene.gltf(filepath=str(path))


def _joined(path: Path) -> Any:
    """All geometry of the scene as one mesh: modifiers applied, instances of collections made real."""
    import bpy

    graph = bpy.context.evaluated_depsgraph_get()
    found = [
        (instance.object.original, instance.matrix_world.copy())
        for instance in graph.object_instances
        if instance.object.type in ("MESH", "CURVE", "SURFACE", "FONT", "META")
        and not instance.object.hide_render
    ]
    meshes = []
    for thing, matrix in found:
        mesh = bpy.data.meshes.new_from_object(thing.evaluated_get(graph), depsgraph=graph)
        mesh.transform(matrix)
        if matrix.is_negative:
            mesh.flip_normals()
        meshes.append(mesh)
    meshes = [mesh for mesh in meshes if len(mesh.polygons)]
    if not meshes:
        raise UserError(f"{path}: holds no mesh with faces")
    return _merged(meshes)


def _merged(meshes: list[Any]) -> Any:
    """One mesh of many, each face keeping its material."""
    import bmesh
    import bpy

    whole = bmesh.new()
    materials: list[Any] = []
    for mesh in meshes:
        own = list(mesh.materials) or [None]
        materials += [material for material in own if material not in materials]
        slots = np.empty(len(mesh.polygons), np.int32)
        mesh.polygons.foreach_get("material_index", slots)
        known = np.array([materials.index(material) for material in own], np.int32)
        mesh.polygons.foreach_set("material_index", known[slots.clip(max=len(own) - 1)])
        whole.from_mesh(mesh)
    out = bpy.data.meshes.new("model")
    whole.to_mesh(out)
    whole.free()
    for material in materials:
        out.materials.append(material)
    return out
