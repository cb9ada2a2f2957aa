"""Turn a SceneSpec into a bpy scene: meshes, shaders, lamps, camera, Cycles settings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from blender.assets import Assets
from blender.config.run import Config
from blender.contract import canonical_json
from blender.geometry.lens import LENSES, NEAR, SENSOR, camera_axes, focal_length
from blender.geometry.mesh import Floats, Part
from blender.kinds import find_kind
from blender.rendering.materials import SHADERS, shader
from blender.rendering.passes import use_exr
from blender.spec import CameraSpec, LampSpec, ObjectSpec, SceneSpec

PANORAMAS = Path(bpy.utils.system_resource("DATAFILES", path="studiolights/world"))
"""Eight small panoramas of Greg Zaal's, CC0, that come with Blender."""

REACH = 2.0
"""After the last bounce a ray that meets nothing for so many metres sees the ambient light."""


@dataclass(frozen=True)
class Placed:
    """One object of the spec in the scene."""

    spec: ObjectSpec
    object: Any
    """bpy object; ``pass_index`` is its instance id, 0 when unlabelled."""
    vertices: Floats
    """(V, 3) metres in the world."""
    triangles: np.ndarray
    """(T, 3) indices into vertices."""


def build_scene(spec: SceneSpec, config: Config, assets: Assets) -> list[Placed]:
    """Empty Blender and build the scene; labelled objects get ids 1..N in order."""
    _empty()
    scene = bpy.context.scene
    meshes: dict[bytes, tuple[Any, Floats, np.ndarray]] = {}
    placed, number = [], 0
    for index, item in enumerate(spec.objects):
        key = canonical_json([item.builder, item.params])
        if key not in meshes:  # equal objects share one mesh
            meshes[key] = _of_kind(item, assets)
        mesh, vertices, triangles = meshes[key]
        thing = bpy.data.objects.new(f"{index:04d} {item.builder}", mesh)
        thing.location, thing.rotation_euler = item.position, (0.0, 0.0, item.yaw)
        number += bool(item.category)
        thing.pass_index = number if item.category else 0
        scene.collection.objects.link(thing)
        placed.append(Placed(item, thing, to_world(vertices, item), triangles))
    for lamp in spec.lamps:
        if lamp.power > 0:
            _lamp(scene, lamp)
    _world(scene, spec.ambient, spec.environment)
    _camera(scene, spec.camera)
    _cycles(scene, config)
    return placed


def _empty() -> None:
    """Go back to factory settings and an empty scene, the shaders ready.

    bpy's own call for that, and making the shaders, would be a quarter of the building. So both are done once
    a process, and kept in a file that Blender removes at its end.

    Raises:
        OSError: that file cannot be written.
    """
    path = Path(bpy.app.tempdir) / "empty.blend"
    if not path.is_file():
        bpy.ops.wm.read_factory_settings(use_empty=True)
        path = Path(bpy.app.tempdir) / path.name  # that may have moved
        for surface in SHADERS:
            shader(surface).use_fake_user = True
        try:
            bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True, check_existing=False)
        except RuntimeError as error:
            raise OSError(28, f"Blender could not write its file: {str(error).strip()}", str(path)) from None
    bpy.ops.wm.open_mainfile(filepath=str(path), load_ui=False, use_scripts=False)


def to_world(points: Floats, item: ObjectSpec) -> Floats:
    """Carry points (N, 3) from an object's frame to the hall's."""
    c, s = np.cos(item.yaw), np.sin(item.yaw)
    rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return points @ rotation.T + np.asarray(item.position)


def _of_kind(item: ObjectSpec, assets: Assets) -> tuple[Any, Floats, np.ndarray]:
    """An object's bpy mesh, vertices (V, 3) and triangles (T, 3): built from parts, or read from a file."""
    kind = find_kind(item.builder)
    mesh = kind.mesh(item.params, assets)
    if mesh is None:
        return _mesh(kind.build(item.params, assets), item.builder)
    mesh.calc_loop_triangles()
    vertices = np.empty(3 * len(mesh.vertices), np.float32)
    triangles = np.empty(3 * len(mesh.loop_triangles), np.int32)
    mesh.vertices.foreach_get("co", vertices)
    mesh.loop_triangles.foreach_get("vertices", triangles)
    return mesh, vertices.reshape(-1, 3).astype(float), triangles.reshape(-1, 3)


