"""Optional passes: depth, normals and 3D boxes are part of a frame when on, and leave no trace when off."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import bpy
import numpy as np
import pytest
from PIL import Image

from blender.config.profile import load_config
from blender.contract import UserError, array_path, frame_is_complete, read_record, sha256_file
from blender.imaging.sensor import expose
from blender.rendering.frame import frame_rng
from blender.rendering.passes import read_exr, use_exr
from pipeline.config import CocoConfig
from pipeline.data.coco_io import read_coco
from pipeline.data.convert import convert_split
from pipeline.data.formats.write import convert_to_format
from pipeline.data.validation.check import find_problems
from pipeline.viz.contact_sheet import contact_sheet
from tests.blender.test_render import tree_hash
from tests.conftest import ROOT, TINY, render
from tests.helpers.ray_check import directions

ON = TINY.replace("samples = 1", 'samples = 1\npasses = ["depth", "normals", "light", "boxes3d"]')


@pytest.fixture(scope="module")
def all_passes(tiny_people: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Render a split of a profile with all passes; return the profile and the split."""
    folder = tmp_path_factory.mktemp("passes")
    (folder / "on.toml").write_text(ON)
    done = render(folder / "on.toml", tiny_people, folder / "train", "--workers", 1)
    assert done.returncode == 0, done.stderr
    return folder / "on.toml", folder / "train"


