"""camera.toml and the geometry of a camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blender.contract import UserError
from blender.geometry import lens
from blender.lenses import LENSES
from blender.spec import CameraSpec
from pipeline.metres.camera import Camera, Floats, read_camera, recorded_camera

SIZE = (640, 480)
POSE = "height = 1.5\npitch = -8\n"


def points() -> Floats:
    """Return points ahead of a camera: x right, y up, z ahead."""
    return np.array([-2, 0, 2.5]) + np.array([4, 2, 6.5]) * np.random.default_rng(0).random((50, 3))


@pytest.mark.parametrize("name", LENSES)
def test_a_camera_sees_what_the_renderer_draws(name: str) -> None:
    spec = CameraSpec((0.0, 0.0, 1.5), 0.0, -0.3, 0.2, float(np.radians(85)), name)
    world = points()[:, [2, 0, 1]] * [1, -1, 1]
    rendered, _ = lens.project(world, spec, *SIZE)
    camera = recorded_camera(lens.intrinsics(spec, *SIZE))
    assert camera.project(points(), SIZE) == pytest.approx(rendered, abs=1e-6)


@pytest.mark.parametrize("name", LENSES)
def test_rays_lead_back_to_the_points(name: str) -> None:
    camera = Camera(1.5, -20.0, 10.0, name, fov=85.0)
    rays = camera.rays(camera.project(points(), SIZE), SIZE)
    directions = points() - [0, 1.5, 0]
    assert rays == pytest.approx(directions / np.linalg.norm(directions, axis=1)[:, None], abs=1e-9)


def test_intrinsics_are_scaled_to_smaller_copies(tmp_path: Path) -> None:
    path = tmp_path / "camera.toml"
    path.write_text(f"{POSE}fx = 1000\nfy = 1010\ncx = 950\ncy = 560\nimage_size = [1920, 1080]\n")
    camera = read_camera(path)
    large = camera.project(points(), (1920, 1080))
    assert camera.project(points(), (960, 540)) == pytest.approx(large / 2)
    with pytest.raises(
        UserError, match="picture of 640 x 480 pixels, but the camera's image_size is 1920 x 1080"
    ):
        camera.project(points(), SIZE)


def test_a_lens_must_see_the_corners_of_the_picture() -> None:
    with pytest.raises(UserError, match="use a smaller fov"):
        Camera(1.5, 0.0, lens="equisolid", fov=150.0).rays(np.zeros((1, 2)), SIZE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "key 'height' is missing\n.*key 'pitch' is missing"),
        (POSE, "give fov, or all of fx, fy, cx, cy, image_size; missing: fx"),
        (f"{POSE}fov = 80\nfx = 500", "give fov or fx, not both"),
        (f"{POSE}fov = 80\nzoom = 2", "unknown key 'zoom'; known: height, pitch"),
        (
            f"{POSE}fov = 80\nlens = 'fish'",
            'lens must be "perspective", "wide", "equisolid" or "equidistant"',
        ),
        (
            "height = 0\npitch = 'down'\nfov = 80",
            "height must be a number above 0.*\n.*pitch must be a number",
        ),
        ("height =", "not valid TOML"),
    ],
)
def test_mistakes_in_a_camera_file_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "camera.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_camera(path)


def test_a_missing_camera_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"none.toml: no such camera file; write it with `transpalette calibrate`"
    ):
        read_camera(tmp_path / "none.toml")
