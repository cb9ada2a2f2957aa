"""Shader nodes in few words: what the surfaces of ``blender.rendering.materials`` are put together from."""

from __future__ import annotations

from typing import Any

import bpy


def node(tree: Any, kind: str, **values: Any) -> Any:
    """Add a node; ``values`` are its properties, or inputs by name with spaces as underscores."""
    node = tree.nodes.new(kind)
    for key, value in values.items():
        if hasattr(node, key):
            setattr(node, key, value)
        else:
            node.inputs[key.replace("_", " ")].default_value = value
    return node


def mix(tree: Any, factor: Any, a: Any, b: Any, blend: str = "MIX") -> Any:
    """Colour mix; ``factor``, ``a`` and ``b`` are sockets or values. Returns the output socket."""
    node = tree.nodes.new("ShaderNodeMix")
    node.data_type, node.blend_type = "RGBA", blend
    for socket, value in ((node.inputs[0], factor), (node.inputs[6], a), (node.inputs[7], b)):
        if isinstance(value, bpy.types.NodeSocket):
            tree.links.new(value, socket)
        else:
            socket.default_value = value
    return node.outputs[2]


def ramp(tree: Any, source: Any, low: float, high: float, to: tuple[float, float] = (0.0, 1.0)) -> Any:
    """Carry ``source`` from low..high to ``to``, and no further. Returns the output socket."""
    node = tree.nodes.new("ShaderNodeMapRange")
    tree.links.new(source, node.inputs["Value"])
    node.inputs["From Min"].default_value, node.inputs["From Max"].default_value = low, high
    node.inputs["To Min"].default_value, node.inputs["To Max"].default_value = to
    return node.outputs["Result"]


def noise(
    tree: Any, scale: float, stretch: tuple[float, float, float] = (1, 1, 1), detail: float = 2.0
) -> Any:
    """Fractal noise over object coordinates, shifted per object so that no two look alike."""
    where = node(tree, "ShaderNodeTexCoord").outputs["Object"]
    shift = node(tree, "ShaderNodeVectorMath", operation="MULTIPLY_ADD")
    tree.links.new(node(tree, "ShaderNodeObjectInfo").outputs["Random"], shift.inputs[0])
    shift.inputs[1].default_value = (50, 50, 50)
    tree.links.new(where, shift.inputs[2])
    mapping = node(tree, "ShaderNodeMapping")
    mapping.inputs["Scale"].default_value = stretch
    tree.links.new(shift.outputs["Vector"], mapping.inputs["Vector"])
    noise = node(tree, "ShaderNodeTexNoise", Scale=scale, Detail=detail, Roughness=0.6)
    tree.links.new(mapping.outputs["Vector"], noise.inputs["Vector"])
    return noise.outputs[0]


def painted(tree: Any) -> Any:
    """The faces' colour ("Color") and wear ("Alpha")."""
    return node(tree, "ShaderNodeAttribute", attribute_name="paint").outputs


def matte(tree: Any) -> Any:
    """Without a highlight worth seeing; half the cost of a principled surface."""
    return node(tree, "ShaderNodeBsdfDiffuse", Roughness=0.5)


def principled(tree: Any, roughness: float) -> Any:
    """A surface with a highlight."""
    return node(tree, "ShaderNodeBsdfPrincipled", Roughness=roughness)


def coordinates(tree: Any) -> Any:
    """Place in the object's frame, metres, by axis: "Z" is the height."""
    split = node(tree, "ShaderNodeSeparateXYZ")
    tree.links.new(node(tree, "ShaderNodeTexCoord").outputs["Object"], split.inputs[0])
    return split.outputs


def diffuse(tree: Any, colour: Any) -> None:
    """Let the whole surface be matte, of a colour that a socket gives."""
    out, bsdf = node(tree, "ShaderNodeOutputMaterial"), matte(tree)
    tree.links.new(colour, bsdf.inputs[0])
    tree.links.new(bsdf.outputs[0], out.inputs["Surface"])
