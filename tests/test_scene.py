"""Layouts and geometry: what stands where, without Blender."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from blender import layout, placement
from blender.config import load_config
from blender.mesh import Material, Part, bounds, box, boxes, cylinder, prism, rounded_path, tube
from blender.objects import Assets, kind, load_assets, pallet, pallet_truck
from blender.png import encode_png
from blender.render import frame_rng, frame_scene
from blender.scene import ObjectSpec
from blender.sensor import expose
from blender.trucks import powered
from tests.conftest import ROOT

GREY = Material("paint")


@pytest.fixture(scope="module")
def assets(tiny_people: Path) -> Assets:
    return load_assets(tiny_people)


def volume(part: Part) -> float:
    """Signed volume by the divergence theorem: positive and exact for a closed mesh wound outwards."""
    total = 0.0
    for face in part.faces:
        corners = part.vertices[face[face >= 0]]
        for i in range(1, len(corners) - 1):
            total += float(np.dot(corners[0], np.cross(corners[i], corners[i + 1]))) / 6
    return total


def test_primitives_are_closed_and_wound_outwards() -> None:
    assert volume(box((0, 0, 0), (1, 2, 3), GREY)) == pytest.approx(6)
    assert volume(boxes([(0, 0, 0), (5, 0, 0)], (1, 1, 1), GREY, yaw=[0.3, 0.0])) == pytest.approx(2)
    assert volume(prism([(0, 0), (1, 0), (1, 1)], 0, 2, 2, GREY)) == pytest.approx(1)
    assert volume(prism([(0, 0), (1, 0), (1, 1)], 0, 2, 0, GREY)) == pytest.approx(1)
    assert volume(prism([(0, 0), (1, 0), (1, 1)], 0, 2, 1, GREY)) == pytest.approx(1)
    assert volume(cylinder((0, 0, 0), (0, 0, 1), 1.0, GREY, 64)) == pytest.approx(np.pi, rel=0.01)
    ring = rounded_path([(1, 1, 0), (-1, 1, 0), (-1, -1, 0), (1, -1, 0)], 0.2, closed=True)
    assert volume(tube(ring, 0.1, GREY, 16, closed=True)) > 0.2


@pytest.mark.parametrize("variant", pallet_truck.VARIANTS)
def test_pallet_trucks_have_their_real_dimensions(assets: Assets, variant: str) -> None:
    config = load_config(ROOT / "assets/profiles/default.toml", "train")
    ranges = dataclasses.replace(config.ranges["pallet_truck"], variants={variant: 1})
    rng = np.random.default_rng(0)
    for _ in range(20):
        params = pallet_truck.sample(ranges, rng, assets)
        low, high = bounds(pallet_truck.build(params, assets))
        assert low[2] == pytest.approx(0, abs=0.003), "it stands on the floor"
        lowest, highest = (1.65, 2.15) if variant == "stacker" else (0.70, 1.40)
        assert lowest < high[2] < highest, "the mast's or the handle's height"
        wide = 2 * powered.HALF if variant in pallet_truck.POWERED else params["overall_width"]
        x0, x1, y0, y1 = pallet_truck.footprint(params, assets)
        assert wide - 0.02 < high[1] - low[1]
        assert y0 - 0.01 <= low[1] and high[1] <= y1 + 0.01
        assert high[0] <= x1 + 0.01
        assert x0 <= low[0] + 0.03
        assert 1.2 < high[0] - low[0] < 2.6


def test_the_eur_pallet_has_its_real_dimensions() -> None:
    part = pallet.pallet(np.random.default_rng(0), 0.5)
    low, high = part.vertices.min(0), part.vertices.max(0)
    assert high - low == pytest.approx([1.2, 0.8, 0.144])


@pytest.mark.parametrize(
    "name", ["pallet_truck", "pedestrian", "pallet", "rack", "clutter", "fixture", "forklift", "hall"]
)
def test_every_kind_keeps_to_its_footprint(name: str, assets: Assets) -> None:
    config = load_config(ROOT / "assets/profiles/default.toml", "train")
    key = {"pallet": "pallets", "fixture": "fixtures"}.get(name, name)
    module, rng = kind(name), np.random.default_rng(1)
    for _ in range(8):
        params = module.sample(config.ranges[key], rng, assets)
        parts = module.build(params, assets)
        low, high = bounds(parts)
        x0, x1, y0, y1 = module.footprint(params, assets)
        slack = 0.3 if name == "hall" else 0.13  # walls have a thickness; pallets stand out of racks
        assert low[0] >= x0 - slack and low[1] >= y0 - slack
        assert high[0] <= x1 + slack and high[1] <= y1 + slack
        for part in parts:
            assert np.isfinite(part.vertices).all()
            assert part.faces.max() < len(part.vertices)


def test_overlap_of_footprints() -> None:
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    assert placement.overlap(square, square + np.array([2, 0])) == pytest.approx(-1)
    assert placement.overlap(square, square + np.array([0.9, 0])) == pytest.approx(0.1)
    diamond = np.array([[0, -1], [1, 0], [0, 1], [-1, 0]], float)
    assert placement.overlap(square, diamond + np.array([1.9, 1.9])) < 0
    assert placement.overlap(square, diamond + np.array([1.2, 1.2])) > 0


def test_nothing_stands_in_anything_else(assets: Assets) -> None:
    """Over 60 scenes: footprints of separate things are apart, and nothing leaves the hall."""
    config = load_config(ROOT / "assets/profiles/default.toml", "train")
    layouts, counts = set(), 0
    for frame in range(60):
        spec = frame_scene(config, assets, frame)
        layouts.add(spec.layout)
        building = spec.objects[0].params
        ground = []
        for item in spec.objects[1:]:
            corners = placement.corners_of(
                kind(item.builder).footprint(item.params, assets), item.position, item.yaw
            )
            assert (corners[:, 0] > -0.01).all() and (corners[:, 0] < building["length"] + 0.01).all()
            assert (np.abs(corners[:, 1]) < building["width"] / 2 + 0.01).all()
            ground.append((item, corners))
        for i, (first, a) in enumerate(ground):
            for second, b in ground[i + 1 :]:
                pair = {first.builder, second.builder}
                carried = "pallet_truck" in pair and pair & {"pallet", "pedestrian"}
                if not carried:
                    assert placement.overlap(a, b) < 0.02, (frame, first.builder, second.builder)
        counts += sum(item.category == "pallet_truck" for item in spec.objects)
    assert layouts == set(layout.LAYOUTS)
    assert counts > 60


def test_hands_are_on_the_tiller(assets: Assets) -> None:
    """An operator's grip and the handle it holds are the same point."""
    config = load_config(ROOT / "assets/profiles/default.toml", "train")
    held = 0
    for frame in range(60):
        objects = frame_scene(config, assets, frame).objects
        for truck, *following in zip(objects, objects[1:], objects[2:], strict=False):
            operator = next((o for o in following if o.builder == "pedestrian"), None)
            upright = truck.builder == "pallet_truck" and truck.params["tiller_angle"] < 0.35
            if truck.builder != "pallet_truck" or operator is None or upright:
                continue
            if operator.params["pose"] not in ("pushing", "pulling"):
                continue
            handle = _world(pallet_truck.handle_point(truck.params), truck)
            grip = _world(kind("pedestrian").grip(operator.params, assets), operator)
            if np.linalg.norm(handle - grip) < 1.0:
                held += 1
                assert np.linalg.norm(handle[:2] - grip[:2]) < 0.02
                assert abs(handle[2] - grip[2]) < 0.15
    assert held >= 3


