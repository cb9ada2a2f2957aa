"""Pallet trucks: dimensions of every variant, forks in pallets, hands on tillers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blender.assets import Assets
from blender.config.profile import load_config
from blender.contract import UserError, from_table
from blender.geometry.mesh import Part, bounds
from blender.objects import pallet, pallet_truck, pedestrian
from blender.objects.pallet_truck import attachments, hood
from blender.objects.pallet_truck.chassis import CHASSIS, HOOD_HINGES, POWERED, hinge, to_truck
from blender.objects.pallet_truck.livery import livery_of
from blender.spec import ObjectSpec
from tests.conftest import ROOT, default_scene

CONFIG = load_config(ROOT / "assets/profiles/default.toml", "train")
RANGES = CONFIG.ranges["pallet_truck"]
HEIGHTS = {
    "hand": (1.0, 1.3), "weighing": (1.0, 1.3), "scissor": (1.0, 1.3), "walkie": (1.1, 1.35),
    "rider": (1.1, 1.35), "stacker": (1.75, 2.7),
}  # fmt: skip
EMPTY = {"load": "none", "stack": 1, "tiers": 1, "load_height": 0.5, "wrapped": False, "wear": 0.5, "seed": 0}
HAND = pedestrian.REGIONS.index("hand")


def truck(variant: str, seed: int, assets: Assets, **fixed: Any) -> dict[str, Any]:
    """Draw the parameters of a truck of one variant; some parameters are set."""
    only = replace(RANGES, variants={variant: 1.0}, lowered=0.0)
    return {**pallet_truck.sample(only, np.random.default_rng(seed), assets), **fixed}


def faces_hit(first: tuple[np.ndarray, list[Any]], second: tuple[np.ndarray, list[Any]]) -> int:
    """Return the number of intersecting pairs of faces of two meshes (vertices, faces)."""
    import bpy  # noqa: F401  (brings mathutils)
    from mathutils.bvhtree import BVHTree

    a, b = (BVHTree.FromPolygons(v.tolist(), f) for v, f in (first, second))
    return len(a.overlap(b))


def joined(parts: Iterable[Part], spec: ObjectSpec | None = None) -> tuple[np.ndarray, list[Any]]:
    """Return the vertices and faces of all parts, transformed by the pose of ``spec``."""
    vertices: list[np.ndarray] = []
    faces: list[list[int]] = []
    for part in parts:
        start = sum(map(len, vertices))
        vertices.append(part.vertices)
        faces += [[start + i for i in face if i >= 0] for face in part.faces.tolist()]
    points = np.concatenate(vertices)
    return (points if spec is None else world(points, spec)), faces


def world(points: np.ndarray, item: ObjectSpec) -> np.ndarray:
    c, s = np.cos(item.yaw), np.sin(item.yaw)
    return points @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T + np.asarray(item.position)


@pytest.mark.parametrize("variant", pallet_truck.VARIANTS)
def test_every_variant_has_its_real_dimensions(variant: str, assets: Assets) -> None:
    for seed in range(12):
        params = truck(variant, seed, assets)
        assert json.loads(json.dumps(params)) == params, "the record can hold them"
        parts = pallet_truck.build(params, assets)
        points = np.concatenate([p.vertices for p in parts])
        assert np.isfinite(points).all()
        assert all(p.faces.max() < len(p.vertices) for p in parts)
        assert len(points) < 10_000
        assert points[:, 2].min() == pytest.approx(0, abs=0.001), "it stands on the floor"
        low, high = HEIGHTS[variant]
        assert low < points[:, 2].max() < high
        x0, x1, y0, y1 = pallet_truck.footprint(params, assets)
        outside = [x0 - points[:, 0], points[:, 0] - x1, y0 - points[:, 1], points[:, 1] - y1]
        assert max(o.max() for o in outside) < 0.01, "the footprint contains it"
        assert points[:, 0].max() == pytest.approx(x1, abs=0.001), "forks end where it ends"
        ends = points[points[:, 0] > x1 - 0.1]
        assert ends[:, 2].max() == pytest.approx(pallet_truck.fork_height(params), abs=0.02)


@pytest.mark.parametrize("variant", pallet_truck.VARIANTS)
def test_grip_is_at_the_handle(variant: str, assets: Assets) -> None:
    for turn, lean in ((0.0, 0.1), (0.9, 0.5), (-0.6, 1.0)):
        params = truck(variant, 1, assets, tiller_turn=turn, tiller_angle=lean)
        points = np.concatenate([p.vertices for p in pallet_truck.build(params, assets)])
        near = np.linalg.norm(points - pallet_truck.grip(params), axis=1)
        assert near.min() < 0.09, "a mesh within a hand's reach of the point"
    held = pallet_truck.hold(params, 0.9)
    assert pallet_truck.grip(held)[1:] == pytest.approx([0.0, 0.9], abs=1e-3)


@pytest.mark.parametrize("variant", pallet_truck.VARIANTS)
def test_forks_fit_between_a_pallets_boards(variant: str, assets: Assets) -> None:
    """At every height, forks, frame and rollers do not intersect the pallet, and raised forks carry it."""
    for lift in (0.0, 0.01, 0.05, 0.115, *((0.4, 0.7) if variant in ("scissor", "stacker") else ())):
        params = truck(variant, 3, assets, lift=lift, fork_length=1.15, fork_width=0.16, overall_width=0.55)
        assert attachments.fits_pallet(params)
        load = attachments.place_load(params, EMPTY)
        body, board = pallet_truck.build(params, assets), pallet.build(load.params, assets)
        assert faces_hit(joined(body), joined(board, load)) == 0, lift
        gap = load.position[2] + 0.1 - pallet_truck.fork_height(params)
        assert 0 < gap < (0.002 if lift >= 0.0151 else 0.017)
    assert not attachments.fits_pallet({**params, "overall_width": 0.69})
    assert not attachments.fits_pallet({**params, "overall_width": 0.46})
    assert not attachments.fits_pallet({**params, "fork_length": 0.9})


@pytest.mark.parametrize("variant", attachments.WALKED_BEHIND)
def test_operator_holds_the_tiller_and_no_limb_is_in_the_truck(variant: str, assets: Assets) -> None:
    operators = 0
    for seed, person in enumerate(p for p in assets.people if p["pose"] in ("pushing", "pulling")):
        params = {"body": person["file"], "pose": person["pose"]}
        operated, spec = attachments.place_operator(
            truck(variant, seed, assets), ObjectSpec("pedestrian", params), assets
        )
        body = pedestrian.load_body(assets.people_dir / person["file"])
        points, hands = world(body["vertices"].astype(float), spec), body["regions"] == HAND
        grip = pallet_truck.grip(operated)
        off = points[np.unique(body["faces"][hands])] - grip
        off[:, 1] -= np.clip(off[:, 1], -0.12, 0.12)  # anywhere along the grip
        assert np.linalg.norm(off, axis=1).min() < 0.03
        assert abs(attachments.holding_point(params, assets)[2] - grip[2]) < 0.03
        machine = joined(pallet_truck.build(operated, assets))
        assert faces_hit((points, body["faces"][~hands].tolist()), machine) == 0, person["pose"]
        operators += 1
    assert operators >= 2, "the tiny people include both poses"


def test_scenes_contain_every_variant_loads_and_operators(tiny_people: Path, assets: Assets) -> None:
    """Checked in 60 default frames; hand trucks are the most frequent variant."""
    variants: dict[str, int] = dict.fromkeys(pallet_truck.VARIANTS, 0)
    loaded = operated = 0
    for frame in range(60):
        objects = default_scene(tiny_people, frame).objects
        for item, *following in zip(objects, objects[1:], objects[2:], strict=False):
            if item.builder == "pallet_truck":
                variants[item.params["variant"]] += 1
                loaded += item.params.get("loaded", False)
                grip = world(pallet_truck.grip(item.params)[None], item)[0]
                for person in following:
                    if person.builder == "pedestrian" and person.params["pose"] in ("pushing", "pulling"):
                        hand = world(attachments.holding_point(person.params, assets)[None], person)[0]
                        operated += bool(np.linalg.norm(hand - grip) < 0.1)
    assert min(variants.values()) > 0
    assert max(variants, key=lambda v: variants[v]) == "hand"
    share = loaded / sum(variants.values())
    assert 0.5 * CONFIG.scene.loaded < share < 1.3 * CONFIG.scene.loaded, "most forks are changed to fit"
    assert operated > 3


def test_equal_parameters_build_equal_trucks(assets: Assets) -> None:
    for variant in pallet_truck.VARIANTS:
        first, second = (pallet_truck.build(truck(variant, 5, assets), assets) for _ in range(2))
        assert all(
            (a.vertices == b.vertices).all() and (a.faces == b.faces).all()
            for a, b in zip(first, second, strict=True)
        )
        assert all(a.material == b.material for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("variants", {"hover": 1.0}, "variants.: unknown key 'hover'; known: hand, weighing"),
        ("paint", {"rde": 1.0}, "paint.: unknown key 'rde'; known: red"),
        ("lift", [0.2, 0.1], "lift must be a range"),
        ("handles", {}, "handles.: at least one weight must be above 0"),
    ],
)
def test_wrong_ranges_are_errors_that_name_the_key(key: str, value: Any, message: str) -> None:
    table = {"paint": {"red": 1.0}, "handle_paint": {"same": 1.0}, key: value}
    with pytest.raises(UserError, match=message):
        from_table(pallet_truck.Ranges, table, "here")


@pytest.mark.parametrize("variant", POWERED)
@pytest.mark.parametrize("shape", HOOD_HINGES)
def test_hoods_hold_their_tillers(shape: str, variant: str, assets: Assets) -> None:
    params = truck(variant, 3, assets, hood=shape, tiller_angle=0.0, tiller_turn=0.0)
    parts, faces = hood.hood(params, livery_of(params), 0.16)
    low, high = bounds(parts)
    half = CHASSIS[variant].half_width
    assert low[2] == pytest.approx(0, abs=0.001), "its wheels stand on the floor"
    assert (-low[1], high[1]) == pytest.approx((half, half), abs=0.005), "it is as wide as the chassis"
    x, z = hinge(params)
    assert low[0] <= x and z < hood.height(params), "the tiller is hinged in it"
    turned = {**params, "tiller_turn": 1.0}
    assert np.allclose(to_truck(turned, np.zeros((1, 3)))[0, 2], z)
    for face in faces:
        edges = np.roll(face, -1, 0) - face
        normal = np.cross(edges[0], edges[1])
        assert np.linalg.norm(normal) > 0.001, "each face has room for a label"
        assert abs((face[3] - face[0]) @ normal) < 1e-6, "and is flat"


def test_frame_rises_with_the_forks_except_on_scissor_trucks(assets: Assets) -> None:
    """A stacker's chassis stays on the floor, too."""
    for variant, share in (("hand", 1.0), ("scissor", 0.0), ("walkie", 1.0)):
        tops = []
        for lift in (0.0, 0.1):
            params = truck(variant, 2, assets, lift=lift, tiller_angle=1.2, tiller_turn=0.0)
            points = np.concatenate([p.vertices for p in pallet_truck.build(params, assets)])
            start = (
                0.18 if variant == "walkie" else -0.05
            )  # in front of it a walkie's hood stays on its wheels
            body = points[(points[:, 0] > start) & (points[:, 0] < pallet_truck.front(params) - 0.05)]
            tops.append(body[:, 2].max())
        assert tops[1] - tops[0] == pytest.approx(0.1 * share, abs=0.02), variant
    low, _ = bounds(pallet_truck.build(truck("stacker", 2, assets, lift=1.0), assets))
    assert low[2] == pytest.approx(0, abs=0.001)
