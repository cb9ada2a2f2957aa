"""Lens models: field of view, monotonicity, agreement of masks and projection with Blender's ray casts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from blender.contract import read_record
from blender.geometry import lens
from blender.lenses import LENSES, focal_length
from blender.spec import CameraSpec
from tests.conftest import TINY, run

FOV = {"perspective": (60, 95), "wide": (80, 110), "equisolid": (90, 120), "equidistant": (90, 120)}
LENS_NAMES = [*LENSES]


def camera_with(name: str, fov: float = 100.0) -> CameraSpec:
    return CameraSpec((1.0, 0.5, 1.2), 0.3, -0.2, 0.05, float(np.radians(fov)), name)


@pytest.mark.parametrize("name", LENS_NAMES)
def test_field_of_view_spans_the_image_width(name: str) -> None:
    spec = camera_with(name)
    axes = lens.camera_axes(spec)
    half = spec.fov / 2
    rays = np.array([[np.sin(a), 0, -np.cos(a)] for a in (-half, 0.0, half)]) @ axes.T
    pixels, depth = lens.project(np.asarray(spec.position) + 3 * rays, spec, 400, 300)
    assert pixels == pytest.approx(np.array([[0, 150], [200, 150], [400, 150]]), abs=1e-6)
    assert depth == pytest.approx(3 * np.cos([half, 0, half]))


@pytest.mark.parametrize("name", LENS_NAMES)
def test_image_radius_grows_with_the_angle_up_to_90_degrees(name: str) -> None:
    radius = LENSES[name].radius(np.linspace(0, 1.57, 500))
    assert radius[0] == pytest.approx(0, abs=1e-12)
    assert (np.diff(radius) > 0).all()
    assert radius[1] / 1.57 * 499 == pytest.approx(1, rel=1e-4), "one focal length a radian on the axis"


def test_wide_lens_is_nearly_stereographic() -> None:
    angle = np.linspace(0.2, 1.5, 50)
    straight, wide, fisheye = (LENSES[n].radius(angle) for n in ("perspective", "wide", "equidistant"))
    assert (fisheye < wide).all()
    assert (wide < straight).all()
    assert wide == pytest.approx(2 * np.tan(angle / 2), abs=2e-3)


def tiny_profile_with(name: str, tmp_path: Path, width: int, height: int) -> Path:
    """Write the tiny profile with a single lens and another image size; return its path."""
    path = tmp_path / f"{name}.toml"
    text = TINY.replace("width = 96", f"width = {width}").replace("height = 72", f"height = {height}")
    low, high = FOV[name]
    path.write_text(f"{text}\n[scene.camera.lenses]\n{name} = {{ weight = 1, fov = [{low}, {high}] }}\n")
    return path


def compare_with_rays(name: str, people: Path, tmp_path: Path, width: int, height: int, frames: int) -> None:
    """Compare masks, depths, normals and the projection with ``scene.ray_cast`` at each pixel's centre."""
    profile = tiny_profile_with(name, tmp_path, width, height)
    done = run("-m", "tests.helpers.ray_check", profile, people, name, frames)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.split("RESULT ")[-1])
    pixels = sum(frame["pixels"] for frame in results)
    assert sum(frame["labelled"] for frame in results) > 0.02 * pixels
    assert sum(frame["wrong_ids"] for frame in results) <= pixels / 5000
    assert all(frame["share_ahead"] == 1 for frame in results)
    assert max(frame["projection_error"] for frame in results) < 0.5
    assert max(frame["depth_error"] for frame in results) < 0.01
    assert np.mean([frame["share_of_wrong_normals"] for frame in results]) < 0.001
    assert max(frame["normal_length_error"] for frame in results) < 0.001


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("perspective", "equisolid") else [pytest.mark.slow])
        for name in LENS_NAMES
    ],
)
def test_masks_and_projection_agree_with_rays(name: str, tiny_people: Path, tmp_path: Path) -> None:
    compare_with_rays(name, tiny_people, tmp_path, 160, 120, frames=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", LENS_NAMES)
def test_masks_and_projection_agree_with_rays_in_many_frames(
    name: str, tiny_people: Path, tmp_path: Path
) -> None:
    compare_with_rays(name, tiny_people, tmp_path, 160, 120, frames=50)


def test_record_holds_the_intrinsics_of_the_lens(tiny_split: Path) -> None:
    for path in sorted(tiny_split.glob("frames/*.json")):
        camera = read_record(path).camera
        assert camera["lens"] in LENSES
        assert camera["mount"] in ("vehicle", "hand", "overhead")
        assert camera["fx"] == pytest.approx(96 * focal_length(camera["lens"], camera["fov"]), abs=1e-3)
        assert ("polynomial" in camera) == (camera["lens"] in ("wide", "equidistant"))
