"""Kinds of object: a user's own models, variants, loads, and that real geometry goes through nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender.assets import Assets, load_assets, named_beside
from blender.config.run import load_config
from blender.contract import UserError, read_record
from blender.geometry.mesh import bounds
from blender.kinds import kind
from blender.objects import pallet
from blender.parts import loads
from blender.rendering.builder import SceneObject, build_scene
from tests.conftest import ROOT, TINY, default_scene, render, run

NOBODY = Assets(Path(), (), "")
BOX = """o box
v 0 0 0
v 2 0 0
v 2 0 -1
v 0 0 -1
v 0 3 0
v 2 3 0
v 2 3 -1
v 0 3 -1
f 1 4 3 2
f 5 6 7 8
f 1 2 6 5
f 2 3 7 6
f 3 4 8 7
f 4 1 5 8
"""
"""2 wide, 1 deep, 3 high; .obj has y up."""
MAKE = """
import bpy, sys
bpy.ops.wm.read_factory_settings(use_empty=True)
scene = bpy.context.scene
mesh = bpy.data.meshes.new("box")
mesh.from_pydata([(x, y, z) for x in (0, 2) for y in (0, 1) for z in (0, 3)], [],
    [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)])
red = bpy.data.materials.new("red"); red.use_nodes = True
red.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (1, 0, 0, 1)
mesh.materials.append(red)
part = bpy.data.collections.new("part")
part.objects.link(bpy.data.objects.new("box", mesh))
for x in (0, 5):  # two instances of one collection, which is in no scene itself
    empty = bpy.data.objects.new("at", None)
    empty.instance_type, empty.instance_collection, empty.location = "COLLECTION", part, (x, 0, 0)
    scene.collection.objects.link(empty)
text = bpy.data.texts.new("evil.py"); text.use_module = True
text.write("open(%r, 'w').close()" % sys.argv[2])
if sys.argv[1].endswith(".glb"):
    bpy.ops.export_scene.gltf(filepath=sys.argv[1])
else:
    bpy.ops.wm.save_as_mainfile(filepath=sys.argv[1])
"""
READ = """
import sys, json, bpy
from pathlib import Path
from blender.geometry import model_file
path = Path(sys.argv[1])
low, high = model_file.measure(path)
model_file.READERS.clear()  # it is imported once
for frame in range(2):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    mesh = model_file.read_mesh(path)
    looks = [(m.name, m.node_tree.nodes["Principled BSDF"].inputs["Base Color"]) for m in mesh.materials]
    colours = [f"{name} {' '.join(map(str, look.default_value[:3]))}" for name, look in looks]
