"""Cameras: lenses against Blender, mounts, placement in view, light, and the profile's tables for them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blender.assets import Assets, load_assets
from blender.config.capture import CameraConfig, LightConfig
from blender.config.run import Config, load_config
from blender.contract import UserError, read_record
from blender.geometry import lens
from blender.geometry.mesh import Part
from blender.kinds import kind
from blender.objects import hall
from blender.rendering.frame import frame_scene
from blender.scene import camera
from blender.scene.lighting import sample_lamps
from blender.scene.placement import corners_of
from blender.spec import CameraSpec, LampSpec, ObjectSpec, SceneSpec
from tests.conftest import ROOT, TINY, run

FOV = {"perspective": (60, 95), "wide": (80, 110), "equisolid": (90, 120), "equidistant": (90, 120)}
ALL = [*lens.LENSES]


@pytest.fixture(scope="module")
def assets(tiny_people: Path) -> Assets:
    return load_assets(tiny_people)


@pytest.fixture(scope="module")
def default() -> Config:
    return load_config(ROOT / "assets/profiles/default.toml", "train")


def looking(name: str, fov: float = 100.0) -> CameraSpec:
    return CameraSpec((1.0, 0.5, 1.2), 0.3, -0.2, 0.05, float(np.radians(fov)), name)


# ------------------------------------------------------------------------------ lenses


@pytest.mark.parametrize("name", ALL)
def test_the_field_of_view_is_the_pictures_width(name: str) -> None:
    spec = looking(name)
    axes = lens.camera_axes(spec)
    half = spec.fov / 2
    rays = np.array([[np.sin(a), 0, -np.cos(a)] for a in (-half, 0.0, half)]) @ axes.T
    pixels, depth = lens.project(np.asarray(spec.position) + 3 * rays, spec, 400, 300)
    assert pixels == pytest.approx(np.array([[0, 150], [200, 150], [400, 150]]), abs=1e-6)
    assert depth == pytest.approx(3 * np.cos([half, 0, half]))


@pytest.mark.parametrize("name", ALL)
def test_a_lens_keeps_order_to_90_degrees(name: str) -> None:
    radius = lens.LENSES[name].radius(np.linspace(0, 1.57, 500))
    assert radius[0] == pytest.approx(0, abs=1e-12)
    assert (np.diff(radius) > 0).all()
    assert radius[1] / 1.57 * 499 == pytest.approx(1, rel=1e-4), "one focal length a radian on the axis"


def test_the_wide_lens_lies_between_the_straight_one_and_the_fisheye() -> None:
    angle = np.linspace(0.2, 1.5, 50)
    straight, wide, fisheye = (lens.LENSES[n].radius(angle) for n in ("perspective", "wide", "equidistant"))
    assert (fisheye < wide).all()
    assert (wide < straight).all()
    assert wide == pytest.approx(2 * np.tan(angle / 2), abs=2e-3), "stereographic"


def tiny_with(name: str, tmp_path: Path, width: int, height: int) -> Path:
    path = tmp_path / f"{name}.toml"
    text = TINY.replace("width = 96", f"width = {width}").replace("height = 72", f"height = {height}")
    low, high = FOV[name]
    path.write_text(f"{text}\n[scene.camera.lenses]\n{name} = {{ weight = 1, fov = [{low}, {high}] }}\n")
    return path


def rays_agree(name: str, people: Path, tmp_path: Path, width: int, height: int, frames: int) -> None:
    """Masks, depths, normals and the projection against ``scene.ray_cast`` at each pixel's middle."""
    profile = tiny_with(name, tmp_path, width, height)
    done = run("-m", "tests.helpers.ray_check", profile, people, name, frames)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.split("RESULT ")[-1])
    assert sum(f["labelled"] for f in found) > 0.02 * sum(f["pixels"] for f in found)
    assert sum(f["wrong"] for f in found) <= sum(f["pixels"] for f in found) / 5000
    assert all(f["ahead"] == 1 for f in found)
    assert max(f["off"] for f in found) < 0.5
    assert max(f["distance_off"] for f in found) < 0.01
    assert np.mean([f["normals_off"] for f in found]) < 0.001, "more than half a degree"
    assert max(f["normals_length"] for f in found) < 0.001


