"""Users' own objects: files of three formats become a class, placed, rendered and labelled."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender.contract import read_record
from tests.conftest import TINY, render, run

CUBE = """
o cube
v 0 0 0
v 1 0 0
v 1 0 -1
v 0 0 -1
v 0 2 0
v 1 2 0
v 1 2 -1
v 0 2 -1
f 1 4 3 2
f 5 6 7 8
f 1 2 6 5
f 2 3 7 6
f 3 4 8 7
f 4 1 5 8
"""
"""1 m wide, 2 m high, 1 m deep, y up as Wavefront files are."""

MAKE = """
import sys, bpy
bpy.ops.wm.read_factory_settings(use_empty=True)
folder = sys.argv[1]
bpy.ops.mesh.primitive_cube_add(size=1, location=(5, 3, 1))
cube = bpy.context.object
cube.scale = (1, 1, 2)
material = bpy.data.materials.new("red")
material.use_nodes = True
material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (1, 0, 0, 1)
cube.data.materials.append(material)
bpy.ops.export_scene.gltf(filepath=folder + "/cube.glb")
inner = bpy.data.collections.new("inner")
bpy.context.scene.collection.children.link(inner)
inner.objects.link(cube)
bpy.context.scene.collection.objects.unlink(cube)
for x in (0, 3):
    copy = bpy.data.objects.new("copy", None)
    copy.instance_type, copy.instance_collection, copy.location = "COLLECTION", inner, (x, 0, 0)
    bpy.context.scene.collection.objects.link(copy)
text = bpy.data.texts.new("evil.py")
text.write("open(" + repr(folder + "/ran") + ", 'w')")
text.use_module = True
bpy.ops.wm.save_as_mainfile(filepath=folder + "/two.blend")
"""

PROBE = """
import json, sys
from pathlib import Path
from blender.objects import Assets, model
from blender.stage import _make
from blender.scene import ObjectSpec
path = Path(sys.argv[1])
assets = Assets(Path(), (), "", {"it": path})
params = {"file": "it", "scale": 0.5, "turn": 90.0}
foot = model.footprint(params, assets)
mesh, vertices, triangles = _make(ObjectSpec("model", params), assets)
print(json.dumps({"foot": foot, "low": vertices.min(0).tolist(), "high": vertices.max(0).tolist(),
    "triangles": len(triangles), "materials": [m.name for m in mesh.materials if m]}))
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    (folder / "cube.obj").write_text(CUBE)
    done = run("-c", MAKE, folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    ("name", "size", "triangles"),
    [
        ("cube.obj", (0.5, 0.5, 1.0), 12),
        ("cube.glb", (0.5, 0.5, 1.0), 12),
        ("two.blend", (0.5, 2.0, 1.0), 36),  # the cube, and two instances of its collection
    ],
)
def test_a_file_stands_in_the_middle_on_the_floor(
    files: Path, name: str, size: tuple[float, float, float], triangles: int
) -> None:
    done = run("-c", PROBE, files / name)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    x, y, z = size
    assert found["low"] == pytest.approx([-x / 2, -y / 2, 0], abs=1e-5)
    assert found["high"] == pytest.approx([x / 2, y / 2, z], abs=1e-5)
    assert found["foot"] == pytest.approx([-x / 2, x / 2, -y / 2, y / 2], abs=1e-5)
    assert found["triangles"] == triangles
    if name != "cube.obj":
        (material,) = found["materials"]
        assert material.startswith("red")
    assert not (files / "ran").exists(), "nothing in the file is run"


def with_robot(file: str) -> str:
    table = f"""
[scene.objects.robot]
builder = "model"
category = "robot"
count = [2, 2]
distance = [1.8, 5.0]
ranges = {{ file = "{file}", scale = [0.4, 0.5] }}
"""
    profile = TINY.replace('"pallet_truck"]', '"pallet_truck", "robot"]', 1)
    return profile.replace("[model]", table + "[model]", 1)


def test_it_is_rendered_and_labelled_and_part_of_the_fingerprint(
    files: Path, tiny_people: Path, tmp_path: Path
) -> None:
    profile, out = tmp_path / "robot.toml", tmp_path / "train"
    (tmp_path / "robot.glb").write_bytes((files / "cube.glb").read_bytes())
    profile.write_text(with_robot("robot.glb"))
    done = render(profile, tiny_people, out, "--workers", 1)
    assert done.returncode == 0, done.stderr
    records = [read_record(path) for path in sorted(out.glob("frames/*.json"))]
    robots = [(r, i) for r in records for i in r.instances if i.category == "robot" and i.visible_pixels > 30]
    assert len(robots) >= 2
    record, robot = max(robots, key=lambda pair: pair[1].visible_pixels)
    assert robot.parameters["file"] == "robot.glb" and str(tmp_path) not in json.dumps(robot.parameters)
    image = np.asarray(Image.open(out / "images" / f"{record.frame:06d}.png")).astype(float)
    mask = np.asarray(Image.open(out / "masks" / f"{record.frame:06d}.png")) == robot.id
    red, green, _ = image[mask].mean(0)
    assert red > 1.3 * green, "the file's material"
    (tmp_path / "robot.glb").write_bytes((files / "cube.glb").read_bytes() + b" ")
    refused = render(profile, tiny_people, out, "--workers", 1)
    assert refused.returncode == 2 and "Traceback" not in refused.stderr, "another file, another fingerprint"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("gone.glb", None, "no such file"),
        ("broken.glb", b"glTF nonsense", "cannot be read as .glb"),
        ("broken.blend", b"nonsense", "cannot be read as .blend"),
        ("empty.obj", b"o nothing\n", "holds no mesh"),
        ("robot.fbx", b"", "not one of .glb"),
    ],
)
def test_a_useless_file_is_named_in_one_line(
    name: str, content: bytes | None, reason: str, tiny_people: Path, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    profile = tmp_path / "robot.toml"
    profile.write_text(with_robot(name))
    done = render(profile, tiny_people, tmp_path / "train", "--workers", 1)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert name in line and reason in line
