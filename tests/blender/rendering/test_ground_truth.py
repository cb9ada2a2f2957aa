"""Instance ids, amodal masks and 3D boxes of simple scenes whose ground truth is known beforehand."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blender.assets import Assets
from blender.config.profile import Config, load_config
from blender.geometry.lens import intrinsics
from blender.geometry.mesh import bounds
from blender.imaging.png import encode_png
from blender.kinds import find_kind
from blender.lenses import LENSES
from blender.rendering import passes
from blender.rendering.builder import build_scene
from blender.rendering.device import Device, use_device
from blender.rendering.frame import frame_scene
from blender.spec import CameraSpec, ObjectSpec
from tests.helpers.assets import model_assets
from tests.helpers.ground_truth import amodal_masks, person, render_ground_truth, render_ids, truck
from tests.helpers.painter import CAMERA, EYE, FOCAL, HEIGHT, WIDTH
from tests.helpers.ray_check import directions

SQUARE = "o square\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3 4\n"
"""A model file with an upright square of one metre."""
PAIR = SQUARE + "o other\nusemtl red\nv 2 0 0\nv 3 0 0\nv 3 1 0\nv 2 1 0\nf 5 6 7 8\n"
"""Two of them, one metre apart, with different materials, as parts of one object."""


def write_model(name: str, text: str, folder: Path) -> Assets:
    """Write a model file; return assets with it."""
    (folder / name).write_text(text)
    return model_assets(folder, [name])


def plate(name: str, scale: float, position: tuple[float, float, float]) -> ObjectSpec:
    """Return an object with an upright face, from a model file, turned to the camera."""
    return ObjectSpec("model", {"file": name, "scale": scale, "turn": np.pi / 2}, position, 0.0, "plate")


FAR, PIXEL = 10.0, 10.0 / FOCAL
"""Distance of the plates, and the size of a pixel there, in metres."""


def plate_ids(count: int, camera: CameraSpec, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    """Return the ids (H, W) of plates in cells of 4 x 4 pixels, 60 per row, for any lens.

    With the perspective lens a plate covers 3 x 3 pixels.
    """
    record = intrinsics(camera, WIDTH, HEIGHT)
    moved = record | {"cx": record["cx"] - shift[0], "cy": record["cy"] - shift[1]}
    rays = directions(moved, WIDTH, HEIGHT)
    at = rays[..., 1:] / rays[..., :1] * FAR
    column, row = WIDTH / 2 - at[..., 0] / PIXEL, HEIGHT / 2 - at[..., 1] / PIXEL
    number = (row // 4 * 60 + column // 4 + 1).astype(int)
    on_plate = (column >= 0) & (column < 240) & (row >= 0) & (number <= count)
    return np.where(on_plate & (column % 4 < 3) & (row % 4 < 3), number, 0)


@pytest.mark.parametrize(
    ("count", "lens"),
    [(255, "perspective"), (256, "perspective"), (300, "perspective"), *((3000, name) for name in LENSES)],
)
def test_ids_are_exact_for_any_number_of_objects(
    count: int, lens: str, config: Config, tmp_path: Path
) -> None:
    """All plates share one mesh. The mask is read from the encoded PNG."""
    assets = write_model("square.obj", SQUARE, tmp_path)
    spots = [(4 * (k % 60) + 1.5, 4 * (k // 60) + 3) for k in range(count)]  # centre of the lower edge
    objects = [
        plate("square.obj", 3 * PIXEL, (FAR, (WIDTH / 2 - x) * PIXEL, EYE + (HEIGHT / 2 - y) * PIXEL))
        for x, y in spots
    ]
    camera = replace(CAMERA, lens=lens)
    placed, ids = render_ids(objects, config, assets, tmp_path, camera)
    assert len({item.object.data.name for item in placed}) == 1
    with Image.open(io.BytesIO(encode_png(ids))) as png:
        ids = np.asarray(png).astype(int)
    expected = plate_ids(count, camera)
    shifts = [(x, y) for x in (-0.01, 0.01) for y in (-0.01, 0.01)]
    sure = np.all([plate_ids(count, camera, shift) == expected for shift in shifts], axis=0)
    assert (ids == expected)[sure].all()
    assert sure.mean() > 0.97
    assert set(np.unique(ids)) - {0} <= set(range(1, count + 1))
    if lens == "perspective":
        assert sure.all(), "edges lie between pixel centres"
        assert (np.bincount(ids.ravel())[1:] == 9).all()


def test_separate_parts_of_an_object_have_one_id(config: Config, tmp_path: Path) -> None:
    """Three objects share a mesh with two separate parts."""
    assets = write_model("pair.obj", PAIR, tmp_path)
    objects = [plate("pair.obj", 10 * PIXEL, (FAR, 0.0, EYE + h * PIXEL)) for h in (-30, 0, 30)]
    ids, amodal, instances = render_ground_truth(objects, config, assets, tmp_path)
    for number, row in ((1, 120), (2, 90), (3, 60)):
        expected = np.zeros((HEIGHT, WIDTH), bool)
        expected[row : row + 10, 105:115] = expected[row : row + 10, 125:135] = True
        assert np.array_equal(ids == number, expected)
        assert np.array_equal(amodal[number], expected)
    assert [i.visible_pixels for i in instances] == [200] * 3


@pytest.mark.parametrize("lens", LENSES)
def test_amodal_mask_equals_the_render_of_an_object_alone(
    lens: str, config: Config, people: Assets, trucks: Any, tmp_path: Path
) -> None:
    """Objects are far, near, at the image edge, or around the camera with faces that cross the near plane."""
    camera = replace(CAMERA, lens=lens, fov=np.radians(110), pitch=-0.35, roll=0.2)
    pixels = 0
    for place in [(6.0, 1.0), (1.5, 0.2), (2.2, 2.4), (0.1, 0.4), (-0.5, 0.0), (-3.0, 0.0)]:
        for item in (truck(trucks, (*place, 0.0), 0.4), person(people, *place, yaw=1.0)):
            placed, ids = render_ids([item], config, people, tmp_path, camera)
            amodal = amodal_masks(placed, camera, ids)[1]
            assert (amodal != (ids == 1)).sum() <= 1 + amodal.sum() / 2000, (place, item.builder)
            pixels += int(amodal.sum())
    assert pixels > 12_000


@pytest.mark.slow
def test_ids_are_valid_and_visible_pixels_are_amodal_in_200_frames(
    tiny_profile: Path, people: Assets, tmp_path: Path
) -> None:
    config, total = load_config(tiny_profile, "train"), 0
    for frame in range(200):
        spec = frame_scene(config, people, frame)
        placed = build_scene(spec, config, people)
        use_device(Device("CPU"), 1)
        ids, _ = passes.render_ids(tmp_path)
        assigned = {item.object.pass_index for item in placed if item.spec.category}
        visible = set(np.unique(ids).tolist()) - {0}
        assert visible <= assigned, frame
        amodal = amodal_masks(placed, spec.camera, ids)
        for number in visible:
            covered = ids == number
            assert (covered & ~amodal[number]).sum() <= 1 + covered.sum() / 5000, (frame, number)
        total += len(visible)
    assert total > 300


def test_box3d_is_right_in_world_and_camera_coordinates(
    people: Assets, config: Config, trucks: Any, tmp_path: Path
) -> None:
    item = truck(trucks, (4.0, 0.6, 0.0), 0.7)
    _, _, (instance,) = render_ground_truth([item], config, people, tmp_path)
    box = instance.box3d
    assert box is not None
    low, high = bounds(find_kind("pallet_truck").build(item.params, people))
    assert box.size == pytest.approx(high - low, abs=2e-6)
    c, s = np.cos(0.7), np.sin(0.7)
    assert np.array(box.rotation) == pytest.approx(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]), abs=1e-6)
    x, y, z = (low + high) / 2
    assert box.position == (4.0, 0.6, 0.0)
    assert box.centre == pytest.approx((4.0 + c * x - s * y, 0.6 + s * x + c * y, z), abs=2e-6)
    # The camera is at (0, 0, 1) and points along x: right is -y, down is -z, forward is x.
    turn = np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0]])
    assert box.camera_position == pytest.approx((-0.6, EYE, 4.0), abs=2e-6)
    assert box.camera_centre == pytest.approx(turn @ (np.array(box.centre) - [0, 0, EYE]), abs=2e-6)
    assert np.array(box.camera_rotation) == pytest.approx(turn @ np.array(box.rotation), abs=2e-6)
