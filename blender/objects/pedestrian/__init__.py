"""Pedestrians: posed anny body meshes, dressed in workwear.

Origin: on the floor below the body's middle; the person faces +x. Clothes are regions of the body's own
surface, moved outwards along smoothed normals and folded. Patterns are computed in the rest pose, so that
they move with the cloth.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np

from blender.assets import Assets
from blender.contract.limits import Ge, Le, Ordered, Share, ShareRange, Weights
from blender.geometry.mesh import Floats, Part
from blender.kinds import AttachmentContext, Parking
from blender.objects.pedestrian.attachments import attach
from blender.objects.pedestrian.body import REGIONS, load_body, palms, region, under_cloth
from blender.objects.pedestrian.clothes import CLOTH, HAIR, HIVIS, folds, shell, wardrobe
from blender.objects.pedestrian.headgear import HELMETS, headgear
from blender.sampling import chance, draw_seed, pick, uniform
from blender.spec import ObjectSpec

__all__ = [
    "AT_TILLER",
    "REGIONS",
    "Ranges",
    "attach",
    "build",
    "footprint",
    "keypoints",
    "load_body",
    "palms",
    "parking",
    "region",
    "sample",
    "sample_in_pose",
    "walks",
]

AT_TILLER = ("pushing", "pulling")
"""Poses of people who hold a pallet truck's tiller."""
WORKING = Parking(facing=True, heading_deviation=0.3)
"""Parking of people at a wall or a rack: they face it, as at work."""
WALKING = ("walking", "carrying")
"""Poses of people who walk in clips."""
REACHING = Parking(facing=True, heading_deviation=0.1, mean_gap=0.02, at_racks=True, always=True)
"""Parking of people in the pose "reaching": their fingers are at the goods in a rack."""
FOOTPRINT_MARGIN = 0.02
"""Margin around the bare body for clothes, metres."""


def _hivis_kinds() -> dict[str, float]:
    return {"vest": 2.0, "jacket": 1.0}


def _hivis_colours() -> dict[str, float]:
    return {"yellow": 5.0, "orange": 4.0, "pink_red": 1.0}


def _tops() -> dict[str, float]:
    return {
        "black": 3.0, "anthracite": 3.0, "navy": 3.0, "blue": 2.0, "grey": 3.0, "red": 2.0, "green": 1.0,
        "white": 1.0,
    }  # fmt: skip


def _trousers() -> dict[str, float]:
    return {
        "black": 4.0, "anthracite": 4.0, "navy": 4.0, "grey": 2.0, "khaki": 2.0, "olive": 1.0, "denim": 3.0,
    }  # fmt: skip


def _hair() -> dict[str, float]:
    return {"black": 3.0, "brown": 4.0, "blond": 2.0, "grey": 2.0}


@dataclass(frozen=True)
class Ranges:
    """Ranges of [scene.objects.NAME] with builder = "pedestrian"."""

    poses: tuple[str, ...] = ()
    """Poses to choose from; empty: all baked poses without a seat or a tiller."""
    hivis: Share = 0.55
    """Share of people in a high-visibility vest or jacket."""
    helmet: Share = 0.2
    """Share of people with a helmet."""
    cap: Share = 0.2
    """Share of people with a cap."""
    gloves: Share = 0.4
    """Share of people with gloves."""
    tshirt: Share = 0.3
    """Share of people with bare forearms among those without a high-visibility jacket."""
    folds: Annotated[tuple[float, float], Ge(0), Le(0.1), Ordered()] = (0.003, 0.008)
    """Depth of the folds in the clothes, in metres."""
    bands: Share = 0.4
    """Share of people in high-visibility clothes whose trousers have reflective bands."""
    skin: ShareRange = (0.0, 1.0)
    """Tone of the skin: 0 is the darkest, 1 the palest."""
    hivis_kinds: Annotated[dict[str, float], Weights(("vest", "jacket"))] = field(
        default_factory=_hivis_kinds
    )
    """Weights of the kinds of high-visibility clothes."""
    hivis_colours: Annotated[dict[str, float], Weights(HIVIS)] = field(default_factory=_hivis_colours)
    """Weights of the colours of high-visibility clothes."""
    tops: Annotated[dict[str, float], Weights(CLOTH)] = field(default_factory=_tops)
    """Weights of the colours of tops."""
    trousers: Annotated[dict[str, float], Weights(CLOTH)] = field(default_factory=_trousers)
    """Weights of the colours of trousers."""
    hair: Annotated[dict[str, float], Weights(HAIR)] = field(default_factory=_hair)
    """Weights of the colours of hair."""

    def __post_init__(self) -> None:
        if self.helmet + self.cap > 1:
            raise ValueError("helmet and cap must not exceed 1 together")


