"""Build a bpy scene from a ``SceneSpec``: meshes, shaders, lamps, camera, Cycles settings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import bpy
import mathutils
import numpy as np

from blender.assets import Assets
from blender.config.profile import Config
from blender.contract import canonical_json
from blender.geometry.lens import NEAR, camera_axes
from blender.geometry.mesh import Floats, Part
from blender.geometry.pose import to_world
from blender.kinds import find_kind
from blender.lenses import LENSES, SENSOR, focal_length
from blender.rendering.emission import is_cut_out
from blender.rendering.materials import SHADERS, shader
from blender.rendering.passes import use_exr
from blender.spec import CameraSpec, LampSpec, ObjectSpec, SceneSpec

PANORAMAS = Path(bpy.utils.system_resource("DATAFILES", path="studiolights/world"))
"""Folder of the eight small panoramas (by Greg Zaal, CC0) that come with Blender."""

AMBIENT_DISTANCE = 2.0
"""Metres. After the last bounce, a ray that hits nothing within this distance returns the ambient light."""

TRANSPARENT_LAYERS = 256
"""Number of surfaces that a ray may pass in a scene with transparent textures; behind more, it is black."""


@dataclass(frozen=True)
class SceneObject:
    """An object of the scene description together with its bpy object."""

    spec: ObjectSpec
    object: Any
    """The bpy object. Its ``pass_index`` is the instance id, or 0 if the object has no label."""
    vertices: Floats
    """(V, 3) world coordinates in metres."""
    triangles: np.ndarray
    """(T, 3) vertex indices."""


def build_scene(spec: SceneSpec, config: Config, assets: Assets) -> list[SceneObject]:
    """Replace Blender's current scene by the described scene. Labelled objects get the ids 1..N in order.

    Raises:
        OSError: the empty scene cannot be written to Blender's temporary folder.
    """
    _reset_to_empty_scene()
    scene = bpy.context.scene
    meshes: dict[bytes, tuple[Any, Floats, np.ndarray]] = {}
    placed, number = [], 0
    for index, item in enumerate(spec.objects):
        key = canonical_json([item.builder, item.params])
        if key not in meshes:  # objects with the same parameters share one mesh
            meshes[key] = _build_mesh(item, assets)
        mesh, vertices, triangles = meshes[key]
        bpy_object = bpy.data.objects.new(f"{index:04d} {item.builder}", mesh)
        bpy_object.location, bpy_object.rotation_euler = item.position, (0.0, 0.0, item.yaw)
        number += bool(item.category)
        bpy_object.pass_index = number if item.category else 0
        scene.collection.objects.link(bpy_object)
        placed.append(SceneObject(item, bpy_object, to_world(vertices, item), triangles))
    for lamp in spec.lamps:
        if lamp.power > 0:
            _add_lamp(scene, lamp)
    _set_world(scene, spec.ambient, spec.environment)
    _add_camera(scene, spec.camera)
    _configure_cycles(scene, config)
    if any(is_cut_out(item.object) for item in placed):
        scene.cycles.transparent_max_bounces = TRANSPARENT_LAYERS
    return placed


def _reset_to_empty_scene() -> None:
    """Load factory settings, an empty scene and all shaders.

    ``read_factory_settings`` and creating the shaders would take a quarter of the time for building a scene.
    So both are done once per process. The result is saved to a .blend file in Blender's temporary folder, and
    every later call loads that file.

    Raises:
        OSError: the file cannot be written.
    """
    path = Path(bpy.app.tempdir) / "empty.blend"
    if not path.is_file():
        bpy.ops.wm.read_factory_settings(use_empty=True)
        path = Path(bpy.app.tempdir) / path.name  # the call may have changed the folder
        for surface in SHADERS:
            shader(surface).use_fake_user = True
        try:
            bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True, check_existing=False)
        except RuntimeError as error:
            raise OSError(28, f"Blender could not write this file: {str(error).strip()}", str(path)) from None
    bpy.ops.wm.open_mainfile(filepath=str(path), load_ui=False, use_scripts=False)


def _build_mesh(item: ObjectSpec, assets: Assets) -> tuple[Any, Floats, np.ndarray]:
    """Create an object's bpy mesh from its parts, or load it from a model file.

    Returns:
        The bpy mesh, its vertices (V, 3) and its triangles (T, 3).
    """
    kind = find_kind(item.builder)
    mesh = kind.mesh(item.params, assets)
    if mesh is None:
        return _mesh_from_parts(kind.build(item.params, assets), item.builder)
    mesh.calc_loop_triangles()
    vertices = np.empty(3 * len(mesh.vertices), np.float32)
    triangles = np.empty(3 * len(mesh.loop_triangles), np.int32)
    mesh.vertices.foreach_get("co", vertices)
    mesh.loop_triangles.foreach_get("vertices", triangles)
    return mesh, vertices.reshape(-1, 3).astype(float), triangles.reshape(-1, 3)


def _mesh_from_parts(parts: list[Part], name: str) -> tuple[Any, Floats, np.ndarray]:
    """Join parts to one bpy mesh with one material slot per kind of surface.

    Colour and wear are stored in the face attribute "paint".

    Returns:
        The bpy mesh, its vertices (V, 3) and its triangles (T, 3).
    """
    parts = sorted(parts, key=lambda part: part.material.kind)
    mesh = bpy.data.meshes.new(name)
    face_counts = [len(p.faces) for p in parts]
    offsets = np.cumsum([0] + [len(p.vertices) for p in parts[:-1]])
    vertices = np.concatenate([p.vertices for p in parts])
    faces = np.concatenate([p.faces for p in parts])
    faces = np.where(faces >= 0, faces + np.repeat(offsets, face_counts)[:, None], -1)
    corner_counts = np.where(faces[:, 3] < 0, 3, 4).astype(np.int32)
    loops = faces.ravel()[faces.ravel() >= 0].astype(np.int32)
    mesh.vertices.add(len(vertices))
    mesh.loops.add(len(loops))
    mesh.polygons.add(len(corner_counts))
    # Write to the attribute arrays directly: the equivalent properties copy value by value.
    mesh.attributes["position"].data.foreach_set("vector", vertices.astype(np.float32).ravel())
    mesh.attributes[".corner_vert"].data.foreach_set("value", loops)
    loop_starts = np.concatenate([[0], np.cumsum(corner_counts)[:-1]]).astype(np.int32)
    mesh.polygons.foreach_set("loop_start", loop_starts)
    kinds = list(dict.fromkeys(p.material.kind for p in parts))
    slots = np.repeat([kinds.index(p.material.kind) for p in parts], face_counts)
    _set_face_attribute(mesh, "material_index", "INT", slots.astype(np.int32))
    smooth = np.concatenate([np.zeros(len(p.faces), bool) if p.smooth is None else p.smooth for p in parts])
    _set_face_attribute(mesh, "sharp_face", "BOOLEAN", ~smooth)
    attribute = mesh.attributes.new("paint", "FLOAT_COLOR", "FACE")
    attribute.data.foreach_set("color", _face_colours(parts).astype(np.float32).ravel())
    for surface in kinds:
        mesh.materials.append(shader(surface))
    mesh.update(calc_edges=True)
    second_triangles = faces[faces[:, 3] >= 0][:, [0, 2, 3]]  # a quad is two triangles
    return mesh, vertices, np.concatenate([faces[:, :3], second_triangles])


def _set_face_attribute(mesh: Any, name: str, data_type: str, values: np.ndarray) -> None:
    """Add a face attribute to a mesh; ``values`` is (F,)."""
    mesh.attributes.new(name, data_type, "FACE").data.foreach_set("value", values)


def _face_colours(parts: list[Part]) -> Floats:
    """Compute colour (RGB) and wear (alpha) of each face, (F, 4)."""
    face_counts = [len(p.faces) for p in parts]
    colours = np.array([(*p.material.colour, p.material.wear) for p in parts], float)
    rgba = np.repeat(colours, face_counts, axis=0)
    for part, first in zip(parts, np.cumsum([0, *face_counts[:-1]]), strict=True):
        if part.tint is not None:
            rgba[first : first + len(part.faces), :3] *= part.tint
    return rgba


def _add_lamp(scene: Any, lamp: LampSpec) -> None:
    data = bpy.data.lights.new("lamp", "AREA")
    data.shape, data.size, data.size_y, data.energy = "RECTANGLE", lamp.size[0], lamp.size[1], lamp.power
    data.color = blackbody(lamp.temperature)
    bpy_object = bpy.data.objects.new("lamp", data)
    bpy_object.location = lamp.position
    scene.collection.objects.link(bpy_object)


def blackbody(temperature: float) -> tuple[float, float, float]:
    """Convert a colour temperature in kelvin to linear RGB whose brightest channel is 1.

    T. Helland's fit (2012) to the CIE 1964 data of a black body.
    """
    t = temperature / 100
    red = 255.0 if t <= 66 else 329.7 * (t - 60) ** -0.1332
    green = 99.47 * np.log(t) - 161.12 if t <= 66 else 288.12 * (t - 60) ** -0.0755
    blue = 255.0 if t >= 66 else 138.52 * np.log(max(t - 10, 1)) - 305.04
    srgb = np.clip(np.array([red, green, blue]) / 255, 0, 1)
    r, g, b = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return float(r), float(g), float(b)


def _set_world(scene: Any, ambient: float, environment: str) -> None:
    """Set the ambient light, which rays return after the last bounce.

    Args:
        scene: the bpy scene.
        ambient: mean radiance, W/m2/sr.
        environment: the panorama that colours the light; "none": even white light.
    """
    world = bpy.data.worlds.new("world")
    world.use_nodes = True
    nodes, background = world.node_tree.nodes, world.node_tree.nodes["Background"].inputs
    background["Color"].default_value = (1.0, 1.0, 1.0, 1.0)
    background["Strength"].default_value = ambient
    if environment != "none":
        panorama = nodes.new("ShaderNodeTexEnvironment")
        panorama.image = bpy.data.images.load(str(PANORAMAS / f"{environment}.exr"))
        world.node_tree.links.new(panorama.outputs["Color"], background["Color"])
        background["Strength"].default_value = ambient / _brightness(environment)
    world.cycles.sampling_method = (
        "NONE"  # walls and roof hide the world, so sampling it directly takes time for nothing
    )
    world.light_settings.distance = AMBIENT_DISTANCE
    scene.world = world


@cache
def _brightness(environment: str) -> float:
    """Return the mean of a panorama's pixels. The sun is clipped to 100, so that the rest stays bright."""
    image = bpy.data.images.load(str(PANORAMAS / f"{environment}.exr"), check_existing=True)
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    return float(np.minimum(pixels.reshape(-1, 4)[:, :3], 100.0).mean())


