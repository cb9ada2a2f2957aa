"""Pedestrians: baked anny bodies dressed in workwear.

Origin: on the floor below the body's middle, facing +x. Clothes are the body's own regions, pushed
out along smoothed normals with folds; patterns use the rest pose, so that they move with the cloth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from blender.mesh import Floats, Part
from blender.objects import Assets
from blender.objects.pedestrian.body import REGIONS, load_body, under_cloth
from blender.objects.pedestrian.clothes import CLOTH, folds, shell, wardrobe
from blender.objects.pedestrian.headgear import HELMETS, headgear
from blender.ranges import chance, integer, ordered, pick, shares, uniform

AT_TILLER = ("pushing", "pulling")
"""Poses that hold a pallet truck's tiller."""


@dataclass(frozen=True)
class Ranges:
    """What varies from person to person."""

    poses: tuple[str, ...] = ()
    """Poses to choose from; none: all that were baked, need no seat and hold no tiller."""
    hivis: float = 0.55
    """Share of people in a hi-vis vest or jacket."""
    helmet: float = 0.2
    cap: float = 0.2
    gloves: float = 0.4
    tshirt: float = 0.3
    """Share of bare forearms among those without a hi-vis jacket."""
    folds: tuple[float, float] = (0.003, 0.008)
    """Depth of the cloth's folds, metres."""

    def __post_init__(self) -> None:
        shares(hivis=self.hivis, helmet=self.helmet, cap=self.cap, gloves=self.gloves, tshirt=self.tshirt)
        if self.helmet + self.cap > 1:
            raise ValueError("helmet and cap must not exceed 1 together")
        ordered(folds=self.folds)


def sample(ranges: Ranges, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Draw a body and its clothes (JSON values)."""
    free = [p for p in assets.people if not p["seated"] and p["pose"] not in AT_TILLER]
    able = [p for p in assets.people if p["pose"] in ranges.poses] if ranges.poses else free
    body = able[int(rng.integers(len(able)))] if able else assets.people[0]
    hivis = chance(ranges.hivis, rng)
    bare = max(0.0, 1 - ranges.helmet - ranges.cap)  # a sum of 1 may be a little more by rounding
    head = pick({"helmet": ranges.helmet, "cap": ranges.cap, "bare": bare}, rng)
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


def region(params: dict[str, Any], assets: Assets, *names: str) -> Floats:
    """The bare body's vertices in some of ``REGIONS``, (N, 3) metres, in the person's own frame."""
    body = load_body(assets.people_dir / params["body"])
    faces = body["faces"][np.isin(body["regions"], [REGIONS.index(name) for name in names])]
    return np.asarray(body["vertices"][np.unique(faces)], float)


def build(params: dict[str, Any], assets: Assets) -> list[Part]:
    """The dressed body's meshes."""
    body = load_body(assets.people_dir / params["body"])
    vertices, faces = body["vertices"].astype(float), body["faces"].astype(np.int32)
    smoothed, normals = under_cloth(assets.people_dir / params["body"])
    depth = folds(body["rest"].astype(float), params)
    parts = []
    for garment in wardrobe(params, body):
        base: Floats = smoothed if garment.thickness > 0 else vertices
        surface: Floats = base + normals * (garment.thickness + garment.folds * depth)[:, None]
        parts += shell(surface, faces, garment)
    return parts + headgear(params, body)
