"""Helpers that add shader nodes to a node tree, used by ``blender.rendering.materials``."""

from __future__ import annotations

from typing import Any

import bpy


def node(tree: Any, kind: str, **values: Any) -> Any:
    """Add a node to a tree and return it.

    Args:
        tree: the node tree.
        kind: the node's bpy type, such as "ShaderNodeMath".
        **values: properties of the node, or default values of its inputs. In names of
            inputs, write an underscore for a space.
    """
    node = tree.nodes.new(kind)
    for key, value in values.items():
        if hasattr(node, key):
            setattr(node, key, value)
        else:
            node.inputs[key.replace("_", " ")].default_value = value
    return node


def mix(tree: Any, factor: Any, a: Any, b: Any, blend: str = "MIX") -> Any:
    """Mix two colours; ``factor``, ``a`` and ``b`` are sockets or values. Return the output socket."""
    node = tree.nodes.new("ShaderNodeMix")
    node.data_type, node.blend_type = "RGBA", blend
    for socket, value in ((node.inputs[0], factor), (node.inputs[6], a), (node.inputs[7], b)):
        if isinstance(value, bpy.types.NodeSocket):
            tree.links.new(value, socket)
        else:
            socket.default_value = value
    return node.outputs[2]


def ramp(tree: Any, source: Any, low: float, high: float, to: tuple[float, float] = (0.0, 1.0)) -> Any:
    """Map ``source`` linearly from low..high to the range ``to``, clamped. Return the output socket."""
    node = tree.nodes.new("ShaderNodeMapRange")
    tree.links.new(source, node.inputs["Value"])
    node.inputs["From Min"].default_value, node.inputs["From Max"].default_value = low, high
    node.inputs["To Min"].default_value, node.inputs["To Max"].default_value = to
    return node.outputs["Result"]


def noise(
    tree: Any, scale: float, stretch: tuple[float, float, float] = (1, 1, 1), detail: float = 2.0
) -> Any:
    """Add fractal noise over object coordinates with a random offset per object. Return the output socket."""
    position = node(tree, "ShaderNodeTexCoord").outputs["Object"]
    shift = node(tree, "ShaderNodeVectorMath", operation="MULTIPLY_ADD")
    tree.links.new(node(tree, "ShaderNodeObjectInfo").outputs["Random"], shift.inputs[0])
    shift.inputs[1].default_value = (50, 50, 50)
    tree.links.new(position, shift.inputs[2])
    mapping = node(tree, "ShaderNodeMapping")
    mapping.inputs["Scale"].default_value = stretch
    tree.links.new(shift.outputs["Vector"], mapping.inputs["Vector"])
    noise = node(tree, "ShaderNodeTexNoise", Scale=scale, Detail=detail, Roughness=0.6)
    tree.links.new(mapping.outputs["Vector"], noise.inputs["Vector"])
    return noise.outputs[0]


def painted(tree: Any) -> Any:
    """Return the output sockets of the face attribute "paint": colour is "Color", wear is "Alpha"."""
    return node(tree, "ShaderNodeAttribute", attribute_name="paint").outputs


def matte(tree: Any) -> Any:
    """Add a diffuse BSDF without highlights; it takes half the time of a principled BSDF."""
    return node(tree, "ShaderNodeBsdfDiffuse", Roughness=0.5)


def principled(tree: Any, roughness: float) -> Any:
    """Add a principled BSDF with highlights."""
    return node(tree, "ShaderNodeBsdfPrincipled", Roughness=roughness)


def coordinates(tree: Any) -> Any:
    """Return the output sockets "X", "Y" and "Z" of the object coordinates in metres; Z is the height."""
    split = node(tree, "ShaderNodeSeparateXYZ")
    tree.links.new(node(tree, "ShaderNodeTexCoord").outputs["Object"], split.inputs[0])
    return split.outputs


def diffuse(tree: Any, colour: Any) -> None:
    """Connect a diffuse BSDF with the colour of a socket to the material output."""
    out, bsdf = node(tree, "ShaderNodeOutputMaterial"), matte(tree)
    tree.links.new(colour, bsdf.inputs[0])
    tree.links.new(bsdf.outputs[0], out.inputs["Surface"])
