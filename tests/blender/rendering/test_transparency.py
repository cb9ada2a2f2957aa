"""Transparent parts of models are cut out of masks, depth and normals as they are out of the image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from blender.assets import load_assets
from blender.config.profile import Config, load_config
from blender.contract import UserError, read_record
from blender.render import main
from blender.rendering import passes
from blender.rendering.device import Device
from blender.rendering.frame import RenderJob, blender_version, load_context, render_frame
from blender.spec import ObjectSpec
from tests.conftest import TINY
from tests.helpers.assets import model_assets
from tests.helpers.painter import CAMERA, EYE
from tests.helpers.shader_trees import COLUMNS, TREES, write_squares
from tests.helpers.transparency import FAR, HEIGHT, PIXEL, WIDTH, Shown, plate, show, write_gltf

SHEETS = """
[scene.objects.sheet]
builder = "model"
category = "sheet"
count = [2, 2]
distance = [1.8, 3.0]
parked = 0.0
ranges = { file = "sheet.gltf" }
[model]
"""
"""Tables of a profile with a third class."""
UNLIT: dict[str, Any] = {"extensions": {"KHR_materials_unlit": {}}}
SQUARE = """mtllib m.mtl
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 0
vt 0 0
vt 1 0
vt 1 1
vt 0 1
usemtl a
f 1/1 2/2 3/3 4/4
"""
"""An .obj file with an upright square of one metre."""


def assert_mask_is_what_the_image_shows(shown: Shown) -> None:
    """Check the ids, except where the noise of the image leaves open what they must be."""
    sure = np.abs(shown.opacity - 0.5) > 0.15
    assert ((shown.ids > 0) == (shown.opacity >= 0.5))[sure].all()


@dataclass(frozen=True)
class Texture:
    """A glTF material and its alpha, drawn from a seed."""

    material: dict[str, Any]
    rgba: np.ndarray
    """(H, W, 4) uint8."""
    opaque: np.ndarray
    """(H, W) whether a texel belongs to the mask."""


@st.composite
def textures(draw: st.DrawFn) -> Texture:
    """Draw an alpha pattern of 1 to 8 texels in each direction, and what the material makes of it."""
    mode, unlit = draw(st.sampled_from(["MASK", "BLEND", "OPAQUE"])), draw(st.booleans())
    cutoff, factor = draw(st.sampled_from([0.2, 0.5, 0.9])), draw(st.sampled_from([0.7, 1.0]))
    width, height = draw(st.sampled_from([1, 2, 4, 5, 8])), draw(st.sampled_from([1, 2, 4, 5, 8]))
    values = st.sampled_from([0, 40, 80, 190, 240, 255])
    alpha = np.array(draw(st.lists(values, min_size=width * height, max_size=width * height)), np.uint8)
    rgba = np.zeros((height, width, 4), np.uint8)
    rgba[..., 3] = alpha.reshape(height, width)
    surface = {"baseColorFactor": [0, 0, 0, factor]}
    material: dict[str, Any] = {"alphaMode": mode, "pbrMetallicRoughness": surface}
    material |= {"alphaCutoff": cutoff} if mode == "MASK" else {}
    limit = {"MASK": cutoff, "BLEND": 0.5, "OPAQUE": 0.0}[mode]
    return Texture(material | (UNLIT if unlit else {}), rgba, rgba[..., 3] / 255 * factor >= limit)


def check_texture(texture: Texture, config: Config, folder: Path) -> None:
    """Render a square of 40 x 40 pixels with the texture and check its mask."""
    write_gltf(folder / "texture.gltf", texture.material, texture.rgba)
    height, width = texture.opaque.shape
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[5:45, 10:50] = np.kron(texture.opaque, np.ones((40 // height, 40 // width), bool))
    shown = show([plate("texture.gltf")], config, folder, samples=32)
    assert_mask_is_what_the_image_shows(shown)
    assert np.array_equal(shown.ids > 0, expected)
    assert shown.instances[0].amodal_pixels == shown.instances[0].visible_pixels == expected.sum()


@settings(max_examples=6, deadline=None, derandomize=True)
@given(texture=textures())
def test_mask_of_a_random_alpha_pattern_is_what_the_image_shows(
    texture: Texture, config: Config, tmp_path_factory: pytest.TempPathFactory
) -> None:
    check_texture(texture, config, tmp_path_factory.mktemp("texture"))


@pytest.mark.slow
@settings(max_examples=150, deadline=None, derandomize=True)
@given(texture=textures())
def test_mask_of_many_random_alpha_patterns_is_what_the_image_shows(
    texture: Texture, config: Config, tmp_path_factory: pytest.TempPathFactory
) -> None:
    check_texture(texture, config, tmp_path_factory.mktemp("texture"))


def test_mask_follows_every_way_to_mix_shaders(config: Config, tmp_path: Path) -> None:
    write_squares(tmp_path / "squares.blend", TREES)
    size, rows = 8, -(-len(TREES) // COLUMNS)
    params = {"file": "squares.blend", "scale": size * PIXEL, "turn": 0.0}
    place = (FAR, 0.0, EYE - rows * size * PIXEL / 2)
    shown = show([ObjectSpec("model", params, place, 0.0, "plate")], config, tmp_path, samples=128)
    assert_mask_is_what_the_image_shows(shown)
    left, top = WIDTH // 2 - COLUMNS * size // 2, HEIGHT // 2 - rows * size // 2
    share = {}
    for k, name in enumerate(TREES):
        x, y = left + k % COLUMNS * size, top + k // COLUMNS * size
        share[name] = (shown.ids[y : y + size, x : x + size] > 0).mean()
    opaque = {name for name, value in share.items() if value == 1}
    clear = {name for name, value in share.items() if value == 0}
    assert {"diffuse", "alpha 0.7", "transparency in grey", "for the camera", "nothing"} <= opaque
    assert {"alpha 0", "alpha 0.3", "add to transparency", "transparency in light grey", "volume"} <= clear
    half = {"alpha across", "mix across", "mix with transparency second", "group", "reroute", "holdout"}
    assert {share[name] for name in half} == {0.5}


def test_objects_behind_holes_keep_their_pixels_depth_and_normals(config: Config, tmp_path: Path) -> None:
    """A sheet whose left half is clear stands in front of a square that is turned away a little."""
    rgba = np.zeros((1, 2, 4), np.uint8)
    rgba[0, 1, 3] = 255
    write_gltf(tmp_path / "sheet.gltf", {"alphaMode": "MASK"}, rgba)
    write_gltf(tmp_path / "square.gltf", {})
    behind, sheet = plate("square.gltf", size=30), plate("sheet.gltf", size=40, nearer=2.0)
    shown = show([behind, sheet], config, tmp_path)
    expected = np.zeros((HEIGHT, WIDTH), int)
    expected[10:40, 15:45] = 1
    expected[5:45, 30:50] = 2
    assert np.array_equal(shown.ids, expected)
    first, second = shown.instances
    assert (first.visible_pixels, first.amodal_pixels, first.visible_fraction) == (450, 900, 0.5)
    assert (second.visible_pixels, second.amodal_pixels, second.visible_fraction) == (800, 800, 1.0)
    assert shown.distance[25, 29] == pytest.approx(FAR, abs=0.01)
    assert shown.distance[25, 30] == pytest.approx(FAR - 2, abs=0.01)
    assert shown.distance[25, 12] == 0, "the clear half stops nothing"
    normals = passes.render_normals(tmp_path, CAMERA)
    assert normals[25, [29, 30]] == pytest.approx(np.array([[0, 0, -1]] * 2), abs=0.01)
    assert not normals[25, 12].any()


def test_object_behind_many_clear_layers_is_seen(config: Config, tmp_path: Path) -> None:
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0, 3] = 255
    write_gltf(tmp_path / "leaf.gltf", {"alphaMode": "BLEND"}, rgba)
    write_gltf(tmp_path / "square.gltf", {})
    leaves = [replace(plate("leaf.gltf", nearer=0.1 + k / 10), category="") for k in range(40)]
    shown = show([plate("square.gltf"), *leaves], config, tmp_path)
    assert np.bincount(shown.ids.ravel()).tolist() == [1800, 1200]
    assert (shown.opacity[5:45, 10:50] > 0.9).all(), "no leaf hides the square in the image"


def test_alpha_of_vertex_colours_is_cut_out(config: Config, tmp_path: Path) -> None:
    colours = np.ones((4, 4))
    colours[:, 3] = [0, 1, 1, 0]  # from left to right
    write_gltf(tmp_path / "fade.gltf", {"alphaMode": "BLEND"}, colours=colours)
    shown = show([plate("fade.gltf")], config, tmp_path, samples=64)
    assert_mask_is_what_the_image_shows(shown)
    assert (shown.ids[5:45] == [[1 if 30 <= x < 50 else 0 for x in range(WIDTH)]]).all()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_opacity_map_of_an_obj_file_is_cut_out(mode: str, config: Config, tmp_path: Path) -> None:
    """Images without an alpha channel hold the opacity as grey."""
    alpha = Image.fromarray(np.array([[100, 160]], np.uint8).repeat(8, 0).repeat(8, 1))
    image = alpha.convert(mode)
    if mode == "RGBA":
        image.putalpha(alpha)
    image.save(tmp_path / "map.png")
    (tmp_path / "m.mtl").write_text("newmtl a\nKd 0 0 0\nKs 0 0 0\nmap_d map.png\n")
    (tmp_path / "square.obj").write_text(SQUARE)
    shown = show([plate("square.obj")], config, tmp_path, samples=64)
    assert_mask_is_what_the_image_shows(shown)
    assert not shown.ids[:, :28].any() and (shown.ids[5:45, 32:50] == 1).all()


def test_glass_is_a_surface(config: Config, tmp_path: Path) -> None:
    glass = {"extensions": {"KHR_materials_transmission": {"transmissionFactor": 1.0}}}
    write_gltf(tmp_path / "glass.gltf", glass)
    shown = show([plate("glass.gltf")], config, tmp_path)
    assert (shown.ids > 0).sum() == 1600


def test_invisible_parts_do_not_count_for_the_size(tmp_path: Path) -> None:
    (tmp_path / "m.mtl").write_text("newmtl a\nKd 1 0 0\nnewmtl hull\nd 0.0\n")
    hull = "usemtl hull\nv -9 -9 0\nv 9 -9 0\nv 9 9 0\nf 5 6 7\n"
    (tmp_path / "square.obj").write_text(SQUARE + hull)
    file = model_assets(tmp_path, ["square.obj"]).files["square.obj"]
    assert file.low + file.high == pytest.approx((0, 0, 0, 1, 0, 1), abs=1e-6)
    assert not file.notes
    (tmp_path / "m.mtl").write_text("newmtl a\nd 0\nnewmtl hull\nd 0.0\n")
    (tmp_path / "square.obj").write_text(SQUARE + hull + "# changed\n")
    with pytest.raises(UserError, match=r"square\.obj: the model is invisible"):
        model_assets(tmp_path, ["square.obj"])


def test_notes_name_the_material_that_is_not_understood_and_models_without_a_mask(tmp_path: Path) -> None:
    portal = {"portal": lambda t: t.mix(t.across(), t.node("ShaderNodeBsdfRayPortal"), t.diffuse())}
    write_squares(tmp_path / "portal.blend", portal)
    write_gltf(tmp_path / "ghost.gltf", {"alphaMode": "BLEND", **factor(0.4)})
    write_gltf(tmp_path / "body.gltf", {"alphaMode": "BLEND", **factor(0.5)})
    files = model_assets(tmp_path, ["portal.blend", "ghost.gltf", "body.gltf"]).files
    (note,) = files["portal.blend"].notes
    assert note.startswith("material 'portal' counts as opaque: the node 'Ray Portal BSDF'")
    (note,) = files["ghost.gltf"].notes
    assert "no mask" in note
    assert not files["body.gltf"].notes


def factor(alpha: float) -> dict[str, Any]:
    """Return the base colour of a glTF material."""
    return {"pbrMetallicRoughness": {"baseColorFactor": [0, 0, 0, alpha]}}


def test_sheet_whose_clear_half_leaves_the_image_is_not_truncated(config: Config, tmp_path: Path) -> None:
    rgba = np.zeros((1, 2, 4), np.uint8)
    rgba[0, 0, 3] = 255
    write_gltf(tmp_path / "sheet.gltf", {"alphaMode": "MASK"}, rgba)
    for shift, truncated in ((20, False), (40, True)):
        (instance,) = show([plate("sheet.gltf", at=(shift, 0))], config, tmp_path).instances
        assert (instance.truncated, instance.visible_pixels > 0) == (truncated, True)


def test_frame_records_what_is_left_of_partly_transparent_objects(tiny_people: Path, tmp_path: Path) -> None:
    profile = tmp_path / "sheets.toml"
    text = TINY.replace('"pallet_truck"]', '"pallet_truck", "sheet"]', 1).replace("[model]", SHEETS)
    profile.write_text(text)
    rgba = np.zeros((4, 1, 4), np.uint8)
    rgba[2:, ..., 3] = 255  # the lower half
    areas = {}
    for mode in ("OPAQUE", "MASK"):
        write_gltf(tmp_path / "sheet.gltf", {"alphaMode": mode}, rgba)
        context = load_context(tiny_job(profile, tiny_people, tmp_path / mode))
        with np.errstate(invalid="raise"):  # a flat sheet has a footprint too
            render_frame(context, 0, Device("CPU"), 1, tmp_path)
        record = read_record(tmp_path / mode / "frames/000000.json")
        mask = np.asarray(Image.open(tmp_path / mode / "masks/000000.png"))
        for instance in record.instances:
            assert (mask == instance.id).sum() == instance.visible_pixels <= instance.amodal_pixels
        areas[mode] = [i.amodal_pixels for i in record.instances if i.category == "sheet"]
    shares = np.divide(areas["MASK"], areas["OPAQUE"])
    assert ((shares > 0.3) & (shares < 0.7)).all(), areas


def tiny_job(profile: Path, people: Path, out: Path) -> RenderJob:
    config = load_config(profile, "train")
    assets = load_assets(people, config.folder, config.files())
    fingerprint = config.fingerprint(blender_version(), assets.digest)
    return RenderJob(str(profile), "train", str(people), str(out), fingerprint)


def test_render_prints_warnings_about_models(
    tiny_people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = tmp_path / "sheets.toml"
    text = TINY.replace('"pallet_truck"]', '"pallet_truck", "sheet"]', 1).replace("[model]", SHEETS)
    profile.write_text(text)
    write_gltf(tmp_path / "sheet.gltf", {"alphaMode": "BLEND", **factor(0.4)})
    arguments = ["--profile", profile, "--split", "train", "--people", tiny_people, "--out", tmp_path / "o"]
    monkeypatch.setattr("sys.argv", ["render", *map(str, arguments), "--frames", "0:0"])
    main()
    lines = [line for line in capsys.readouterr().err.splitlines() if "opacity" in line]
    assert len(lines) == 1 and lines[0].startswith("warning: sheet.gltf: ") and "no mask" in lines[0]
