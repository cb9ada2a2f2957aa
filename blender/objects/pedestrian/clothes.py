"""Build clothes from regions of the body's surface, which are cut at hems, moved outwards and folded."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from blender.geometry.mesh import Colour, Floats, Ints, Material, Part
from blender.objects.pedestrian.body import REGIONS, border

CLOTH: dict[str, Colour] = {
    "black": (0.012, 0.012, 0.014),
    "anthracite": (0.035, 0.037, 0.04),
    "navy": (0.012, 0.02, 0.06),
    "blue": (0.03, 0.08, 0.28),
    "grey": (0.16, 0.16, 0.17),
    "khaki": (0.18, 0.14, 0.08),
    "olive": (0.07, 0.08, 0.03),
    "red": (0.42, 0.02, 0.02),
    "green": (0.03, 0.16, 0.06),
    "white": (0.6, 0.6, 0.58),
    "denim": (0.05, 0.09, 0.18),
}
HIVIS: dict[str, Colour] = {
    "yellow": (0.55, 0.75, 0.02),
    "orange": (0.95, 0.20, 0.01),
    "pink_red": (0.85, 0.06, 0.03),
}
HAIR: dict[str, Colour] = {
    "black": (0.01, 0.008, 0.007),
    "brown": (0.06, 0.03, 0.015),
    "blond": (0.35, 0.22, 0.09),
    "grey": (0.3, 0.3, 0.29),
}


class Garment(NamedTuple):
    """A piece of clothing, or bare skin."""

    material: Material
    faces: np.ndarray
    """Faces of the body that the garment covers, (F,) bool."""
    thickness: float = 0.0
    """Distance from the body, metres."""
    folds: float = 0.0
    """Factor on the depth of the folds."""
    hems: tuple[np.ndarray, ...] = ()
    """Scalar fields over the vertices, (V,) each; the garment ends where a field falls below zero."""


def wardrobe(params: dict[str, Any], body: dict[str, np.ndarray]) -> list[Garment]:
    """Return a person's clothes and the bare skin."""

    def part(*names: str) -> np.ndarray:
        return np.isin(body["regions"], [REGIONS.index(n) for n in names])

    jacket = bool(params["hivis"]) and params["hivis_kind"] == "jacket"
    skin, glove = _skin(params), Material("fabric", CLOTH["grey"], 0.5)
    top = Material("fabric", HIVIS[params["hivis"]] if jacket else CLOTH[params["top"]], 0.4)
    trousers = Material("fabric", CLOTH[params["trousers"]], 0.5)
    height = body["rest"][:, 2].astype(float)
    waist, collar = border(body, "torso", "hips"), border(body, "torso", "neck") + 0.005
    trunk = part("torso", "hips", "thigh", "neck")
    sleeve = Garment(top, part("forearm"), 0.012, 0.8)
    bare = Garment(skin, part("forearm"))
    return [
        Garment(skin, part("head", "neck")),
        Garment(Material("hair", HAIR[params["hair"]], 0.0), part("hair"), 0.012, 0.5),
        Garment(glove, part("hand"), 0.003) if params["gloves"] else Garment(skin, part("hand")),
        Garment(top, trunk, 0.019, 1.0, (height - waist + 0.13, collar - height)),
        Garment(top, part("upper_arm"), 0.015, 1.0),
        sleeve if jacket or params["sleeves"] == "long" else bare,
        Garment(trousers, part("torso", "hips", "thigh", "shin"), 0.012, 1.0, (waist + 0.02 - height,)),
        Garment(Material("leather", (0.015, 0.014, 0.013), 0.5), part("foot"), 0.018),
        *_hivis(params, body, trunk, part("shin"), jacket),
    ]


def _skin(params: dict[str, Any]) -> Material:
    """Return the skin's material between the darkest and the palest tone."""
    light, dark = np.array([0.62, 0.38, 0.28]), np.array([0.09, 0.045, 0.03])
    r, g, b = dark + (light - dark) * params["skin"]
    return Material("skin", (float(r), float(g), float(b)), 0.0)