def _world(point: np.ndarray, item: ObjectSpec) -> np.ndarray:
    c, s = np.cos(item.yaw), np.sin(item.yaw)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ point + np.asarray(item.position)


def test_a_frame_depends_on_nothing_but_seed_split_and_number(assets: Assets) -> None:
    config = load_config(ROOT / "assets/profiles/default.toml", "train")
    first = frame_scene(config, assets, 5)
    frame_scene(config, assets, 4)
    assert frame_scene(config, assets, 5) == first
    other = load_config(ROOT / "assets/profiles/default.toml", "val")
    assert frame_scene(other, assets, 5) != first
    assert frame_rng(config, 0, 0).random() != frame_rng(config, 0, 1).random()


def test_png_round_trip() -> None:
    import io

    from PIL import Image

    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (7, 5, 3), dtype=np.uint8)
    ids = rng.integers(0, 65536, (7, 5), dtype=np.uint16)
    assert (np.asarray(Image.open(io.BytesIO(encode_png(rgb)))) == rgb).all()
    assert (np.asarray(Image.open(io.BytesIO(encode_png(ids)))).astype(np.uint16) == ids).all()
    with pytest.raises(ValueError, match="cannot write"):
        encode_png(rgb.astype(float))


def test_the_sensor_meters_and_keeps_to_its_generator() -> None:
    light = np.random.default_rng(0).random((40, 50, 3)).astype(np.float32)
    sensor = {
        "exposure": 0.0, "white_balance": 0.0, "contrast": 1.0, "saturation": 1.0, "vignetting": 0.2,
        "noise": 0.01, "motion_length": 0.05, "motion_angle": 0.1, "sharpening": 0.3,
        "aberration": 0.001, "defocus": 0.001, "glare": 0.01, "jpeg": 0.0,
    }  # fmt: skip
    bright, dark = (expose(light * k, sensor, np.random.default_rng(1)) for k in (10.0, 0.1))
    assert np.abs(bright.astype(int) - dark.astype(int)).max() <= 1, "auto exposure evens out the light"
    assert (
        expose(light, sensor, np.random.default_rng(1)) == expose(light, sensor, np.random.default_rng(1))
    ).all()
    assert (
        expose(light, sensor, np.random.default_rng(1)) != expose(light, sensor, np.random.default_rng(2))
    ).any()
