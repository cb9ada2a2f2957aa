"""Materials that mix opaque and transparent shaders in the ways that Blender allows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

COLUMNS = 6
"""Squares in a row of ``write_squares``."""


class Tree:
    """A node tree of a material or a group, with short calls to add nodes."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree

    def node(self, kind: str, *inputs: Any, **properties: Any) -> Any:
        """Add a node; each input is a value, a socket, a node whose first output is meant, or None."""
        node = self.tree.nodes.new(kind)
        for name, value in properties.items():
            setattr(node, name, value)
        for socket, value in zip(node.inputs, inputs, strict=False):
            source = value.outputs[0] if isinstance(value, bpy.types.Node) else value
            if isinstance(source, bpy.types.NodeSocket):
                self.tree.links.new(source, socket)
            elif source is not None:
                socket.default_value = source
        return node

    def diffuse(self) -> Any:
        return self.node("ShaderNodeBsdfDiffuse", (0, 0, 0, 1))

    def clear(self, colour: Any = (1, 1, 1, 1)) -> Any:
        return self.node("ShaderNodeBsdfTransparent", colour)

    def mix(self, factor: Any, first: Any, second: Any) -> Any:
        return self.node("ShaderNodeMixShader", factor, first, second)

    def principled(self, alpha: Any) -> Any:
        node = self.node("ShaderNodeBsdfPrincipled", (0, 0, 0, 1))
        if isinstance(alpha, float):
            node.inputs["Alpha"].default_value = alpha
        else:
            self.tree.links.new(alpha, node.inputs["Alpha"])
        return node

    def across(self) -> Any:
        """Return a socket that rises from 0 to 1 over the width of a square."""
        return self.node("ShaderNodeSeparateXYZ", self.node("ShaderNodeTexCoord").outputs["UV"]).outputs["X"]

    def math(self, operation: str, *values: Any) -> Any:
        return self.node("ShaderNodeMath", *values, operation=operation).outputs[0]


def group(make: Callable[[Tree, Any], Any], inputs: dict[str, str]) -> Any:
    """Create a node group with one shader output, which ``make`` builds from the group's inputs."""
    tree = bpy.data.node_groups.new("group", "ShaderNodeTree")
    tree.interface.new_socket("out", in_out="OUTPUT", socket_type="NodeSocketShader")
    for name, kind in inputs.items():
        tree.interface.new_socket(name, in_out="INPUT", socket_type=f"NodeSocket{kind}")
    inside = Tree(tree)
    start, end = inside.node("NodeGroupInput"), inside.node("NodeGroupOutput")
    tree.links.new(make(inside, start).outputs[0], end.inputs[0])
    return tree


def _group_of_mix(t: Tree) -> Any:
    mixer = group(lambda g, i: g.mix(i.outputs[0], g.clear(), i.outputs[1]), {"f": "Float", "s": "Shader"})
    node = t.node("ShaderNodeGroup", node_tree=mixer)
    t.tree.links.new(t.across(), node.inputs[0])
    t.tree.links.new(t.diffuse().outputs[0], node.inputs[1])
    return node


def _nested_groups(t: Tree) -> Any:
    """A group that hands its shader on to another group, which is used twice."""
    inner = group(lambda g, i: g.mix(i.outputs[0], g.clear(), i.outputs[1]), {"f": "Float", "s": "Shader"})

    def outer(g: Tree, start: Any) -> Any:
        node = g.node("ShaderNodeGroup", node_tree=inner)
        g.tree.links.new(g.across(), node.inputs[0])
        g.tree.links.new(start.outputs[0], node.inputs[1])
        return node

    node = t.node("ShaderNodeGroup", node_tree=group(outer, {"s": "Shader"}))
    last = t.node("ShaderNodeGroup", node_tree=inner)
    last.inputs[0].default_value = 0.8
    t.tree.links.new(t.diffuse().outputs[0], node.inputs[0])
    t.tree.links.new(node.outputs[0], last.inputs[1])
    return last


def _muted_node(t: Tree) -> Any:
    node = t.mix(t.across(), t.clear(), t.diffuse())
    node.mute = True  # the first shader passes
    return t.mix(0.7, node, t.diffuse())


def _muted_link(t: Tree) -> Any:
    node = t.mix(0.5, t.clear(), t.clear())
    node.inputs[2].links[0].is_muted = True
    return node


def _reroute(t: Tree) -> Any:
    return t.node("NodeReroute", t.node("NodeReroute", t.mix(t.across(), t.diffuse(), t.clear())))