@pytest.mark.parametrize("name", ALL)
def test_masks_and_projection_agree_with_rays(name: str, tiny_people: Path, tmp_path: Path) -> None:
    rays_agree(name, tiny_people, tmp_path, 160, 120, frames=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_masks_and_projection_agree_with_rays_in_many_frames(
    name: str, tiny_people: Path, tmp_path: Path
) -> None:
    rays_agree(name, tiny_people, tmp_path, 160, 120, frames=50)


def test_the_record_says_what_took_the_picture(tiny_split: Path) -> None:
    for path in sorted(tiny_split.glob("frames/*.json")):
        found = read_record(path).camera
        assert found["lens"] in lens.LENSES
        assert found["mount"] in ("vehicle", "hand", "overhead")
        assert found["fx"] == pytest.approx(96 * lens.focal_length(found["lens"], found["fov"]), abs=1e-3)
        assert ("polynomial" in found) == (found["lens"] in ("wide", "equidistant"))


# ------------------------------------------------------------------------------ mounts


def scenes(config: Config, assets: Assets, mount: str, count: int) -> list[SceneSpec]:
    mounts = {mount: config.scene.camera.mounts[mount]}
    only = replace(config, scene=replace(config.scene, camera=replace(config.scene.camera, mounts=mounts)))
    return [frame_scene(only, assets, frame) for frame in range(count)]


def test_mounts_and_lenses_are_drawn_by_weight() -> None:
    config, rng = CameraConfig(), np.random.default_rng(0)
    seen = Counter(camera.sample_mount(config, rng)[0] for _ in range(2000))
    assert [round(seen[n] / 2000, 1) for n in ("vehicle", "hand", "overhead")] == [0.7, 0.2, 0.1]
    room = (0.0, 20.0, -5.0, 5.0)
    lenses = Counter(camera.sample_camera(config, "hand", 1.5, room, rng).lens for _ in range(2000))
    assert lenses["perspective"] / 2000 == pytest.approx(0.75, abs=0.03)
    assert set(lenses) == set(lens.LENSES)


@pytest.mark.parametrize("mount", ["vehicle", "hand", "overhead"])
def test_cameras_hang_in_the_air_under_the_roof(mount: str, default: Config, assets: Assets) -> None:
    low, high = default.scene.camera.mounts[mount].height
    for spec in scenes(default, assets, mount, 15):
        x, y, z = spec.camera.position
        hall = spec.objects[0].params
        assert low <= z <= min(high, hall["height"] - 1.0)
        assert 0.1 < x < hall["length"] - 1
        assert abs(y) < hall["width"] / 2 - 0.3
        for item in spec.objects:
            assert not is_inside(np.array(spec.camera.position), item, assets), (item.builder, spec.camera)


def is_inside(point: np.ndarray, item: ObjectSpec, assets: Assets) -> bool:
    """Does a point lie within one of an object's closed meshes?"""
    module = kind(item.builder)
    corners = corners_of(module.footprint(item.params, assets), item.position, item.yaw)
    if (point[:2] < corners.min(0) - 1).any() or (point[:2] > corners.max(0) + 1).any():
        return False
    c, s = np.cos(item.yaw), np.sin(item.yaw)
    local = (point - np.asarray(item.position)) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return any(winds_around(part, local) for part in module.build(item.params, assets))


def winds_around(part: Part, point: np.ndarray) -> bool:
    """Winding number of a mesh about a point, by solid angles (van Oosterom and Strackee 1983)."""
    faces = np.concatenate([part.faces[:, :3], part.faces[part.faces[:, 3] >= 0][:, [0, 2, 3]]])
    a, b, c = (part.vertices[faces[:, k]] - point for k in range(3))
    la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
    over = (a * np.cross(b, c)).sum(1)
    under = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
    return bool(abs(np.arctan2(over, under).sum() / (2 * np.pi)) > 0.5)


def test_the_check_for_a_camera_inside_can_fail(default: Config, assets: Assets) -> None:
    pallet = kind("pallet")
    params = pallet.sample(default.ranges["pallets"], np.random.default_rng(0), assets)
    item = ObjectSpec("pallet", params, (3.0, 1.0, 0.0), 0.7)
    middle = np.array([3.0, 1.0, 0.133])  # in the top boards' middle one
    assert is_inside(middle, item, assets)
    assert not is_inside(middle + np.array([0, 0, 4]), item, assets)


def test_an_overhead_camera_sees_the_floor_before_it(default: Config, assets: Assets) -> None:
    width, height = default.render.width, default.render.height
    shares = []
    for spec in scenes(default, assets, "overhead", 25):
        x, y, _ = spec.camera.position
        ahead = np.linspace(3.0, min(12.0, spec.objects[0].params["length"] - x), 40)
        yaw = spec.camera.yaw
        floor = np.stack([x + ahead * np.cos(yaw), y + ahead * np.sin(yaw), 0 * ahead], 1)
        pixels, depth = lens.project(floor, spec.camera, width, height)
        assert (depth > 0).all()
        shares.append(((pixels >= 0) & (pixels <= [width, height])).all(1).mean())
    assert np.mean(shares) > 0.9
    assert min(shares) > 0.6


@pytest.mark.parametrize("mount", ["vehicle", "hand", "overhead"])
@pytest.mark.parametrize("name", ["perspective", "equisolid"])
def test_what_is_labelled_is_placed_in_view(mount: str, name: str, default: Config, assets: Assets) -> None:
    view = default.scene.camera
    only = replace(view, lenses={name: view.lenses[name]})
    config = replace(default, scene=replace(default.scene, camera=only, negatives=0.0))
    width, height = config.render.width, config.render.height
    inside, trucks = [], 0
    for spec in scenes(config, assets, mount, 15):
        for item in spec.objects:
            if item.category:
                middle = np.asarray(item.position) + np.array([0, 0, 1.0])
                pixels, depth = lens.project(middle[None], spec.camera, width, height)
                inside.append(depth[0] > 0 and (np.abs(pixels[0] / [width, height] - 0.5) < 0.6).all())
                trucks += item.category == "pallet_truck"
    assert np.mean(inside) > 0.85, "operators and rows may stand a little out of it"
    assert trucks >= 9


# ------------------------------------------------------------------------------ light


def test_rows_of_lamps_differ_and_one_is_always_on() -> None:
    room, rng = (0.0, 24.0, -8.0, 8.0), np.random.default_rng(0)
    dark = replace(LightConfig(), dark=1.0, unlit_end=1.0)
    light = replace(LightConfig(), dark=0.0, unlit_end=0.0)
    counts = {}
    for key, config in (("dark", dark), ("light", light)):
        drawn = [sample_lamps(config, room, 6.0, rng) for _ in range(60)]
        counts[key] = np.mean([len(_lit(lamps)) for lamps, *_ in drawn])
        assert min(len(_lit(lamps)) for lamps, *_ in drawn) >= 1
        for lamps, temperature, ambient, _ in drawn:
            rows: dict[float, set[float]] = {}
            for lamp in lamps:
                rows.setdefault(lamp.position[1], set()).add(lamp.temperature)
                assert abs(lamp.temperature - temperature) <= 400.1
                assert lamp.position[2] < 6.0
            assert all(len(kelvins) == 1 for kelvins in rows.values())
            assert ambient <= 0.22 * (0.2 if key == "dark" else 1)
    assert counts["dark"] < 0.4 * counts["light"]


def test_an_unlit_end_has_no_lamp() -> None:
    """All lamps on, then one end off: a straight line parts those that are left from those that are gone."""
    config = replace(LightConfig(), lit=(1.0, 1.0), dark=0.0, unlit_end=1.0, spacing=(3.0, 3.0))
    room = (0.0, 30.0, -6.0, 6.0)
    for seed in range(10):
        lamps, *_ = sample_lamps(config, room, 6.0, np.random.default_rng(seed))
        assert 1 <= len(_lit(lamps)) < len(lamps) == 30
        assert min(lamp.position[0] for lamp in _lit(lamps)) < 3, "it is lit where the camera stands"


def test_lamps_hang_from_the_roof_lit_or_not(assets: Assets) -> None:
    """A tray over each, and only over: light falls past it. Those that are off show their cover."""
    params = {**hall.sample(hall.Ranges(), np.random.default_rng(0), assets), "height": 6.0}
    lamps = [LampSpec((x, 0.0, 5.5), (1.4, 0.18), power, 4000.0) for x, power in ((3.0, 90.0), (6.0, 0.0))]
    bare = hall.build(params, assets)
    held = hall.build(hall.with_lamps(params, lamps), assets)[len(bare) :]
    for x, lowest in ((3.0, 5.505), (6.0, 5.495)):
        points = np.concatenate([part.vertices for part in held])
        mine = points[np.abs(points[:, 0] - x) < 1.0]
        assert mine[:, 2].min() == pytest.approx(lowest) and mine[:, 2].max() == pytest.approx(6.0)
        assert np.ptp(mine[:, 0]) == pytest.approx(1.44) and np.ptp(mine[:, 1]) == pytest.approx(0.22)


def _lit(lamps: tuple[LampSpec, ...]) -> list[LampSpec]:
    return [lamp for lamp in lamps if lamp.power > 0]


# ------------------------------------------------------------------------------ profiles


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lenses = { fish = { weight = 1, fov = [90, 120] } }", "unknown key 'fish'; known: perspective"),
        ("lenses = { perspective = { weight = 1, fov = [90, 160] } }", "numbers above 1 and up to 150"),
        ("lenses = { perspective = { weight = 1, fov = [90, 60] } }", "fov must be a range"),
        ("lenses = { perspective = { weight = 0, fov = [60, 90] } }", "one weight must be above 0"),
        ("lenses = { perspective = { weight = -1, fov = [60, 90] } }", "weight must be .* at least 0"),
        ("lenses = { equisolid = { weight = 1, fov = [90, 140] } }", "90 degrees off the axis"),
        ("lenses = { perspective = { wieght = 1 } }", "did you mean 'weight'"),
        ("mounts = { crane = { weight = 1, height = [0, 3] } }", "height must be a range .* at least 0.1"),
        ("mounts = { crane = { weight = 1, height = [2, 3], floor = [0, 3] } }", "numbers above 0"),
        ("mounts = { crane = { weight = 1, height = [2, 3], pitch = [-90, 0] } }", "from -60 to 60"),
        ("fov = [55, 95]", "unknown key 'fov'; known: lenses, mounts"),
    ],
)  # fmt: skip
def test_a_wrong_camera_is_named(text: str, message: str, tmp_path: Path) -> None:
    wrong_profile("camera", text, message, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("environments = { sea = 1 }", r"environments\]: unknown key 'sea'; known: none, city"),
        ("environments = { none = 0 }", "one weight must be above 0"),
        ("dark = 1.2", "dark must be a number from 0 to 1"),
        ("row_temperature = [-3000, 0]", "at least 1000 kelvin"),
        ("ambient = [-0.1, 0.1]", "ambient must be a range .* of at least 0"),
    ],
)
def test_a_wrong_light_is_named(text: str, message: str, tmp_path: Path) -> None:
    wrong_profile("light", text, message, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jpeg_quality = [0, 90]", "jpeg_quality must be a range .* from 1 to 100"),
        ("jpeg_quality = [50.5, 90]", "jpeg_quality must be a range .* of integers"),
        ("noise = [-0.1, 0.1]", "noise must be a range .* from 0 to 1"),
        ("contrast = [0, 1]", "contrast must be a range .* above 0"),
        ("white_balance = [-0.6, 0]", "white_balance must be a range .* from -0.5 to 0.5"),
        ("defocus = 2", "defocus must be a number from 0 to 1"),
        ("aberration = [0, 0.2]", "aberration must be a range .* from 0 to 0.05"),
        ("motion_length = [0.2, 0.1]", "must be a range"),
        ("bloom = 1", "unknown key 'bloom'"),
    ],
)
def test_a_wrong_sensor_is_named(text: str, message: str, tmp_path: Path) -> None:
    wrong_profile("sensor", text, message, tmp_path)


def wrong_profile(table: str, text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(f"{TINY}\n[scene.{table}]\n{text}\n")
    with pytest.raises(UserError, match=message):
        load_config(path)


def test_a_mount_of_ones_own_is_recorded(tmp_path: Path, assets: Assets) -> None:
    path = tmp_path / "crane.toml"
    path.write_text(
        f"{TINY}\n[scene.camera.mounts]\ncrane = {{ weight = 1, height = [9, 9], floor = [2, 8] }}\n"
    )
    spec = frame_scene(load_config(path), assets, 0)
    assert (spec.camera.mount, spec.camera.position[2]) == ("crane", 9.0)
    assert spec.objects[0].params["height"] >= 9.0 + camera.HEADROOM