print("@", json.dumps([low.tolist(), high.tolist(), len(mesh.polygons), colours, len(bpy.data.objects)]))
"""
ROBOT = """
[scene.objects.robot]
builder = "model"
category = "robot"
count = [2, 2]
distance = [1.8, 5.0]
parked = 0.0
ranges = { file = "robot.obj", scale = 0.4, turn = 90.0 }
"""


def robot_profile(folder: Path, extra: str = "") -> Path:
    """A profile with a third class, read from robot.obj beside it."""
    path = folder / "robot.toml"
    text = TINY.replace('"pallet_truck"]', '"pallet_truck", "robot"]', 1).replace("train = 4", "train = 2")
    path.write_text(text.replace("[model]", f"{ROBOT}\n[model]") + extra)
    (folder / "robot.obj").write_text(BOX)
    return path


def test_a_users_model_is_labelled_placed_and_part_of_the_fingerprint(
    tiny_people: Path, tmp_path: Path
) -> None:
    profile, out = robot_profile(tmp_path), tmp_path / "train"
    done = render(profile, tiny_people, out, "--workers", 1)
    assert done.returncode == 0, done.stderr
    seen = 0
    for frame in range(2):
        record = read_record(out / "frames" / f"{frame:06d}.json")
        mask = np.asarray(Image.open(out / "masks" / f"{frame:06d}.png")).astype(int)
        robots = [i for i in record.instances if i.category == "robot"]
        for robot in robots:
            assert robot.parameters["file"] == "robot.obj"
            assert (mask == robot.id).sum() == robot.visible_pixels <= robot.amodal_pixels
            seen += robot.visible_pixels > 0
    assert seen
    assert "up to date" in render(profile, tiny_people, out).stdout
    (tmp_path / "robot.obj").write_text(BOX.replace("v 2 3 0", "v 2 4 0"))
    assert render(profile, tiny_people, out).returncode == 2, "the file's bytes are part of the fingerprint"
    assert render(profile, tiny_people, out, "--update", "--workers", 1).returncode == 0


def test_files_that_a_model_names_are_part_of_its_hash(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text("mtllib other.mtl\nv 0 0 0\n")
    (tmp_path / "other.mtl").write_text("newmtl x\n  map_Kd -s 2 2 2 skin.png\nbump rough.png\n")
    buffers, images = [{"uri": "b%201.bin"}, {"uri": "data:,x"}], [{"uri": "skin.png"}, {"bufferView": 0}]
    (tmp_path / "b.gltf").write_text(json.dumps({"buffers": buffers, "images": images}))
    (tmp_path / "broken.gltf").write_text("[")
    names = {
        f: [p.name for p in named_beside(tmp_path / f)] for f in ("a.obj", "b.gltf", "broken.gltf", "c.glb")
    }
    assert names == {
        "a.obj": ["other.mtl", "skin.png", "rough.png"],
        "b.gltf": ["b 1.bin", "skin.png"],
        "broken.gltf": [],
        "c.glb": [],
    }


def test_a_model_stands_on_the_floor_and_keeps_to_its_footprint(tiny_people: Path, tmp_path: Path) -> None:
    config = load_config(robot_profile(tmp_path))
    assets = load_assets(tiny_people, config.folder, config.files())
    model = kind("model")
    params = model.sample(config.ranges["robot"], np.random.default_rng(0), assets)
    assert model.footprint(params, assets) == pytest.approx((-0.2, 0.2, -0.4, 0.4), abs=1e-4), "turned by 90"
    points = np.array([v.co for v in model.mesh(params, assets).vertices])
    assert points.min(0) == pytest.approx([-0.2, -0.4, 0], abs=1e-4)
    assert points.max(0) == pytest.approx([0.2, 0.4, 1.2], abs=1e-4)


@pytest.mark.parametrize("suffix", [".glb", ".blend"])
def test_instances_become_real_materials_stay_and_no_script_runs(suffix: str, tmp_path: Path) -> None:
    path, trace = tmp_path / f"thing{suffix}", tmp_path / "trace"
    made = run("-c", MAKE, path, trace)
    assert made.returncode == 0 and path.is_file(), made.stderr
    done = run("-c", READ, path)
    assert done.returncode == 0, done.stderr
    low, high, faces, colours, left = json.loads(done.stdout.split("@", 1)[1].splitlines()[0])
    assert low == pytest.approx([0, 0, 0], abs=1e-5) and high == pytest.approx([7, 1, 3], abs=1e-5)
    assert faces == (24 if suffix == ".glb" else 12)  # glTF has triangles only
    assert set(colours) == {f"{path.name}: red 1.0 0.0 0.0"}, "not the name of a shader of ours"
    assert left == 0
    assert not trace.exists()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("robot.obj", None, "no such model"),
        ("robot.glb", b"", "not a readable model"),
        ("robot.glb", b"glTF nonsense", "not a readable model"),
        ("robot.blend", b"BLENDER but no more", "not a readable model"),
        ("robot.obj", b"# nothing\n", "no surface in it"),
        ("robot.stl", b"solid", "cannot be read as a model"),
    ],
)
def test_a_bad_model_is_one_line(
    tiny_people: Path, tmp_path: Path, name: str, data: bytes | None, message: str
) -> None:
    profile = robot_profile(tmp_path)
    profile.write_text(profile.read_text().replace("robot.obj", name))
    (tmp_path / "robot.obj").unlink()
    if data is not None:
        (tmp_path / name).write_bytes(data)
    done = render(profile, tiny_people, tmp_path / "train")
    assert done.returncode == 2, done.stderr
    lines = done.stderr.strip().splitlines()
    assert message in lines[-1] and name in lines[-1]
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "train").rglob("*.png"))


@pytest.mark.parametrize("name", ["guard", "cage", "trolley", "furniture", "clutter"])
def test_every_variant_stands_on_the_floor_and_is_of_a_size(name: str) -> None:
    module = kind(name)
    for variant in module.VARIANTS:
        for seed in range(6):
            low, high = bounds(module.build({"variant": variant, "seed": seed}, None))
            assert -0.012 < low[2] < 0.03, (variant, seed)
            assert 0.02 < high[2] < 4.0 and (high - low)[:2].max() < 4.0, (variant, seed)
    with pytest.raises(ValueError, match="variants: unknown 'boolard'"):
        module.Ranges(variants={"boolard": 1.0})
    with pytest.raises(ValueError, match="variants: weights must"):
        module.Ranges(variants={})


@pytest.mark.parametrize("name", list(loads.LOADS))
def test_loads_keep_to_the_pallet_and_their_height(name: str) -> None:
    for seed in range(8):
        low, high = bounds(loads.build(name, np.random.default_rng(seed), 0.9, 0.5, 0.144))
        assert low[0] > -0.64 and low[1] > -0.44 and high[0] < 0.64 and high[1] < 0.44
        assert low[2] > 0.1 and 0.4 < high[2] < 0.144 + 0.9 + 0.35


@pytest.mark.parametrize("name", pallet.BEARING)
def test_loaded_pallets_stand_on_one_another(name: str) -> None:
    """Each tier on the one below, none through it, all below the height that the profile gives."""
    ranges = pallet.Ranges(load={name: 1.0}, load_height=(0.3, 1.5), tiers=(3, 3), tallest=2.1, wrapped=0.5)
    for seed in range(16):
        params = pallet.sample(ranges, np.random.default_rng(seed), NOBODY)
        assert params["tiers"] == 3
        three, one = (pallet.build({**params, "tiers": n}, NOBODY) for n in (3, 1))
        each = len(three) // 3
        for tier in (1, 2):
            low, high = (
                bounds(three[tier * each : (tier + 1) * each])[0][2],
                bounds(three[: tier * each])[1][2],
            )
            assert -0.02 < low - high < 0.001, "on what is below, or within its film"
        assert len(three) == 3 * each and bounds(three)[1][2] < 2.1 + 0.05
        assert bounds(one)[0][2] == pytest.approx(0.0) and bounds(three)[1][2] < pallet.height_bound(params)
    other = pallet.Ranges(load={"sacks": 1.0}, tiers=(3, 3))
    assert pallet.sample(other, np.random.default_rng(0), NOBODY)["tiers"] == 1
    with pytest.raises(ValueError, match=r"tallest must be at least 0\.384 metres a tier"):
        pallet.Ranges(load={name: 1.0}, tiers=(1, 9))
    with pytest.raises(ValueError, match="tallest"):
        pallet.Ranges(load={name: 1.0}, tallest=float("nan"))
    with pytest.raises(ValueError, match="tiers must be at least 1"):
        pallet.Ranges(load={name: 1.0}, tiers=(0, 1))


def test_a_wrong_load_is_named(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(TINY.replace("cartons = 1", "cartoons = 1"))
    with pytest.raises(UserError, match="load: unknown 'cartoons'"):
        load_config(path)


DIRECTIONS = [
    np.array(d) / np.linalg.norm(d)
    for d in ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1),
              (1, 1, 0), (-1, -1, 0), (1, -1, 0), (-1, 1, 0))
]  # fmt: skip
DEPTH = 0.02
"""Things may reach this far into each other, metres: they are apart once moved so far some way."""


def _through(a: SceneObject, b: SceneObject) -> bool:
    """Do two meshes reach into each other by more than DEPTH?"""
    from mathutils.bvhtree import BVHTree

    fixed = BVHTree.FromPolygons(b.vertices.tolist(), b.triangles.tolist())
    for way in [np.zeros(3), *DIRECTIONS]:
        moved = BVHTree.FromPolygons((a.vertices + DEPTH * way).tolist(), a.triangles.tolist())
        if not moved.overlap(fixed):
            return False
    return True


def _near(a: SceneObject, b: SceneObject) -> bool:
    low, high = (
        np.maximum(a.vertices.min(0), b.vertices.min(0)),
        np.minimum(a.vertices.max(0), b.vertices.max(0)),
    )
    return bool((high - low > DEPTH).all())


def _check_scenes(frames: range, assets: Assets) -> None:
    """Nothing goes through anything else, and the camera is in the open."""
    config = load_config(ROOT / "assets/profiles/default.toml", "train")
    for frame in frames:
        spec = default_scene(assets.people_dir, frame)
        placed = build_scene(spec, config, assets)
        for number, first in enumerate(placed):
            distance = np.abs(first.vertices - spec.camera.position).max(1).min()
            assert distance > 0.1, (frame, first.spec.builder, "at the camera")
            for second in placed[number + 1 :]:
                if not _near(first, second) or _held(first, second):
                    continue
                names = (frame, spec.layout, *_name(first), *_name(second))
                assert not _through(first, second), names


def _held(a: SceneObject, b: SceneObject) -> bool:
    """Does a hand close around the tiller that it holds?"""
    people = [item.spec for item in (a, b) if item.spec.builder == "pedestrian"]
    trucks = [item.spec for item in (a, b) if item.spec.builder == "pallet_truck"]
    return bool(people and trucks) and people[0].params["pose"] in ("pushing", "pulling")


def _name(item: SceneObject) -> tuple[str, str]:
    return item.spec.builder, str(item.spec.params.get("variant", item.spec.params.get("load", "")))


def test_nothing_goes_through_anything(tiny_people: Path) -> None:
    _check_scenes(range(5), load_assets(tiny_people))


@pytest.mark.slow
def test_nothing_goes_through_anything_in_many_scenes(tiny_people: Path) -> None:
    _check_scenes(range(5, 80), load_assets(tiny_people))
