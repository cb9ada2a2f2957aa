"""Users' model files: reading, placing, labelling, and errors of bad files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender.assets import load_assets
from blender.config.profile import load_config
from blender.contract import read_record
from blender.objects import model
from tests.conftest import TINY, render, run

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
"""A box 2 wide, 1 deep and 3 high; in .obj files y points up."""
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
for x in (0, 5):  # two instances of a collection that is in no scene itself
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
"""Write a model with two instances and a script that must not run. Arguments: file, the script's trace."""
READ = """
import sys, json, bpy
from pathlib import Path
from blender.geometry import model_file
path = Path(sys.argv[1])
box = model_file.measure(path)
model_file.READERS.clear()  # a second import would fail
for frame in range(2):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    mesh = model_file.read_mesh(path)
    inputs = [(m.name, m.node_tree.nodes["Principled BSDF"].inputs["Base Color"]) for m in mesh.materials]
    colours = [f"{name} {' '.join(map(str, colour.default_value[:3]))}" for name, colour in inputs]
print("@", json.dumps([box.low, box.high, len(mesh.polygons), colours, len(bpy.data.objects)]))
"""
"""Read a model in two frames and print its bounds, faces, materials, and the number of objects left."""
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
    """Write a profile with a third class, whose objects are read from robot.obj beside it."""
    path = folder / "robot.toml"
    text = TINY.replace('"pallet_truck"]', '"pallet_truck", "robot"]', 1).replace("train = 4", "train = 2")
    path.write_text(text.replace("[model]", f"{ROBOT}\n[model]") + extra)
    (folder / "robot.obj").write_text(BOX)
    return path


def test_model_is_labelled_and_part_of_the_fingerprint(tiny_people: Path, tmp_path: Path) -> None:
    profile, out = robot_profile(tmp_path), tmp_path / "train"
    done = render(profile, tiny_people, out, "--workers", 1)
    assert done.returncode == 0, done.stderr
    visible = 0
    for frame in range(2):
        record = read_record(out / "frames" / f"{frame:06d}.json")
        mask = np.asarray(Image.open(out / "masks" / f"{frame:06d}.png")).astype(int)
        robots = [i for i in record.instances if i.category == "robot"]
        for robot in robots:
            assert robot.parameters["file"] == "robot.obj"
            assert (mask == robot.id).sum() == robot.visible_pixels <= robot.amodal_pixels
            visible += robot.visible_pixels > 0
    assert visible
    assert "up to date" in render(profile, tiny_people, out).stdout
    (tmp_path / "robot.obj").write_text(BOX.replace("v 2 3 0", "v 2 4 0"))
    assert render(profile, tiny_people, out).returncode == 2, "the file's bytes are part of the fingerprint"
    # In millimetres instead of metres; a robot never finds a place, and the frames are made all the same.
    vertices, faces = BOX.split("f", 1)
    (tmp_path / "robot.obj").write_text(re.sub(r"[123]", r"\g<0>000", vertices) + "f" + faces)
    done = render(profile, tiny_people, out, "--update", "--workers", 1)
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert [line[9:].partition(";")[0] for line in warnings][1:] == [
        "[scene.objects.robot]: no place was found for 4 of 4 objects in 2 frames",
        "class 'robot': 0 objects in 2 frames",
    ]
    assert "robot.obj is" in warnings[0] and "halls are 9 to 12 m" in warnings[0]


def test_model_stands_on_the_floor_within_its_footprint(tiny_people: Path, tmp_path: Path) -> None:
    config = load_config(robot_profile(tmp_path))
    assets = load_assets(tiny_people, config.folder, config.files())
    params = model.sample(config.ranges["robot"], np.random.default_rng(0), assets)
    assert model.footprint(params, assets) == pytest.approx((-0.2, 0.2, -0.4, 0.4), abs=1e-4), "turned by 90"
    points = np.array([v.co for v in model.mesh(params, assets).vertices])
    assert points.min(0) == pytest.approx([-0.2, -0.4, 0], abs=1e-4)
    assert points.max(0) == pytest.approx([0.2, 0.4, 1.2], abs=1e-4)


@pytest.mark.parametrize("suffix", [".glb", ".blend"])
def test_reading_resolves_instances_keeps_materials_and_runs_no_script(suffix: str, tmp_path: Path) -> None:
    path, trace = tmp_path / f"model{suffix}", tmp_path / "trace"
    written = run("-c", MAKE, path, trace)
    assert written.returncode == 0 and path.is_file(), written.stderr
    done = run("-c", READ, path)
    assert done.returncode == 0, done.stderr
    low, high, faces, colours, left = json.loads(done.stdout.split("@", 1)[1].splitlines()[0])
    assert low == pytest.approx([0, 0, 0], abs=1e-5) and high == pytest.approx([7, 1, 3], abs=1e-5)
    assert faces == (24 if suffix == ".glb" else 12)  # glTF has triangles only
    assert set(colours) == {f"{path.name}: red 1.0 0.0 0.0"}, "the name of none of the renderer's shaders"
    assert left == 0
    assert not trace.exists()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("robot.obj", None, "no such model"),
        ("robot.glb", b"", "not a readable model"),
        ("robot.glb", b"glTF nonsense", "not a readable model"),
        ("robot.blend", b"BLENDER but no more", "not a readable model"),
        ("robot.obj", b"# nothing\n", "contains no surface"),
        ("robot.stl", b"solid", "cannot be read as a model"),
    ],
)
def test_bad_model_is_a_one_line_error(
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
