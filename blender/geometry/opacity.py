"""Opacity of a model's materials: the share of a ray from the camera that a surface stops.

Cycles adds up what the shaders of a material let through. This is linear: Mix Shader mixes it, Add Shader
adds it, and of the other shaders only Transparent BSDF and Principled BSDF let anything through. So the
opacity of a node tree is arithmetic on sockets that the tree already has. Glass refracts rays instead of
letting them through: it is opaque here.
"""

from __future__ import annotations

from typing import Any

CUTOFF = 0.5
"""A surface is part of its object's mask where its opacity is at least this."""
_NODE = "Transpalette opacity"
"""Name of the node, in a material's tree, whose output is the opacity of the material."""
_OPAQUE = {
    *("Emission", "Holdout", "Background", "EeveeSpecular", "SubsurfaceScattering", "BsdfToon", "BsdfSheen"),
    *("BsdfDiffuse", "BsdfGlossy", "BsdfAnisotropic", "BsdfMetallic", "BsdfTranslucent", "BsdfHair"),
    *("BsdfGlass", "BsdfRefraction", "BsdfHairPrincipled"),
}
"""Types of shader nodes, without "ShaderNode", that let nothing through."""

Value = Any
"""A number, or an output socket of a node."""


class UnknownOpacityError(Exception):
    """A material mixes its shaders in a way that is not understood. The text says where."""


def add_opacity(material: Any) -> float | None:
    """Determine the opacity of a bpy material and add it to its node tree. The material looks as before.

    Nothing is added if the opacity is at least CUTOFF everywhere.

    Returns:
        The opacity if it is the same everywhere, otherwise None.

    Raises:
        UnknownOpacityError: a node of the tree is not understood.
    """
    tree = material.node_tree if material.use_nodes else None
    output = tree and tree.get_output_node("CYCLES")
    if not output:
        return 1.0
    surface, volume = output.inputs["Surface"], output.inputs["Volume"]
    only_volume = _source(volume) and not _source(surface)
    value = 0.0 if only_volume else _Shaders(tree, {}).opacity(surface)
    if isinstance(value, float):
        if value < CUTOFF:
            _add_node(tree, "ADD", value, 0.0).name = _NODE
        return value
    _add_node(tree, "ADD", value, 0.0).name = _NODE
    return None


def opacity_socket(material: Any) -> Any:
    """Return the output socket that ``add_opacity`` added to a bpy material; None if there is none."""
    tree = material.node_tree if material else None
    node = tree.nodes.get(_NODE) if tree else None
    return node.outputs[0] if node else None


