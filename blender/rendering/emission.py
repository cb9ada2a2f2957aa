"""Render data instead of light: every surface emits a value, and its transparent parts are cut out.

The image lets rays through a transparent texture, so the passes must do the same. In a scene without such
materials one material overrides all others. Otherwise each surface gets its own: it emits the value where its
opacity is at least CUTOFF, and is invisible elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import bpy

from blender.geometry.opacity import CUTOFF, opacity_socket

Emit = Callable[[Any], Any]
"""Adds nodes to a node tree; returns the output socket of the value that the surface emits."""


@contextmanager
def emission_override(emit: Emit) -> Iterator[None]:
    """Let every surface emit a value, without other light; one sample per pixel, at its centre."""
    scene, layer = bpy.context.scene, bpy.context.view_layer
    cycles = scene.cycles
    plain, cut_out = _emissive(emit), any(map(opacity_socket, bpy.data.materials))
    settings = {
        (cycles, "samples"): 1,
        (cycles, "use_adaptive_sampling"): False,
        (cycles, "use_denoising"): False,
        (cycles, "pixel_filter_type"): "BOX",
        (cycles, "filter_width"): 0.01,
        (cycles, "max_bounces"): 0,
        (cycles, "sample_clamp_direct"): 0.0,
        (scene.render, "dither_intensity"): 0.0,
        (scene.render, "use_motion_blur"): False,
        (layer, "material_override"): None if cut_out else plain,
    }
    before = {key: getattr(*key) for key in settings}
    lamps = [o for o in scene.objects if o.type == "LIGHT"]
    background = scene.world.node_tree.nodes["Background"].inputs["Strength"]
    ambient = background.default_value
    for (owner, name), value in settings.items():
        setattr(owner, name, value)
    for lamp in lamps:
        lamp.visible_camera = False
    background.default_value = 0.0
    try:
        if cut_out:
            with _replaced_materials(plain, emit):
                yield
        else:
            yield
    finally:
        for (owner, name), value in before.items():
            setattr(owner, name, value)
        for lamp in lamps:
            lamp.visible_camera = True
        background.default_value = ambient


def is_cut_out(item: Any) -> bool:
    """Return whether a bpy object has a material that is transparent somewhere."""
    return any(map(opacity_socket, item.data.materials))


@contextmanager
def alone(item: Any) -> Iterator[None]:
    """Hide all objects but one from the camera."""
    others = [other for other in bpy.context.scene.objects if other != item and other.visible_camera]
    for other in others:
        other.visible_camera = False
    try:
        yield
    finally:
        for other in others:
            other.visible_camera = True


def emit_ids(tree: Any) -> Any:
    """Emit the object's pass_index (red) and the distance from the camera in metres (green)."""
    info, view = tree.nodes.new("ShaderNodeObjectInfo"), tree.nodes.new("ShaderNodeCameraData")
    combine = tree.nodes.new("ShaderNodeCombineXYZ")  # not Combine Color, which may clamp values
    tree.links.new(info.outputs["Object Index"], combine.inputs["X"])
    tree.links.new(view.outputs["View Distance"], combine.inputs["Y"])
    return combine.outputs[0]


def emit_normals(tree: Any) -> Any:
    """Emit the face normal in world coordinates, mapped from -1..1 to 0..1."""
    geometry, scale = tree.nodes.new("ShaderNodeNewGeometry"), tree.nodes.new("ShaderNodeVectorMath")
    scale.operation = "MULTIPLY_ADD"
    scale.inputs[1].default_value = scale.inputs[2].default_value = (0.5, 0.5, 0.5)
    tree.links.new(geometry.outputs["True Normal"], scale.inputs[0])
    return scale.outputs[0]


def _emissive(emit: Emit) -> Any:
    """Return the material of opaque surfaces; it is created on first use in the current .blend."""
    material = bpy.data.materials.get(emit.__name__)
    if material is None:
        material = bpy.data.materials.new(emit.__name__)
        material.use_nodes = True
        tree = material.node_tree
        tree.nodes.clear()
        out = tree.nodes.new("ShaderNodeOutputMaterial")
        tree.links.new(_emission(material, emit), out.inputs["Surface"])
    return material


def _emission(material: Any, emit: Emit) -> Any:
    """Add an emission shader to a material; return its output socket."""
    tree = material.node_tree
    glow = tree.nodes.new("ShaderNodeEmission")
    tree.links.new(emit(tree), glow.inputs["Color"])
    # Cycles must not sample these surfaces as lights.
    material.cycles.emission_sampling = "NONE"
    return glow.outputs[0]


@contextmanager
def _replaced_materials(plain: Any, emit: Emit) -> Iterator[None]:
    """Give opaque surfaces the material ``plain``, the others emissive copies of theirs with holes."""
    substitutes: dict[Any, Any] = {}
    for material in list(bpy.data.materials):
        if opacity_socket(material):
            substitutes[material] = _cut_out(material, emit)
    before = [(mesh, list(mesh.materials)) for mesh in bpy.data.meshes]
    for mesh, materials in before:
        for slot, material in enumerate(materials):
            mesh.materials[slot] = substitutes.get(material, plain)
        if not materials:
            mesh.materials.append(plain)
    try:
        yield
    finally:
        for mesh, materials in before:
            for slot, material in enumerate(materials):
                mesh.materials[slot] = material
            if not materials:
                mesh.materials.pop()
        for substitute in substitutes.values():
            bpy.data.materials.remove(substitute)


def _cut_out(material: Any, emit: Emit) -> Any:
    """Copy a material: it emits where it is opaque, and lets the ray through elsewhere."""
    copy = material.copy()
    tree = copy.node_tree
    output = tree.get_output_node("CYCLES")
    mix, hole = tree.nodes.new("ShaderNodeMixShader"), tree.nodes.new("ShaderNodeMath")
    hole.operation, hole.inputs[1].default_value = "LESS_THAN", CUTOFF
    tree.links.new(opacity_socket(copy), hole.inputs[0])
    tree.links.new(hole.outputs[0], mix.inputs[0])
    tree.links.new(_emission(copy, emit), mix.inputs[1])
    tree.links.new(tree.nodes.new("ShaderNodeBsdfTransparent").outputs[0], mix.inputs[2])
    tree.links.new(mix.outputs[0], output.inputs["Surface"])
    for link in output.inputs["Volume"].links:  # a volume would weaken the emission behind it
        tree.links.remove(link)
    return copy