def _hivis(
    params: dict[str, Any], body: dict[str, np.ndarray], trunk: np.ndarray, shin: np.ndarray, jacket: bool
) -> list[Garment]:
    """Return a vest, and reflective bands (EN ISO 20471: 50 mm wide) on trunk, shoulders and shins."""
    rest, shine = body["rest"].astype(float), Material("reflective", (0.62, 0.63, 0.64), 0.1)
    height, waist = rest[:, 2], border(body, "torso", "hips")
    collar = border(body, "torso", "neck") - 0.015
    garments = []

    def band(faces: np.ndarray, field: np.ndarray, off: float) -> Garment:
        return Garment(shine, faces, off, 1.0, (0.025 - np.abs(field),))

    if params["hivis"]:
        if not jacket:
            vest = Material("fabric", HIVIS[params["hivis"]], 0.3)
            garments.append(Garment(vest, trunk, 0.026, 1.0, (height - waist + 0.10, collar - height)))
        garments += [band(trunk, height - waist - 0.18, 0.029), band(trunk, height - waist - 0.02, 0.029)]
        straps = band(trunk, np.abs(rest[:, 1]) - 0.10, 0.0285)
        garments.append(straps._replace(hems=(*straps.hems, height - waist - 0.18, collar - height)))
    if params["trouser_bands"]:
        knee = height[np.unique(body["faces"][shin])].max()
        garments.append(band(shin, height - knee + 0.16, 0.015))
    return garments


def shell(vertices: Floats, faces: np.ndarray, garment: Garment) -> list[Part]:
    """Return a garment's faces as a mesh, cut at the hems; empty if nothing is left."""
    used, index = np.unique(faces[garment.faces], return_inverse=True)
    points, triangles = vertices[used], index.reshape(-1, 3).astype(np.int32)
    fields = np.stack([hem[used] for hem in garment.hems], 1) if garment.hems else np.zeros((len(used), 0))
    for hem in range(len(garment.hems)):
        # The other fields are appended as coordinates, so that the cut interpolates them too.
        joined, triangles = _clip(np.concatenate([points, fields], 1), triangles, fields[:, hem])
        points, fields = joined[:, :3], joined[:, 3:]
    if not len(triangles):
        return []
    padded = np.concatenate([triangles, np.full((len(triangles), 1), -1, np.int32)], 1)
    return [Part(points, padded, garment.material, smooth=np.ones(len(triangles), bool))]


def _clip(vertices: Floats, triangles: Ints, field: Floats) -> tuple[Floats, Ints]:
    """Cut a mesh, (V, D) and (F, 3), where ``field`` (V,) crosses zero, and keep the positive side."""
    inside = field[triangles] > 0
    count = inside.sum(1)
    result, points = [triangles[count == 3]], [vertices]
    total = len(vertices)
    for number in (1, 2):
        # Rotate each triangle's corners so that the corner that is alone on its side comes first.
        cut = count == number
        alone = np.argmax(inside[cut] == (number == 1), axis=1)
        a, b, c = np.take_along_axis(triangles[cut], (alone[:, None] + np.arange(3)) % 3, 1).T
        for other in (b, c):
            t = (field[a] / (field[a] - field[other]))[:, None]
            points.append(vertices[a] * (1 - t) + vertices[other] * t)
        ab, ac = total + np.arange(len(a)), total + len(a) + np.arange(len(a))
        total += 2 * len(a)
        result += (
            [np.stack([a, ab, ac], 1)] if number == 1 else [np.stack([ab, b, c], 1), np.stack([ab, c, ac], 1)]
        )
    return np.concatenate(points), np.concatenate(result).astype(np.int32)


def folds(rest: Floats, params: dict[str, Any]) -> Floats:
    """Compute the depth of the folds at each vertex, (V,) metres: a few random waves over the rest pose."""
    rng = np.random.default_rng(params["fold_seed"])
    rest, waves = rest.astype(np.float32), np.zeros(len(rest))  # sines of float64 take three times as long
    for scale in (9.0, 16.0, 28.0, 45.0):
        direction = (rng.normal(size=3) * [1.0, 1.0, 1.6]).astype(np.float32)
        phases = rng.uniform(0, 6.3, 3).astype(np.float32)
        bent = rest + np.float32(0.05) * np.sin(rest[:, [1, 2, 0]] * np.float32(scale * 0.7) + phases)
        phase = np.float32(rng.uniform(0, 6.3))
        along = (bent * direction).sum(1)  # not a BLAS product: its last bit differs between machines
        waves += np.sin(along * np.float32(scale) + phase) * (9.0 / (scale + 9.0))
    return waves * params["folds"]