def _from_behind(t: Tree) -> Any:
    return t.mix(t.node("ShaderNodeNewGeometry").outputs["Backfacing"], t.diffuse(), t.clear())


def _for_the_camera(t: Tree) -> Any:
    return t.mix(t.node("ShaderNodeLightPath").outputs["Is Camera Ray"], t.clear(), t.diffuse())


def _not_for_the_camera(t: Tree) -> Any:
    return t.mix(t.node("ShaderNodeLightPath").outputs["Is Camera Ray"], t.diffuse(), t.clear())


TREES: dict[str, Callable[[Tree], Any]] = {
    "diffuse": lambda t: t.diffuse(),
    "alpha 0.3": lambda t: t.principled(0.3),
    "alpha 0.7": lambda t: t.principled(0.7),
    "alpha 0": lambda t: t.principled(0.0),
    "alpha across": lambda t: t.principled(t.across()),
    "alpha above 1": lambda t: t.principled(t.math("MULTIPLY", t.across(), 3.0)),
    "alpha from a colour": lambda t: t.principled(t.node("ShaderNodeTexCoord").outputs["UV"]),
    "mix 0.3": lambda t: t.mix(0.3, t.clear(), t.diffuse()),
    "mix across": lambda t: t.mix(t.across(), t.clear(), t.diffuse()),
    "mix with transparency second": lambda t: t.mix(t.across(), t.diffuse(), t.clear()),
    "mix of mixes": lambda t: t.mix(0.6, t.principled(t.across()), t.mix(0.9, t.diffuse(), t.clear())),
    "add to transparency": lambda t: t.node("ShaderNodeAddShader", t.clear(), t.diffuse()),
    "add two alphas": lambda t: t.node("ShaderNodeAddShader", t.principled(t.across()), t.principled(0.9)),
    "transparency in grey": lambda t: t.clear((0.7, 0.1, 0.1, 1)),
    "transparency in light grey": lambda t: t.clear((0.9, 0.7, 0.8, 1)),
    "transparency in a gradient": lambda t: t.clear(t.across()),
    "cutoff at 0.8": lambda t: t.principled(t.math("GREATER_THAN", t.across(), 0.8)),
    "group": _group_of_mix,
    "nested groups": _nested_groups,
    "muted node": _muted_node,
    "muted link": _muted_link,
    "reroute": _reroute,
    "seen from behind": _from_behind,
    "for the camera": _for_the_camera,
    "not for the camera": _not_for_the_camera,
    "holdout": lambda t: t.mix(t.across(), t.node("ShaderNodeHoldout"), t.clear()),
    "value": lambda t: t.principled(t.node("ShaderNodeValue").outputs[0]),
    "nothing": lambda t: None,
    "volume": lambda t: None,
    "noise": lambda t: t.principled(
        t.node("ShaderNodeTexNoise", t.node("ShaderNodeTexCoord").outputs["UV"]).outputs[0]
    ),
}
"""What a material does -> adds its shader to a tree and returns the shader's node, or None."""


def write_squares(path: Path, trees: dict[str, Callable[[Tree], Any]]) -> None:
    """Write a .blend file with squares of one metre, each with its own material. Replaces the current scene.

    The squares face -x. The corner of square k is at y = -(k % COLUMNS), z = -(k // COLUMNS).
    """
    bpy.ops.wm.read_factory_settings(use_empty=True)
    for k, (name, make) in enumerate(trees.items()):
        right, down = k % COLUMNS, k // COLUMNS
        mesh = bpy.data.meshes.new(name)
        corners = [(0, 0), (1, 0), (1, 1), (0, 1)]
        mesh.from_pydata([(0, -right - y, z - down) for y, z in corners], [], [(0, 1, 2, 3)])
        layer = mesh.uv_layers.new(name="UVMap")
        for loop in mesh.loops:
            layer.data[loop.index].uv = corners[loop.vertex_index]
        material = bpy.data.materials.new(name)
        material.use_nodes = True
        material.node_tree.nodes.clear()
        tree = Tree(material.node_tree)
        tree.node("ShaderNodeOutputMaterial", make(tree))
        if name == "volume":
            volume = tree.node("ShaderNodeVolumeAbsorption", None, 0.01)
            material.node_tree.links.new(
                volume.outputs[0], material.node_tree.nodes["Material Output"].inputs["Volume"]
            )
        mesh.materials.append(material)
        bpy.context.scene.collection.objects.link(bpy.data.objects.new(name, mesh))
    bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True, check_existing=False)
