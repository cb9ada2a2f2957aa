"""Lenses: numpy's projection, the pixels Cycles renders and the rays Blender casts agree."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from blender.config import CameraConfig, MountConfig
from blender.lenses import LENSES, camera_axes, project
from blender.scene import CameraSpec
from tests.conftest import TINY, run

INVERSE = {"perspective": np.arctan, "fisheye": lambda r: 2 * np.arcsin(np.asarray(r) / 2)}
"""Angle off the axis of a radius over the focal length."""

CASTER = """
import json, sys, tempfile
from dataclasses import replace
from pathlib import Path
import bpy, numpy as np
from blender import passes, records
from blender.config import load_config
from blender.lenses import project
from blender.objects import load_assets
from blender.render import _silent, frame_scene
from blender.stage import build_scene
from tests.test_camera import rays

profile, people, lens, frames = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
config, assets = load_config(profile, "train"), load_assets(people)
wrong = pixels = labelled = 0
worst = 0.0
with tempfile.TemporaryDirectory() as scratch, _silent():
    for frame in range(frames):
        spec = frame_scene(config, assets, frame)
        placed = build_scene(spec, config, assets)
        ids = passes.render_ids(Path(scratch))
        height, width = ids.shape
        graph = bpy.context.evaluated_depsgraph_get()
        for (row, column), direction in rays(spec.camera, width, height):
            found, place, _, _, thing, _ = bpy.context.scene.ray_cast(graph, spec.camera.position, direction)
            number = thing.pass_index if found else 0
            wrong += number != ids[row, column]
            pixels += 1
            labelled += number > 0
            if found:
                at, _ = project(np.array([place]), spec.camera, width, height)
                worst = max(worst, float(np.abs(at[0] - [column + 0.5, row + 0.5]).max()))
print(json.dumps({"wrong": int(wrong), "pixels": pixels, "labelled": labelled, "worst": worst}))
"""


def rays(camera: CameraSpec, width: int, height: int):  # type: ignore[no-untyped-def]
    """Yield (row, column) and the direction, (3,), of the ray through each pixel's middle."""
    axes = camera_axes(camera)
    focal = width / 2 / float(LENSES[camera.lens].radius(camera.fov / 2))
    for row in range(height):
        for column in range(width):
            x, y = (column + 0.5 - width / 2) / focal, (height / 2 - row - 0.5) / focal
            theta, off = float(INVERSE[camera.lens](np.hypot(x, y))), max(float(np.hypot(x, y)), 1e-12)
            local = np.array([np.sin(theta) * x / off, np.sin(theta) * y / off, -np.cos(theta)])
            yield (row, column), axes @ local


def cast(people: Path, folder: Path, lens: str, frames: int) -> dict[str, float]:
    """Compare masks with rays over ``frames`` frames of the tiny profile behind one lens."""
    profile = folder / f"{lens}.toml"
    camera = f"[scene.camera]\nlenses = {{ {lens} = 1 }}\nfov = [60, 110]\n[scene.hall]"
    profile.write_text(TINY.replace("[scene.hall]", camera).replace("train = 4", "train = 50"))
    done = run("-c", CASTER, profile, people, lens, frames)
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("lens", LENSES)
def test_masks_are_what_rays_hit(lens: str, tiny_people: Path, tmp_path: Path) -> None:
    found = cast(tiny_people, tmp_path, lens, 4)
    assert found["labelled"] > 500
    assert found["wrong"] <= found["pixels"] / 5000
    assert found["worst"] < 0.02, "pixels between a hit's projection and the ray that hit"


@pytest.mark.slow
@pytest.mark.parametrize("lens", LENSES)
def test_masks_are_what_rays_hit_in_fifty_frames(lens: str, tiny_people: Path, tmp_path: Path) -> None:
    found = cast(tiny_people, tmp_path, lens, 50)
    assert found["wrong"] <= found["pixels"] / 5000


@pytest.mark.parametrize("lens", LENSES)
def test_the_field_of_view_fills_the_width(lens: str) -> None:
    camera = CameraSpec((1.0, 2.0, 1.5), 0.3, -0.2, 0.1, 1.9, lens)
    right, _, backward = camera_axes(camera).T
    edge = np.asarray(camera.position) + 4 * (np.sin(0.95) * right - np.cos(0.95) * backward)
    pixels, depth = project(edge[None], camera, 640, 480)
    assert pixels[0] == pytest.approx([640, 240], abs=1e-6)
    assert depth[0] == pytest.approx(4 * np.cos(0.95))
    behind = np.asarray(camera.position) + backward
    assert project(behind[None], camera, 640, 480)[1][0] < 0


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: CameraConfig(lenses={"fish": 1}), "lenses: unknown 'fish'; known: perspective, fisheye"),
        (lambda: CameraConfig(mounts={}), "mounts must name at least one"),
        (lambda: CameraConfig(fisheye_fov=(90, 200)), "fov must lie in"),
        (lambda: MountConfig(height=(-1, 2)), "height must be above the floor"),
        (lambda: MountConfig(pitch=(4, -4)), "pitch must be a range"),
    ],
)
def test_wrong_cameras_are_mistakes(make: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        make()  # type: ignore[operator]