def test_read_exr_refuses_incomplete_files_and_other_layouts(tmp_path: Path) -> None:
    scene, path = bpy.context.scene, tmp_path / "image.exr"
    pixels = np.random.default_rng(0).normal(1.0, 30.0, (5, 7, 4)).astype(np.float32)
    pixels[..., 3] = 1.0
    image = bpy.data.images.new("image", 7, 5, float_buffer=True)
    image.colorspace_settings.name = "Non-Color"
    image.pixels.foreach_set(pixels.ravel())
    use_exr(scene)
    image.save_render(str(path), scene=scene)
    data = path.read_bytes()
    assert (read_exr(data, 7, 5) == pixels[::-1, :, :3]).all(), "Blender's first row is the bottom row"
    for wrong in (data[: len(data) // 4], b""):
        with pytest.raises(EOFError, match="short"):
            read_exr(wrong, 7, 5)
    for wrong in (data[:-1], data + b"\0"):
        with pytest.raises(ValueError, match="not an uncompressed"):
            read_exr(wrong, 7, 5)
    with pytest.raises(ValueError, match="not an uncompressed"):
        read_exr(data, 5, 7)
    scene.render.image_settings.exr_codec = "ZIP"
    image.save_render(str(path), scene=scene)
    bpy.data.images.remove(image)
    with pytest.raises(ValueError, match="not an uncompressed"):
        read_exr(path.read_bytes(), 7, 5)


def test_arrays_are_written_and_do_not_change_the_images(
    all_passes: tuple[Path, Path], tiny_split: Path
) -> None:
    out = all_passes[1]
    for frame in range(4):
        record = read_record(out / "frames" / f"{frame:06d}.json")
        assert record.arrays_sha256 == {
            name: sha256_file(array_path(out, name, frame)) for name in ("depth", "normals", "light")
        }
        depth, normals = (np.load(array_path(out, name, frame)) for name in ("depth", "normals"))
        assert (depth.dtype, depth.shape) == (np.float32, (72, 96))
        assert (normals.dtype, normals.shape) == (np.float16, (72, 96, 3))
        light = np.load(array_path(out, "light", frame))
        assert (light.dtype, light.shape) == (np.float16, (72, 96, 3))
        mask = np.asarray(Image.open(out / "masks" / f"{frame:06d}.png"))
        for instance in record.instances:
            if instance.visible_pixels:
                assert depth[mask == instance.id].min() >= instance.distance - 0.001
            box = instance.box3d
            assert box is not None
            assert np.linalg.norm(box.camera_centre) == pytest.approx(
                np.linalg.norm(np.subtract(box.centre, record.camera["position"])), abs=1e-5
            )
        assert (record.layout, len(record.instances)) == (
            read_record(tiny_split / "frames" / f"{frame:06d}.json").layout,
            len(record.instances),
        )
    for kind in ("images", "masks"):
        assert tree_hash(out / kind) == tree_hash(tiny_split / kind)


def test_light_exposed_with_the_recorded_settings_gives_the_image(all_passes: tuple[Path, Path]) -> None:
    config, out = load_config(all_passes[0]), all_passes[1]
    for frame in range(4):
        record = read_record(out / "frames" / f"{frame:06d}.json")
        light, depth = (np.load(array_path(out, name, frame)) for name in ("light", "depth"))
        again = expose(light, depth, record.lights, frame_rng(config, frame, 1))
        other = expose(light, depth, record.lights, np.random.default_rng(0))
        image = np.asarray(Image.open(out / "images" / f"{frame:06d}.png"))
        difference, changed = (np.abs(part.astype(int) - image) for part in (again, other))
        assert np.median(difference) == 0, "16-bit floats round the light, so some of JPEG's steps differ"
        assert difference.mean() < 1 < changed.mean()


def test_points_from_depth_lie_in_the_3d_boxes(all_passes: tuple[Path, Path]) -> None:
    checked = 0
    for path in sorted(all_passes[1].glob("frames/*.json")):
        record = read_record(path)
        mask = np.asarray(Image.open(all_passes[1] / "masks" / f"{path.stem}.png"))
        depth = np.load(array_path(all_passes[1], "depth", record.frame))
        points = depth[..., None] * directions(record.camera, 96, 72) + record.camera["position"]
        for instance in record.instances:
            assert instance.box3d is not None
            rotation, half = np.array(instance.box3d.rotation), np.array(instance.box3d.size) / 2
            inside = points[mask == instance.id] - instance.box3d.centre
            assert (np.abs(inside @ rotation) <= half + 0.003).all()
            checked += len(inside)
    assert checked > 200


def test_disabled_passes_leave_no_trace(tiny_profile: Path, tiny_split: Path, tmp_path: Path) -> None:
    for path in tiny_split.glob("frames/*.json"):
        record = json.loads(path.read_bytes())
        assert "arrays_sha256" not in record and not any("box3d" in i for i in record["instances"])
    assert {p.name for p in tiny_split.iterdir()} == {"images", "masks", "frames", "manifest.json"}
    fingerprints = set()
    for text in ("[]", '["depth"]', '["normals", "depth"]', '["depth", "normals", "depth"]'):
        path = tmp_path / "p.toml"
        path.write_text(TINY.replace("samples = 1", f"samples = 1\npasses = {text}"))
        fingerprints.add(load_config(path).fingerprint("4.5", "people"))
    assert load_config(tiny_profile).fingerprint("4.5", "people") in fingerprints
    assert len(fingerprints) == 3, "order and repetition do not matter"


def test_unknown_pass_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(TINY.replace("samples = 1", 'samples = 1\npasses = ["dept"]'))
    with pytest.raises(
        UserError, match=r'\[render\]: passes must be a list of "depth", "normals", "light", "boxes3d", not'
    ):
        load_config(path)


@pytest.mark.slow
def test_damaged_arrays_are_rendered_again_and_unused_arrays_removed(
    all_passes: tuple[Path, Path], tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    (profile, original), out = all_passes, tmp_path / "train"
    shutil.copytree(original, out)
    fingerprint = read_record(out / "frames/000001.json").fingerprint
    path = array_path(out, "depth", 1)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    array_path(out, "normals", 2).unlink()
    assert [frame_is_complete(out, frame, fingerprint) for frame in range(4)] == [True, False, False, True]
    with pytest.raises(UserError, match=r"depth/000001\.npy: corrupt or altered"):
        convert_split(out, CocoConfig())
    done = render(profile, tiny_people, out, "--workers", 2)
    assert done.returncode == 0, done.stderr
    assert tree_hash(out) == tree_hash(original)
    done = render(tiny_profile, tiny_people, out)
    assert done.returncode == 2 and "--update" in done.stderr
    done = render(tiny_profile, tiny_people, out, "--update")
    assert done.returncode == 0, done.stderr
    assert tree_hash(out) == tree_hash(tiny_split)


def test_arrays_of_surplus_frames_are_removed(
    all_passes: tuple[Path, Path], tiny_people: Path, tmp_path: Path
) -> None:
    out, profile = tmp_path / "train", tmp_path / "fewer.toml"
    shutil.copytree(all_passes[1], out)
    profile.write_text(ON.replace("train = 4", "train = 3"))
    done = render(profile, tiny_people, out, "--update")
    assert done.returncode == 0, done.stderr
    for kind in ("images", "masks", "frames", "depth", "normals", "light"):
        assert len(list((out / kind).iterdir())) == 3


def test_record_with_an_unknown_array_is_refused(all_passes: tuple[Path, Path], tmp_path: Path) -> None:
    path = tmp_path / "000000.json"
    text = (all_passes[1] / "frames/000000.json").read_text()
    path.write_text(text.replace('"depth":', '"../x":'))
    with pytest.raises(UserError, match=r"unknown array '\.\./x'; known: depth, normals, light"):
        read_record(path)


def test_coco_file_contains_boxes_and_array_paths(all_passes: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "train"
    shutil.copytree(all_passes[1], out)
    dataset = read_coco(convert_split(out, CocoConfig()))
    assert list(find_problems(dataset, out / "images")) == []
    for image in dataset["images"]:
        assert np.load(out / image["arrays"]["depth"]).shape == (image["height"], image["width"])
        assert np.load(out / image["arrays"]["normals"]).shape == (image["height"], image["width"], 3)
    for annotation in dataset["annotations"]:
        assert min(annotation["box3d"]["size"]) > 0.05
        assert annotation["box3d"]["camera_centre"][2] > 0, "visible objects are in front of the camera"
    assert contact_sheet(out, 4, 2).width > 400
    convert_to_format([out], "coco-polygons", tmp_path / "polygons")
    assert not any("arrays" in i for i in read_coco(tmp_path / "polygons/annotations.json")["images"])


def test_shipped_profiles_have_no_optional_passes() -> None:
    for name in ("smoke", "default", "foundation"):
        assert load_config(ROOT / f"assets/profiles/{name}.toml").render.passes == ()