def _add_camera(scene: Any, camera: CameraSpec) -> None:
    data = bpy.data.cameras.new("camera")
    data.sensor_fit, data.sensor_width, data.clip_start, data.clip_end = "HORIZONTAL", SENSOR, NEAR, 500.0
    LENSES[camera.lens].set_up(data, SENSOR * focal_length(camera.lens, camera.fov))
    bpy_object = bpy.data.objects.new("camera", data)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = camera_axes(camera), camera.position
    bpy_object.matrix_world = mathutils.Matrix(matrix.tolist())
    scene.collection.objects.link(bpy_object)
    scene.camera = bpy_object


def _configure_cycles(scene: Any, config: Config) -> None:
    """Apply [render] and the settings that all profiles share."""
    render = config.render
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y = render.width, render.height
    scene.render.resolution_percentage = 100
    scene.render.use_persistent_data = True
    scene.render.film_transparent = False
    use_exr(scene)
    cycles = scene.cycles
    cycles.seed = 0
    cycles.samples = render.samples
    cycles.use_adaptive_sampling = render.noise_threshold > 0
    cycles.adaptive_threshold = max(render.noise_threshold, 1e-4)
    cycles.use_denoising = render.denoise
    cycles.denoiser = "OPENIMAGEDENOISE"
    cycles.denoising_prefilter = "FAST"
    cycles.denoising_quality = render.denoise_quality.upper()
    cycles.max_bounces = render.bounces
    cycles.diffuse_bounces = cycles.glossy_bounces = render.bounces
    cycles.transmission_bounces, cycles.transparent_max_bounces = 2, 8
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_indirect = 4.0
    cycles.use_auto_tile = False
    cycles.use_light_tree = False  # with a few equal lamps, uniform sampling is a third faster
    # The hall is closed, so no light would enter from outside. Instead, Cycles' fast global illumination uses
    # the ambient light as an approximation of all further reflections. The rays of the last bounce are then
    # short, which also saves time.
    cycles.use_fast_gi, cycles.fast_gi_method = True, "REPLACE"
    cycles.ao_bounces_render = max(1, render.bounces)
