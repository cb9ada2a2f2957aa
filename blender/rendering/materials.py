"""Procedural shaders: one for each kind of surface that a ``mesh.Material`` names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import bpy

from blender.rendering.shader_nodes import (
    coordinates,
    diffuse,
    matte,
    mix,
    node,
    noise,
    painted,
    principled,
    ramp,
)


@dataclass(frozen=True)
class Appearance:
    """Appearance of a kind of surface. Scales are in cycles per metre of object space."""

    roughness: float = 0.5
    metallic: float = 0.0
    matte: bool = False
    """Purely diffuse; roughness and metallic are ignored."""
    grain: float = 8.0
    """Scale of the brightness noise."""
    variation: float = 0.15
    """Strength of the brightness noise, 0..1."""
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Scale of the noise along x, y and z; below 1 stretches it, as for wood grain."""
    bump: float = 0.0
    """Depth of the bump map in metres."""
    dirt: float = 0.3
    """Share of the material's wear that appears as dust and grime, 0..1."""


APPEARANCES: dict[str, Appearance] = {
    "paint": Appearance(roughness=0.38, grain=9, variation=0.12, dirt=0.7),
    "steel": Appearance(roughness=0.42, metallic=0.85, grain=14, variation=0.25, dirt=0.5),
    "galvanised": Appearance(roughness=0.45, metallic=0.7, grain=30, variation=0.3, dirt=0.3),
    "chrome": Appearance(roughness=0.12, metallic=1.0, variation=0.02, dirt=0.1),
    "rubber": Appearance(matte=True, grain=20, variation=0.25, dirt=0.8),
    "plastic": Appearance(roughness=0.35, grain=6, variation=0.06, dirt=0.4),
    "cardboard": Appearance(matte=True, grain=3, variation=0.07, dirt=0.1),
    "paper": Appearance(matte=True, grain=40, variation=0.05, dirt=0.1),
    "wood": Appearance(matte=True, grain=16, variation=0.28, stretch=(0.08, 1, 1), dirt=0.35),
    "fabric": Appearance(matte=True, grain=10, variation=0.22, bump=0.002, dirt=0.2),
    "leather": Appearance(roughness=0.55, grain=25, variation=0.25, dirt=0.4),
    "reflective": Appearance(roughness=0.3, metallic=0.35, grain=30, variation=0.08, dirt=0.1),
    "skin": Appearance(matte=True, grain=18, variation=0.12, dirt=0.0),
    "hair": Appearance(matte=True, grain=60, variation=0.4, stretch=(1, 1, 0.2), dirt=0.0),
}


def shader(kind: str) -> Any:
    """Return the bpy material of a kind of surface; it is created on first use in the current .blend.

    Colour (RGB) and wear (alpha) come from the mesh's face attribute "paint". So a scene with many colours
    needs a dozen shaders instead of a hundred.
    """
    existing = bpy.data.materials.get(kind)
    if existing is not None:
        return existing
    material = bpy.data.materials.new(kind)
    material.use_nodes = True
    material.node_tree.nodes.clear()
    SHADERS[kind](material.node_tree, kind)
    return material


def _surface(tree: Any, kind: str) -> None:
    """Build an opaque surface: colour times noise, dust on top, optional bump map."""
    appearance = APPEARANCES[kind]
    paint = painted(tree)
    grain = noise(tree, appearance.grain, appearance.stretch)
    light = ramp(tree, grain, 0.25, 0.75, (1 - appearance.variation, 1 + appearance.variation))
    colour = mix(tree, 1.0, paint["Color"], light, "MULTIPLY")
    if appearance.dirt > 0:
        worn = node(tree, "ShaderNodeMath", operation="MULTIPLY")
        tree.links.new(
            ramp(tree, noise(tree, 3.1, detail=3), 0.5, 0.8, (0.0, appearance.dirt)), worn.inputs[0]
        )
        tree.links.new(paint["Alpha"], worn.inputs[1])
        colour = mix(tree, worn.outputs[0], colour, (0.16, 0.14, 0.12, 1.0))
    bsdf = matte(tree) if appearance.matte else _glossy(tree, appearance, grain)
    tree.links.new(colour, bsdf.inputs[0])
    if appearance.bump:
        bump = node(tree, "ShaderNodeBump", Strength=0.6, Distance=appearance.bump)
        tree.links.new(grain, bump.inputs["Height"])
        tree.links.new(bump.outputs["Normal"], bsdf.inputs["Normal"])
    out = node(tree, "ShaderNodeOutputMaterial")
    tree.links.new(bsdf.outputs[0], out.inputs["Surface"])