def sample(ranges: Ranges, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Draw a body and its clothes (JSON values)."""
    if ranges.poses:
        bodies = [person for person in assets.people if person["pose"] in ranges.poses]
    else:
        bodies = [p for p in assets.people if not p["seated"] and p["pose"] not in AT_TILLER]
    body = bodies[int(rng.integers(len(bodies)))] if bodies else assets.people[0]
    hivis = chance(ranges.hivis, rng)
    bare = max(0.0, 1 - ranges.helmet - ranges.cap)  # rounding can make the sum a little more than 1
    head = pick({"helmet": ranges.helmet, "cap": ranges.cap, "bare": bare}, rng)
    return {
        "body": body["file"],
        "pose": body["pose"],
        "hivis": pick(ranges.hivis_colours, rng) if hivis else "",
        "hivis_kind": pick(ranges.hivis_kinds, rng),
        "top": pick(ranges.tops, rng),
        "sleeves": "short" if chance(ranges.tshirt, rng) else "long",
        "trousers": pick(ranges.trousers, rng),
        "trouser_bands": hivis and chance(ranges.bands, rng),
        "gloves": chance(ranges.gloves, rng),
        "head": head,
        "head_colour": pick(dict.fromkeys(HELMETS if head == "helmet" else CLOTH, 1.0), rng),
        "hair": pick(ranges.hair, rng),
        "skin": uniform(ranges.skin, rng),
        "folds": uniform(ranges.folds, rng),
        "fold_seed": draw_seed(rng),
    }


def footprint(params: dict[str, Any], assets: Assets) -> tuple[float, float, float, float]:
    """Return the extent on the floor: x from, x to, y from, y to, metres."""
    vertices = load_body(assets.people_dir / params["body"])["vertices"]
    low, high = vertices[:, :2].min(0) - FOOTPRINT_MARGIN, vertices[:, :2].max(0) + FOOTPRINT_MARGIN
    return (float(low[0]), float(high[0]), float(low[1]), float(high[1]))


def keypoints(params: dict[str, Any], assets: Assets) -> Floats:
    """Return the 17 COCO keypoints, (17, 3) metres in the person's frame."""
    return np.asarray(load_body(assets.people_dir / params["body"])["keypoints"], float)


def parking(params: dict[str, Any]) -> Parking:
    """Return how a person stands at a wall or a rack."""
    return REACHING if params["pose"] == "reaching" else WORKING


def walks(params: dict[str, Any]) -> bool:
    """Return whether a person walks in a clip; the others stand."""
    return params["pose"] in WALKING


def sample_in_pose(poses: tuple[str, ...], context: AttachmentContext) -> ObjectSpec | None:
    """Draw a person of the profile's first table of pedestrians in one of ``poses``.

    Returns:
        The person at the origin; None if the profile has no pedestrians or no body has such a pose.
    """
    table = context.first_tables.get("pedestrian")
    if table is None or not any(person["pose"] in poses for person in context.assets.people):
        return None
    ranges = replace(table.ranges, poses=poses)
    return ObjectSpec("pedestrian", sample(ranges, context.rng, context.assets), category=table.category)


def build(params: dict[str, Any], assets: Assets) -> list[Part]:
    """Build the meshes of the dressed body."""
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