class _Shaders:
    """The opacities of the shaders in one node tree: that of a material, or a node group."""

    def __init__(self, tree: Any, groups: dict[str, _Shaders]) -> None:
        """Wrap a bpy node tree; ``groups`` are the material's node groups by name, filled when needed."""
        self.tree, self.groups = tree, groups
        self.inputs: dict[str, str] = {}
        """Shader inputs of a group -> inputs that were added for their opacities. All are identifiers."""
        self.outputs: dict[str, Value] = {}
        """Shader outputs of a group -> their opacities: numbers, or identifiers of added outputs."""

    def opacity(self, socket: Any) -> Value:
        """Return the opacity of the shader that an input is linked to.

        Raises:
            UnknownOpacityError: a node is not understood.
        """
        output = _source(socket)
        if output is None:
            return 1.0  # Cycles renders black
        node, kind = output.node, output.node.bl_idname.removeprefix("ShaderNode")
        if kind in _OPAQUE:
            return 1.0
        if kind == "BsdfPrincipled":
            return self._clamp(_value(node.inputs["Alpha"]))
        if kind == "BsdfTransparent":
            return self._transparent(node.inputs["Color"])
        if kind == "MixShader":
            factor, first, second = node.inputs
            return self._mix(self._clamp(_value(factor)), self.opacity(first), self.opacity(second))
        if kind == "AddShader":
            first, second = (self.opacity(shader) for shader in node.inputs)
            return self._clamp(self._math("SUBTRACT", self._math("ADD", first, second), 1.0))
        if kind == "Group" and node.node_tree:
            return self._group(node, output.identifier)
        if kind == "NodeGroupInput":
            return self._group_input(output)
        raise UnknownOpacityError(f"the node '{node.name}' is not understood")

    def _transparent(self, colour: Any) -> Value:
        """Return the opacity of a Transparent BSDF: what the mean of its red, green and blue leaves."""
        source = _source(colour)
        if source is None:
            return self._clamp(1.0 - sum(colour.default_value[:3]) / 3)
        mean = self.tree.nodes.new("ShaderNodeVectorMath")
        mean.operation, mean.inputs[1].default_value = "DOT_PRODUCT", (1 / 3, 1 / 3, 1 / 3)
        self.tree.links.new(source, mean.inputs[0])
        return self._clamp(self._math("SUBTRACT", 1.0, mean.outputs["Value"]))

    def _mix(self, factor: Value, first: Value, second: Value) -> Value:
        change = self._math("MULTIPLY", factor, self._math("SUBTRACT", second, first))
        return self._math("ADD", first, change)

    def _clamp(self, value: Value) -> Value:
        """Limit a value to 0..1."""
        if isinstance(value, float):
            return min(max(value, 0.0), 1.0)
        return _add_node(self.tree, "ADD", value, 0.0, clamp=True).outputs[0]

    def _math(self, operation: str, a: Value, b: Value) -> Value:
        """Add, subtract or multiply. Numbers are computed here; sockets need a node."""
        if isinstance(a, float) and isinstance(b, float):
            return {"ADD": a + b, "SUBTRACT": a - b, "MULTIPLY": a * b}[operation]
        neutral = 1.0 if operation == "MULTIPLY" else 0.0
        if isinstance(b, float) and b == neutral:
            return a
        if isinstance(a, float) and a == neutral and operation != "SUBTRACT":
            return b
        if operation == "MULTIPLY" and 0.0 in [value for value in (a, b) if isinstance(value, float)]:
            return 0.0
        return _add_node(self.tree, operation, a, b).outputs[0]

    def _group(self, node: Any, output: str) -> Value:
        """Return the opacity of an output of a node group. The group gets a further output for it."""
        inner = self.groups.setdefault(node.node_tree.name, _Shaders(node.node_tree, self.groups))
        if output not in inner.outputs:
            inner.outputs[output] = inner.add_output(output)
        for shader, opacity in inner.inputs.items():
            self._set(_by_identifier(node.inputs, opacity), self.opacity(_by_identifier(node.inputs, shader)))
        value = inner.outputs[output]
        return value if isinstance(value, float) else _by_identifier(node.outputs, value)

    def add_output(self, shader: str) -> Value:
        """Add the opacity of one of this group's shader outputs.

        Returns:
            A number, or the identifier of the group's new output.
        """
        ends = [n for n in self.tree.nodes if n.bl_idname == "NodeGroupOutput" and n.is_active_output]
        value = self.opacity(_by_identifier(ends[0].inputs, shader)) if ends else 1.0
        if isinstance(value, float):
            return value
        added = self._add_socket("OUTPUT")
        self.tree.links.new(value, _by_identifier(ends[0].inputs, added))
        return added

    def _group_input(self, output: Any) -> Value:
        """Return the opacity of a shader that is an input of this group. The group gets an input for it."""
        if output.identifier not in self.inputs:
            self.inputs[output.identifier] = self._add_socket("INPUT")
        return _by_identifier(output.node.outputs, self.inputs[output.identifier])

    def _add_socket(self, direction: str) -> str:
        socket = self.tree.interface.new_socket(_NODE, in_out=direction, socket_type="NodeSocketFloat")
        return str(socket.identifier)

    def _set(self, socket: Any, value: Value) -> None:
        if isinstance(value, float):
            socket.default_value = value
        else:
            self.tree.links.new(value, socket)


def _source(socket: Any) -> Any:
    """Return the output socket whose value an input receives; None if it is not linked."""
    for link in socket.links:
        if link.is_muted or not link.is_valid:
            continue
        node, output = link.from_node, link.from_socket
        if node.mute:
            through = [inner.from_socket for inner in node.internal_links if inner.to_socket == output]
        elif node.bl_idname == "NodeReroute":
            through = [node.inputs[0]]
        else:
            return output
        return _source(through[0]) if through else None
    return None


def _value(socket: Any) -> Value:
    """Return the value of an input of a number."""
    source = _source(socket)
    if source is None:
        return float(socket.default_value)
    if source.node.bl_idname == "ShaderNodeValue":
        return float(source.default_value)
    if source.node.bl_idname == "ShaderNodeLightPath" and source.name == "Is Camera Ray":
        return 1.0  # masks show what the camera sees
    return source


def _add_node(tree: Any, operation: str, a: Value, b: Value, clamp: bool = False) -> Any:
    """Add a Math node to a node tree."""
    node = tree.nodes.new("ShaderNodeMath")
    node.operation, node.use_clamp = operation, clamp
    for socket, value in zip(node.inputs, (a, b), strict=False):
        if isinstance(value, float):
            socket.default_value = value
        else:
            tree.links.new(value, socket)
    return node


def _by_identifier(sockets: Any, identifier: str) -> Any:
    return next(socket for socket in sockets if socket.identifier == identifier)