def _mesh(parts: list[Part], name: str) -> tuple[Any, Floats, np.ndarray]:
    """One bpy mesh with a material slot per kind of surface; colour and wear are a face attribute."""
    parts = sorted(parts, key=lambda part: part.material.kind)
    mesh = bpy.data.meshes.new(name)
    each = [len(p.faces) for p in parts]
    offsets = np.cumsum([0] + [len(p.vertices) for p in parts[:-1]])
    vertices = np.concatenate([p.vertices for p in parts])
    faces = np.concatenate([p.faces for p in parts])
    faces = np.where(faces >= 0, faces + np.repeat(offsets, each)[:, None], -1)
    counts = np.where(faces[:, 3] < 0, 3, 4).astype(np.int32)
    loops = faces.ravel()[faces.ravel() >= 0].astype(np.int32)
    mesh.vertices.add(len(vertices))
    mesh.loops.add(len(loops))
    mesh.polygons.add(len(counts))
    # Straight into Blender's arrays: the properties of the same meaning copy value by value.
    mesh.attributes["position"].data.foreach_set("vector", vertices.astype(np.float32).ravel())
    mesh.attributes[".corner_vert"].data.foreach_set("value", loops)
    mesh.polygons.foreach_set("loop_start", np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int32))
    kinds = list(dict.fromkeys(p.material.kind for p in parts))
    slots = np.repeat([kinds.index(p.material.kind) for p in parts], each)
    _face_values(mesh, "material_index", "INT", slots.astype(np.int32))
    smooth = np.concatenate([np.zeros(len(p.faces), bool) if p.smooth is None else p.smooth for p in parts])
    _face_values(mesh, "sharp_face", "BOOLEAN", ~smooth)
    attribute = mesh.attributes.new("paint", "FLOAT_COLOR", "FACE")
    attribute.data.foreach_set("color", _paint(parts).astype(np.float32).ravel())
    for surface in kinds:
        mesh.materials.append(shader(surface))
    mesh.update(calc_edges=True)
    second = faces[faces[:, 3] >= 0][:, [0, 2, 3]]
    return mesh, vertices, np.concatenate([faces[:, :3], second])


def _face_values(mesh: Any, name: str, kind: str, values: np.ndarray) -> None:
    """Give every face of a mesh a value, (F,)."""
    mesh.attributes.new(name, kind, "FACE").data.foreach_set("value", values)


def _paint(parts: list[Part]) -> Floats:
    """Colour and wear of each face, (F, 4)."""
    each = [len(p.faces) for p in parts]
    looks = np.array([(*p.material.colour, p.material.wear) for p in parts], float)
    rgba = np.repeat(looks, each, axis=0)
    for part, first in zip(parts, np.cumsum([0, *each[:-1]]), strict=True):
        if part.tint is not None:
            rgba[first : first + len(part.faces), :3] *= part.tint
    return rgba


def _lamp(scene: Any, lamp: LampSpec) -> None:
    data = bpy.data.lights.new("lamp", "AREA")
    data.shape, data.size, data.size_y, data.energy = "RECTANGLE", lamp.size[0], lamp.size[1], lamp.power
    data.color = blackbody(lamp.temperature)
    thing = bpy.data.objects.new("lamp", data)
    thing.location = lamp.position
    scene.collection.objects.link(thing)


def blackbody(temperature: float) -> tuple[float, float, float]:
    """Linear RGB of a black body, brightest channel 1 (fit of T. Helland, 2012, to CIE 1964 data)."""
    t = temperature / 100
    red = 255.0 if t <= 66 else 329.7 * (t - 60) ** -0.1332
    green = 99.47 * np.log(t) - 161.12 if t <= 66 else 288.12 * (t - 60) ** -0.0755
    blue = 255.0 if t >= 66 else 138.52 * np.log(max(t - 10, 1)) - 305.04
    srgb = np.clip(np.array([red, green, blue]) / 255, 0, 1)
    r, g, b = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return float(r), float(g), float(b)


def _world(scene: Any, ambient: float, environment: str) -> None:
    """Light from everywhere, even or coloured by a panorama; Cycles gives it to rays that go on and on."""
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
    world.cycles.sampling_method = "NONE"  # walls and roof hide it: a ray aimed at it is wasted
    world.light_settings.distance = REACH
    scene.world = world


@cache
def _brightness(environment: str) -> float:
    """Mean of a panorama's pixels; a sun counts as 100, or all else in a sunny one would be black."""
    image = bpy.data.images.load(str(PANORAMAS / f"{environment}.exr"), check_existing=True)
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    return float(np.minimum(pixels.reshape(-1, 4)[:, :3], 100.0).mean())


def _camera(scene: Any, camera: CameraSpec) -> None:
    import mathutils

    data = bpy.data.cameras.new("camera")
    data.sensor_fit, data.sensor_width, data.clip_start, data.clip_end = "HORIZONTAL", SENSOR, NEAR, 500.0
    LENSES[camera.lens].set_up(data, SENSOR * focal_length(camera.lens, camera.fov))
    thing = bpy.data.objects.new("camera", data)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = camera_axes(camera), camera.position
    thing.matrix_world = mathutils.Matrix(matrix.tolist())
    scene.collection.objects.link(thing)
    scene.camera = thing


def _cycles(scene: Any, config: Config) -> None:
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
    cycles.use_light_tree = False  # a few equal lamps: picking one evenly is a third faster
    # The hall is closed, so light from outside would never come in. Instead it stands for what has been
    # reflected many times: the last bounce's rays are short, which also saves time.
    cycles.use_fast_gi, cycles.fast_gi_method = True, "REPLACE"
    cycles.ao_bounces_render = max(1, render.bounces)
