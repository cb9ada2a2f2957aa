"""Pedestrians: baked anny bodies dressed in workwear.

Origin: on the floor below the body's middle, facing +x. Clothes are the body's own regions, pushed
out along smoothed normals with folds; patterns use the rest pose, so that they move with the cloth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from blender.mesh import Colour, Floats, Material, Part, clip, tube
from blender.objects import Assets
from blender.ranges import chance, integer, pick, uniform

REGIONS = ("head", "hair", "neck", "torso", "hips", "upper_arm", "forearm", "hand", "thigh", "shin", "foot")
"""As the people files number them."""

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
HELMETS: dict[str, Colour] = {
    "white": (0.75, 0.75, 0.73),
    "yellow": (0.8, 0.5, 0.02),
    "blue": (0.03, 0.12, 0.5),
    "orange": (0.85, 0.2, 0.02),
    "red": (0.6, 0.03, 0.02),
}


@dataclass(frozen=True)
class Ranges:
    """What varies from person to person."""

    poses: tuple[str, ...] = ()
    """Poses to choose from; none: all that were baked and don't sit."""
    hivis: float = 0.55
    """Share of people in a hi-vis vest or jacket."""
    helmet: float = 0.2
    cap: float = 0.2
    gloves: float = 0.4
    tshirt: float = 0.3
    """Share of bare forearms among those without a hi-vis jacket."""
    folds: tuple[float, float] = (0.003, 0.008)
    """Depth of the cloth's folds, metres."""