def _glossy(tree: Any, appearance: Appearance, grain: Any) -> Any:
    principled = node(tree, "ShaderNodeBsdfPrincipled", Metallic=appearance.metallic)
    rough = ramp(
        tree, grain, 0.3, 0.7, (max(0.05, appearance.roughness - 0.12), min(1.0, appearance.roughness + 0.12))
    )
    tree.links.new(rough, principled.inputs["Roughness"])
    return principled


def _emission(tree: Any, kind: str) -> None:
    """Build an emissive window pane; ``wear`` is the radiance in W/m2/sr."""
    paint = painted(tree)
    out = node(tree, "ShaderNodeOutputMaterial")
    glow = node(tree, "ShaderNodeEmission")
    tree.links.new(paint["Color"], glow.inputs["Color"])
    tree.links.new(paint["Alpha"], glow.inputs["Strength"])
    tree.links.new(glow.outputs[0], out.inputs["Surface"])


def _folds(tree: Any) -> tuple[Any, Any]:
    """Build the folds of stretch wrap: long horizontal streaks. Return the sockets of strength and normal."""
    folds = noise(tree, 2.2, (1, 1, 9), detail=3)
    bump = node(tree, "ShaderNodeBump", Strength=0.8, Distance=0.03)
    tree.links.new(folds, bump.inputs["Height"])
    return folds, bump.outputs["Normal"]


def _film(tree: Any, kind: str) -> None:
    """Build clear stretch wrap: thin and glossy, more opaque at folds."""
    out, mix = node(tree, "ShaderNodeOutputMaterial"), node(tree, "ShaderNodeMixShader")
    clear, gloss = node(tree, "ShaderNodeBsdfTransparent"), principled(tree, 0.2)
    folds, normal = _folds(tree)
    tree.links.new(painted(tree)["Color"], gloss.inputs["Base Color"])
    tree.links.new(normal, gloss.inputs["Normal"])
    tree.links.new(ramp(tree, folds, 0.42, 0.68, (0.12, 0.55)), mix.inputs[0])
    tree.links.new(clear.outputs[0], mix.inputs[1])
    tree.links.new(gloss.outputs[0], mix.inputs[2])
    tree.links.new(mix.outputs[0], out.inputs["Surface"])


def _clear(tree: Any, kind: str) -> None:
    """Build a transparent polycarbonate sheet with a smooth gloss and smears in the material's colour."""
    out = node(tree, "ShaderNodeOutputMaterial")
    gloss = node(tree, "ShaderNodeBsdfPrincipled", Roughness=0.08)
    tree.links.new(painted(tree)["Color"], gloss.inputs["Base Color"])
    mix = node(tree, "ShaderNodeMixShader")
    tree.links.new(ramp(tree, noise(tree, 2.5), 0.35, 0.75, (0.04, 0.22)), mix.inputs[0])
    tree.links.new(node(tree, "ShaderNodeBsdfTransparent").outputs[0], mix.inputs[1])
    tree.links.new(gloss.outputs[0], mix.inputs[2])
    tree.links.new(mix.outputs[0], out.inputs["Surface"])


def _wrap(tree: Any, kind: str) -> None:
    """Build opaque stretch wrap and plastic sheet: glossy, with folds."""
    out, gloss = node(tree, "ShaderNodeOutputMaterial"), principled(tree, 0.22)
    folds, normal = _folds(tree)
    colour = mix(tree, 1.0, painted(tree)["Color"], ramp(tree, folds, 0.35, 0.65, (0.72, 1.15)), "MULTIPLY")
    tree.links.new(colour, gloss.inputs["Base Color"])
    tree.links.new(normal, gloss.inputs["Normal"])
    tree.links.new(gloss.outputs[0], out.inputs["Surface"])


