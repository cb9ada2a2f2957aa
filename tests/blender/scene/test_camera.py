"""Cameras: mounts and poses, and errors in the profile's tables of camera, light and sensor."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blender.assets import Assets
from blender.config.capture import CameraConfig
from blender.config.profile import Config, load_config
from blender.contract import UserError
from blender.geometry import lens
from blender.geometry.mesh import Part
from blender.kinds import find_kind
from blender.lenses import LENSES, covers
from blender.objects import pallet
from blender.rendering.frame import frame_scene
from blender.scene import camera
from blender.scene.free_space import corners_of
from blender.spec import ObjectSpec, SceneSpec
from tests.conftest import TINY


def scenes(config: Config, assets: Assets, mount: str, count: int) -> list[SceneSpec]:
    """Draw the first scenes of a profile with a single mount."""
    mounts = {mount: config.scene.camera.mounts[mount]}
    only = replace(config, scene=replace(config.scene, camera=replace(config.scene.camera, mounts=mounts)))
    return [frame_scene(only, assets, frame) for frame in range(count)]


def test_mounts_and_lenses_are_drawn_by_weight() -> None:
    config, rng = CameraConfig(), np.random.default_rng(0)
    mounts = Counter(camera.sample_mount(config, rng)[0] for _ in range(2000))
    assert [round(mounts[n] / 2000, 1) for n in ("vehicle", "hand", "overhead")] == [0.7, 0.2, 0.1]
    room = (0.0, 20.0, -5.0, 5.0)
    lenses = Counter(camera.sample_camera(config, "hand", 1.5, room, rng).lens for _ in range(2000))
    assert lenses["perspective"] / 2000 == pytest.approx(0.75, abs=0.03)
    assert set(lenses) == set(LENSES)


@pytest.mark.parametrize("mount", ["vehicle", "turning", "hand", "overhead"])
def test_camera_is_in_free_air_below_the_roof(mount: str, default_config: Config, assets: Assets) -> None:
    low, high = default_config.scene.camera.mounts[mount].height
    for spec in scenes(default_config, assets, mount, 8):
        x, y, z = spec.camera.position
        hall = spec.objects[0].params
        assert low <= z <= min(high, hall["height"] - 1.0)
        assert 0.1 < x < hall["length"] - 1
        assert abs(y) < hall["width"] / 2 - 0.3
        for item in spec.objects:
            assert not is_inside(np.array(spec.camera.position), item, assets), (item.builder, spec.camera)


def is_inside(point: np.ndarray, item: ObjectSpec, assets: Assets) -> bool:
    """Return whether a point lies inside a closed mesh of an object."""
    kind = find_kind(item.builder)
    corners = corners_of(kind.footprint(item.params, assets), item.position, item.yaw)
    if (point[:2] < corners.min(0) - 1).any() or (point[:2] > corners.max(0) + 1).any():
        return False
    c, s = np.cos(item.yaw), np.sin(item.yaw)
    local = (point - np.asarray(item.position)) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return any(winds_around(part, local) for part in kind.build(item.params, assets))


def winds_around(part: Part, point: np.ndarray) -> bool:
    """Return whether a mesh encloses a point: winding number by solid angles (Oosterom and Strackee 1983)."""
    faces = np.concatenate([part.faces[:, :3], part.faces[part.faces[:, 3] >= 0][:, [0, 2, 3]]])
    a, b, c = (part.vertices[faces[:, k]] - point for k in range(3))
    la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
    over = (a * np.cross(b, c)).sum(1)
    under = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
    return bool(abs(np.arctan2(over, under).sum() / (2 * np.pi)) > 0.5)


def test_is_inside_detects_a_point_in_a_board(default_config: Config, assets: Assets) -> None:
    params = pallet.sample(default_config.ranges["pallets"], np.random.default_rng(0), assets)
    item = ObjectSpec("pallet", params, (3.0, 1.0, 0.0), 0.7)
    middle = np.array([3.0, 1.0, 0.133])  # inside the middle top board
    assert is_inside(middle, item, assets)
    assert not is_inside(middle + np.array([0, 0, 4]), item, assets)


def test_overhead_camera_shows_the_floor_ahead(default_config: Config, assets: Assets) -> None:
    width, height = default_config.render.width, default_config.render.height
    shares = []
    for spec in scenes(default_config, assets, "overhead", 15):
        x, y, _ = spec.camera.position
        ahead = np.linspace(3.0, min(12.0, spec.objects[0].params["length"] - x), 40)
        yaw = spec.camera.yaw
        floor = np.stack([x + ahead * np.cos(yaw), y + ahead * np.sin(yaw), 0 * ahead], 1)
        pixels, depth = lens.project(floor, spec.camera, width, height)
        assert (depth > 0).all()
        shares.append(((pixels >= 0) & (pixels <= [width, height])).all(1).mean())
    assert np.mean(shares) > 0.9
    assert min(shares) > 0.6


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
def test_wrong_camera_is_an_error_that_names_it(text: str, message: str, tmp_path: Path) -> None:
    check_profile_error("camera", text, message, tmp_path)


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
def test_wrong_light_is_an_error_that_names_it(text: str, message: str, tmp_path: Path) -> None:
    check_profile_error("light", text, message, tmp_path)


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
def test_wrong_sensor_is_an_error_that_names_it(text: str, message: str, tmp_path: Path) -> None:
    check_profile_error("sensor", text, message, tmp_path)


def check_profile_error(table: str, text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(f"{TINY}\n[scene.{table}]\n{text}\n")
    with pytest.raises(UserError, match=message):
        load_config(path)


def test_custom_mount_is_recorded_and_raises_the_roof(tmp_path: Path, assets: Assets) -> None:
    path = tmp_path / "crane.toml"
    path.write_text(
        f"{TINY}\n[scene.camera.mounts]\ncrane = {{ weight = 1, height = [9, 9], floor = [2, 8] }}\n"
    )
    spec = frame_scene(load_config(path), assets, 0)
    assert (spec.camera.mount, spec.camera.position[2]) == ("crane", 9.0)
    assert spec.objects[0].params["height"] >= 9.0 + camera.HEADROOM


def write_size(folder: Path, width: int, height: int, lenses: str = "") -> Path:
    """Write the tiny profile with another image size and a table of lenses."""
    path = folder / "p.toml"
    text = TINY.replace("width = 96", f"width = {width}").replace("height = 72", f"height = {height}")
    path.write_text(f"{text}{lenses}")
    return path


@pytest.mark.parametrize(
    ("size", "note"),
    [
        ((400, 300), ""),
        ((256, 256), "equisolid up to 119 degrees instead of 120"),
        (
            (480, 640),
            "equisolid up to 100 degrees instead of 120; equidistant up to 107 degrees instead of 120",
        ),
        (
            (1080, 1920),
            "wide up to 104 degrees instead of 110; equisolid left out, which fits up to 81 degrees",
        ),
    ],
)
def test_default_lenses_are_fitted_to_the_shape_and_named(
    size: tuple[int, int], note: str, tmp_path: Path
) -> None:
    config = load_config(write_size(tmp_path, *size))
    assert len(config.notes) == bool(note) and all(note in line for line in config.notes)
    for name, fitted in config.scene.camera.lenses.items():
        assert covers(name, np.radians(fitted.fov[1]), *size)
    (tmp_path / "child.toml").write_text('extends = "p.toml"\nseed = 1\n')  # inherited, not named itself
    assert len(load_config(tmp_path / "child.toml").notes) == bool(note)


def test_named_lenses_that_do_not_fit_are_all_reported_with_their_limits(tmp_path: Path) -> None:
    table = "\n[scene.camera.lenses]\n" + "".join(
        f"{name} = {{ weight = {weight}, fov = [90, 115] }}\n"
        for name, weight in (("perspective", 1), ("wide", 1), ("equisolid", 1), ("equidistant", 0))
    )
    with pytest.raises(UserError) as caught:
        load_config(write_size(tmp_path, 1080, 1920, table))
    wide, equisolid = str(caught.value).splitlines()  # a lens with weight 0 is never drawn
    assert "lenses.wide]: fov [90, 115]" in wide and "use at most 104, " in wide
    assert "lenses.equisolid]: fov [90, 115]" in equisolid and "use at most 81, " in equisolid


def test_a_shape_that_no_inherited_lens_fits_is_an_error(tmp_path: Path) -> None:
    path = write_size(
        tmp_path, 96, 72, "\n[scene.camera.lenses]\nequisolid = { weight = 1, fov = [90, 110] }\n"
    )
    (tmp_path / "child.toml").write_text(f'extends = "{path.name}"\n[render]\nwidth = 90\nheight = 160\n')
    with pytest.raises(UserError, match="no lens fits 90 x 160 pixels"):
        load_config(tmp_path / "child.toml")