def sample(ranges: Ranges, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Draw a body and its clothes (JSON values)."""
    able = [
        i
        for i, p in enumerate(assets.people)
        if (p["pose"] in ranges.poses if ranges.poses else not p["seated"])
    ]
    body = assets.people[able[int(rng.integers(len(able)))]] if able else assets.people[0]
    hivis = chance(ranges.hivis, rng)
    head = pick({"helmet": ranges.helmet, "cap": ranges.cap, "bare": 1 - ranges.helmet - ranges.cap}, rng)
    return {
        "body": body["file"],
        "pose": body["pose"],
        "hivis": pick({"yellow": 5, "orange": 4, "pink_red": 1}, rng) if hivis else "",
        "hivis_kind": pick({"vest": 2, "jacket": 1}, rng),
        "top": pick(
            {"black": 3, "anthracite": 3, "navy": 3, "blue": 2, "grey": 3, "red": 2, "green": 1, "white": 1},
            rng,
        ),
        "sleeves": "short" if chance(ranges.tshirt, rng) else "long",
        "trousers": pick(
            {"black": 4, "anthracite": 4, "navy": 4, "grey": 2, "khaki": 2, "olive": 1, "denim": 3}, rng
        ),
        "trouser_bands": hivis and chance(0.4, rng),
        "gloves": chance(ranges.gloves, rng),
        "head": head,
        "head_colour": pick(dict.fromkeys(HELMETS if head == "helmet" else CLOTH, 1.0), rng),
        "hair": pick({"black": 3, "brown": 4, "blond": 2, "grey": 2}, rng),
        "skin": uniform((0.0, 1.0), rng),
        "folds": uniform(ranges.folds, rng),
        "fold_seed": integer((0, 2**31 - 1), rng),
    }


@lru_cache(maxsize=64)
def load_body(path: Path) -> dict[str, np.ndarray]:
    """A people file's arrays; see ``pipeline/people.py``."""
    with np.load(path) as data:
        return {name: data[name] for name in data.files}


def footprint(params: dict[str, Any], assets: Assets) -> tuple[float, float, float, float]:
    """Extent on the floor: x from, x to, y from, y to, in metres."""
    vertices = load_body(assets.people_dir / params["body"])["vertices"]
    low, high = vertices[:, :2].min(0) - 0.02, vertices[:, :2].max(0) + 0.02
    return (float(low[0]), float(high[0]), float(low[1]), float(high[1]))


def keypoints(params: dict[str, Any], assets: Assets) -> Floats:
    """The 17 COCO keypoints, (17, 3) metres, in the person's own frame."""
    return np.asarray(load_body(assets.people_dir / params["body"])["keypoints"], float)


def palms(params: dict[str, Any], assets: Assets) -> Floats:
    """Middle of the left and the right hand, (2, 3) metres, in the person's own frame."""
    body = load_body(assets.people_dir / params["body"])
    hands = body["vertices"][np.unique(body["faces"][body["regions"] == REGIONS.index("hand")])].astype(float)
    wrists = np.asarray(body["keypoints"][9:11], float)
    nearest = np.linalg.norm(hands[:, None] - wrists, axis=2).argmin(1)
    return np.stack([hands[nearest == side].mean(0) for side in (0, 1)])


def build(params: dict[str, Any], assets: Assets) -> list[Part]:
    """The dressed body's meshes."""
    body = load_body(assets.people_dir / params["body"])
    vertices, faces = body["vertices"].astype(float), body["faces"].astype(np.int32)
    smoothed, normals = _under_cloth(assets.people_dir / params["body"])
    folds = _folds(body["rest"].astype(float), params)
    parts = []
    for garment in _wardrobe(params, body):
        base: Floats = smoothed if garment.thickness > 0 else vertices
        surface: Floats = base + normals * (garment.thickness + garment.folds * folds)[:, None]
        parts += _shell(surface, faces, garment)
    return parts + _headgear(params, body)


@lru_cache(maxsize=32)
def _under_cloth(path: Path) -> tuple[Floats, Floats]:
    """What cloth lies on, the smoothed body, and its normals, (V, 3) each; the same in every frame."""
    body = load_body(path)
    vertices, faces = body["vertices"].astype(float), body["faces"].astype(np.int32)
    smoothed = _smooth(vertices, faces, 6)
    shoes = np.unique(faces[body["regions"] == REGIONS.index("foot")])
    smoothed[shoes] = _smooth(vertices, faces, 30)[shoes]  # no toes
    return smoothed, _normals(smoothed, faces)


class Garment(NamedTuple):
    """One piece of clothing, or bare skin."""

    material: Material
    faces: np.ndarray
    """Which of the body's, (F,) bool."""
    thickness: float = 0.0
    """Metres off the body."""
    folds: float = 0.0
    """Share of the folds it shows."""
    hems: tuple[np.ndarray, ...] = ()
    """It is cut where one of these, (V,) each, falls below zero."""


def _wardrobe(params: dict[str, Any], body: dict[str, np.ndarray]) -> list[Garment]:
    def part(*names: str) -> np.ndarray:
        return np.isin(body["regions"], [REGIONS.index(n) for n in names])

    jacket = bool(params["hivis"]) and params["hivis_kind"] == "jacket"
    skin, glove = _skin(params), Material("fabric", CLOTH["grey"], 0.5)
    top = Material("fabric", HIVIS[params["hivis"]] if jacket else CLOTH[params["top"]], 0.4)
    trousers = Material("fabric", CLOTH[params["trousers"]], 0.5)
    height = body["rest"][:, 2].astype(float)
    waist, collar = _border(body, "torso", "hips"), _border(body, "torso", "neck") + 0.005
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
    light, dark = np.array([0.62, 0.38, 0.28]), np.array([0.09, 0.045, 0.03])
    r, g, b = dark + (light - dark) * params["skin"]
    return Material("skin", (float(r), float(g), float(b)), 0.0)


def _hivis(
    params: dict[str, Any], body: dict[str, np.ndarray], trunk: np.ndarray, shin: np.ndarray, jacket: bool
) -> list[Garment]:
    """A vest over the top, and reflective bands (EN ISO 20471: 50 mm wide) on trunk, shoulders, shins."""
    rest, shine = body["rest"].astype(float), Material("reflective", (0.62, 0.63, 0.64), 0.1)
    height, waist = rest[:, 2], _border(body, "torso", "hips")
    collar = _border(body, "torso", "neck") - 0.015
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


def _border(body: dict[str, np.ndarray], first: str, second: str) -> float:
    """Middle height of the border between two regions in the rest pose, metres."""
    regions = [REGIONS.index(first), REGIONS.index(second)]
    vertices = [np.unique(body["faces"][body["regions"] == region]) for region in regions]
    border = np.intersect1d(*vertices)
    return float(np.median(body["rest"].astype(float)[border, 2]))


def _shell(vertices: Floats, faces: np.ndarray, garment: Garment) -> list[Part]:
    """The garment's faces as a part of their own, cut at its hems, without the vertices they don't use."""
    used, index = np.unique(faces[garment.faces], return_inverse=True)
    points, triangles = vertices[used], index.reshape(-1, 3).astype(np.int32)
    fields = np.stack([hem[used] for hem in garment.hems], 1) if garment.hems else np.zeros((len(used), 0))
    for hem in range(len(garment.hems)):
        # The other fields are carried along as further coordinates.
        both, triangles = clip(np.concatenate([points, fields], 1), triangles, fields[:, hem])
        points, fields = both[:, :3], both[:, 3:]
    if not len(triangles):
        return []
    padded = np.concatenate([triangles, np.full((len(triangles), 1), -1, np.int32)], 1)
    return [Part(points, padded, garment.material, smooth=np.ones(len(triangles), bool))]


def _normals(vertices: Floats, faces: np.ndarray) -> Floats:
    """Area-weighted vertex normals, (V, 3)."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    across = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for i in range(3):
        np.add.at(normals, faces[:, i], across)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def _smooth(vertices: Floats, faces: np.ndarray, rounds: int) -> Floats:
    """Laplacian smoothing: each vertex moves to the middle of its neighbours, ``rounds`` times."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    degree = np.bincount(edges[:, 0], minlength=len(vertices)).astype(float)
    lonely = degree == 0
    for _ in range(rounds):
        total = np.stack(
            [np.bincount(edges[:, 0], vertices[edges[:, 1], k], minlength=len(vertices)) for k in range(3)], 1
        )
        vertices = np.where(lonely[:, None], vertices, total / np.maximum(degree, 1)[:, None])
    return vertices


def _folds(rest: Floats, params: dict[str, Any]) -> Floats:
    """Depth of the cloth's folds at each vertex, (V,) metres: a few random waves over the rest pose."""
    rng = np.random.default_rng(params["fold_seed"])
    waves = np.zeros(len(rest))
    for scale in (9.0, 16.0, 28.0, 45.0):
        direction = rng.normal(size=3) * [1.0, 1.0, 1.6]
        bent = rest + 0.05 * np.sin(rest[:, [1, 2, 0]] * scale * 0.7 + rng.uniform(0, 6.3, 3))
        waves += np.sin(bent @ direction * scale + rng.uniform(0, 6.3)) * 9.0 / (scale + 9.0)
    return waves * params["folds"]


def _headgear(params: dict[str, Any], body: dict[str, np.ndarray]) -> list[Part]:
    """A helmet or a cap, placed by the head's own rotation from rest to pose."""
    if params["head"] == "bare":
        return []
    head = np.isin(body["regions"], [REGIONS.index("head"), REGIONS.index("hair")])
    index = np.unique(body["faces"][head])
    rest, posed = body["rest"][index].astype(float), body["vertices"][index].astype(float)
    rotation, shift = _rigid(rest, posed)
    low, high = rest.min(0), rest.max(0)
    helmet = params["head"] == "helmet"
    brow = low[2] + 0.70 * (high[2] - low[2])
    centre = np.array([(low[0] + high[0]) / 2 - 0.005, (low[1] + high[1]) / 2, brow])
    grow = 0.022 if helmet else 0.012
    half = np.array(
        [
            (high[0] - low[0]) / 2 + grow,
            (high[1] - low[1]) / 2 * 0.92 + grow,
            high[2] - brow + (0.045 if helmet else grow),
        ]
    )
    colour = HELMETS[params["head_colour"]] if helmet else CLOTH[params["head_colour"]]
    material = Material("plastic" if helmet else "fabric", colour, 0.3)
    # A dome: rings that shrink towards the top; the brim is one wider ring at the brow.
    rise = np.linspace(0, 0.97, 9)
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    rings = [
        centre
        + np.stack([np.cos(angle) * half[0] * c, np.sin(angle) * half[1] * c, np.full(24, half[2] * s)], 1)
        for s, c in zip(np.sin(rise * np.pi / 2), np.cos(rise * np.pi / 2), strict=True)
    ]
    vertices = np.concatenate(rings)
    i, j = np.meshgrid(np.arange(8), np.arange(24), indexing="ij")
    k = (j + 1) % 24
    faces = np.stack([i * 24 + j, i * 24 + k, (i + 1) * 24 + k, (i + 1) * 24 + j], -1).reshape(-1, 4)
    peak = 0.055 if helmet else 0.075
    brim_angle = np.linspace(-1.1, 1.1, 9)
    brim = centre + np.stack(
        [
            np.cos(brim_angle) * (half[0] + peak * np.cos(brim_angle) ** 2),
            np.sin(brim_angle) * half[1],
            np.full(9, 0.0),
        ],
        1,
    )
    parts = [
        Part(vertices, faces.astype(np.int32), material, smooth=np.ones(len(faces), bool)),
        _brim(centre, half, brim, brim_angle, material),
        tube(
            centre + np.stack([np.cos(angle) * half[0], np.sin(angle) * half[1], angle * 0], 1),
            0.006,
            material,
            6,
            True,
        ),
    ]
    return [Part(p.vertices @ rotation.T + shift, p.faces, p.material, p.tint, p.smooth) for p in parts]


def _brim(centre: Floats, half: Floats, outer: Floats, angle: Floats, material: Material) -> Part:
    inner = centre + np.stack(
        [np.cos(angle) * half[0] * 0.98, np.sin(angle) * half[1] * 0.98, angle * 0 + 0.004], 1
    )
    outer = outer - [0, 0, 0.012]
    n = len(angle)
    i = np.arange(n - 1)
    faces = np.stack([i, i + n, i + n + 1, i + 1], 1)
    return Part(np.concatenate([inner, outer]), faces.astype(np.int32), material, smooth=np.ones(n - 1, bool))


def _rigid(source: Floats, target: Floats) -> tuple[Floats, Floats]:
    """Rotation and shift that best map source (N, 3) to target (Kabsch 1976)."""
    a, b = source.mean(0), target.mean(0)
    u, _, vt = np.linalg.svd((source - a).T @ (target - b))
    sign = np.diag([1, 1, np.sign(np.linalg.det(vt.T @ u.T))])
    rotation = vt.T @ sign @ u.T
    return rotation, b - rotation @ a