def _add_grime(tree: Any, colour: Any, grain: Any) -> Any:
    """Darken the lowest 0.9 m of a wall, where traffic soils it. ``wear`` is the strength."""
    foot = node(tree, "ShaderNodeMath", operation="MULTIPLY")
    tree.links.new(ramp(tree, coordinates(tree)["Z"], 0.0, 0.9, (0.75, 0.0)), foot.inputs[0])
    tree.links.new(ramp(tree, grain, 0.3, 0.6), foot.inputs[1])
    worn = node(tree, "ShaderNodeMath", operation="MULTIPLY")
    tree.links.new(foot.outputs[0], worn.inputs[0])
    tree.links.new(painted(tree)["Alpha"], worn.inputs[1])
    return mix(tree, worn.outputs[0], colour, (0.07, 0.06, 0.05, 1.0))


def _wall(tree: Any, kind: str) -> None:
    """Build a plaster, sheet metal or concrete wall: nearly uniform, dirty at the bottom."""
    grain = noise(tree, 0.9, (1, 1, 0.6), detail=4)
    colour = mix(tree, 1.0, painted(tree)["Color"], ramp(tree, grain, 0.25, 0.75, (0.93, 1.05)), "MULTIPLY")
    diffuse(tree, _add_grime(tree, colour, grain))


def _brick(tree: Any, kind: str) -> None:
    """Build a painted brick wall; the courses fit walls along x and along y."""
    axes, position = coordinates(tree), node(tree, "ShaderNodeCombineXYZ")
    along = node(tree, "ShaderNodeMath", operation="ADD")
    tree.links.new(axes["X"], along.inputs[0])
    tree.links.new(axes["Y"], along.inputs[1])
    tree.links.new(along.outputs[0], position.inputs[0])
    tree.links.new(axes["Z"], position.inputs[1])
    bricks = node(
        tree, "ShaderNodeTexBrick", Scale=1.0, Mortar_Size=0.008, Brick_Width=0.4, Row_Height=0.2,
        Color1=(1.03, 1.03, 1.03, 1.0), Color2=(0.93, 0.93, 0.93, 1.0), Mortar=(0.62, 0.62, 0.62, 1.0),
    )  # fmt: skip
    tree.links.new(position.outputs[0], bricks.inputs["Vector"])
    colour = mix(tree, 1.0, painted(tree)["Color"], bricks.outputs["Color"], "MULTIPLY")
    diffuse(tree, _add_grime(tree, colour, noise(tree, 1.3, detail=3)))


def _concrete(tree: Any, kind: str) -> None:
    """Build a concrete floor: large patches of grey, fine grain, scuffs, and polished or wet patches.

    ``wear`` increases dust, scuffs and roughness.
    """
    clouds, grit = noise(tree, 0.35, detail=3), noise(tree, 14.0, (1, 0.7, 1), detail=5)
    scuffs = noise(tree, 1.1, (0.35, 2.2, 1), detail=6)  # stretched along the hall, the direction of traffic
    paint = painted(tree)
    colour = mix(tree, 1.0, paint["Color"], ramp(tree, clouds, 0.3, 0.7, (0.78, 1.14)), "MULTIPLY")
    colour = mix(tree, 1.0, colour, ramp(tree, grit, 0.3, 0.7, (0.80, 1.16)), "MULTIPLY")
    worn = node(tree, "ShaderNodeMath", operation="MULTIPLY")
    tree.links.new(ramp(tree, scuffs, 0.5, 0.72, (0.0, 0.6)), worn.inputs[0])
    tree.links.new(paint["Alpha"], worn.inputs[1])
    colour = mix(tree, worn.outputs[0], colour, (0.05, 0.048, 0.045, 1.0))
    gloss, out = principled(tree, 0.5), node(tree, "ShaderNodeOutputMaterial")
    rough = node(tree, "ShaderNodeMath", operation="MULTIPLY_ADD", use_clamp=True)
    tree.links.new(paint["Alpha"], rough.inputs[0])
    rough.inputs[1].default_value = 0.42
    tree.links.new(ramp(tree, clouds, 0.35, 0.65, (0.12, 0.42)), rough.inputs[2])
    tree.links.new(rough.outputs[0], gloss.inputs["Roughness"])
    tree.links.new(colour, gloss.inputs["Base Color"])
    tree.links.new(gloss.outputs[0], out.inputs["Surface"])


SHADERS: dict[str, Callable[[Any, str], None]] = {
    **dict.fromkeys(APPEARANCES, _surface),
    "emission": _emission,
    "film": _film,
    "clear": _clear,
    "wrap": _wrap,
    "wall": _wall,
    "brick": _brick,
    "concrete": _concrete,
}
"""Kind of surface -> the function that fills its node tree."""
