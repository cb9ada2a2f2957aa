"""Reading models with Blender: what a render shows, what is left out or missing, which error is shown."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from blender.contract import UserError
from blender.geometry import model_file

bpy = pytest.importorskip("bpy")


def add_square(name: str, x: float, collection: Any = None) -> Any:
    """Add a square of 1 m at ``x``; return its Blender object."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([(x, 0, 0), (x + 1, 0, 0), (x + 1, 1, 0), (x, 1, 0)], [], [(0, 1, 2, 3)])
    item = bpy.data.objects.new(name, mesh)
    (collection or bpy.context.scene.collection).objects.link(item)
    return item


def add_collection(name: str) -> Any:
    collection = bpy.data.collections.new(name)
    bpy.context.scene.collection.children.link(collection)
    return collection


def read(path: Path) -> tuple[list[str], tuple[str, ...]]:
    """Return the names of a model's surfaces, and the notes."""
    model = model_file.measure(path)
    return sorted(part.name for part in model.parts), model.notes


def test_blend_is_read_as_a_render_shows_it(tmp_path: Path) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    add_square("shown", 0)
    add_square("off in viewport", 2).hide_viewport = True
    add_square("closed eye", 4).hide_set(True)
    add_square("off in renders", 6).hide_render = True
    for number, name in enumerate(("viewport", "renders", "excluded", "eye")):
        add_square(f"in {name}", 8 + 2 * number, add_collection(name))
    bpy.data.collections["viewport"].hide_viewport = True
    bpy.data.collections["renders"].hide_render = True
    layers = bpy.context.view_layer.layer_collection.children
    layers["excluded"].exclude = layers["eye"].hide_viewport = True
    both = add_square("in two", 16, bpy.data.collections["renders"])
    bpy.context.scene.collection.objects.link(both)
    part = bpy.data.collections.new("part")
    add_square("instanced", 18, part).hide_viewport = True
    add_square("hidden part", 20, part).hide_render = True
    empty = bpy.data.objects.new("at", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", part
    bpy.context.scene.collection.objects.link(empty)
    smooth = add_square("smooth", 22).modifiers.new("smooth", "SUBSURF")
    smooth.levels, smooth.render_levels = 0, 2
    path = tmp_path / "m.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    names, notes = read(path)
    shown = [
        "closed eye",
        "in eye",
        "in two",
        "in viewport",
        "instanced",
        "off in viewport",
        "shown",
        "smooth",
    ]
    assert names == shown
    assert notes == (
        "left out (hidden in renders): 'hidden part', 'in excluded', 'in renders', 'off in renders'",
    )
    assert len(model_file.read_mesh(path).polygons) == 7 + 16, "the modifier has its level for renders"


def test_objects_that_are_no_surface_and_missing_files_are_named(tmp_path: Path) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    item = add_square("shown", 0)
    cloud = bpy.data.objects.new("hair", bpy.data.hair_curves.new("hair"))
    bpy.context.scene.collection.objects.link(cloud)
    material = bpy.data.materials.new("skin")
    material.use_nodes = True
    image = bpy.data.images.new("skin", 4, 4)
    image.filepath_raw, image.file_format = str(tmp_path / "skin.png"), "PNG"
    image.save()
    image.source = "FILE"
    material.node_tree.nodes.new("ShaderNodeTexImage").image = image
    item.data.materials.append(material)
    path = tmp_path / "m.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path), relative_remap=True)
    assert read(path)[1] == ("left out (not a surface): 'hair (curves)'",)
    assert [file.name for file in model_file.measure(path).references] == ["skin.png"]
    (tmp_path / "skin.png").unlink()
    model_file._convert_version.cache_clear()
    assert read(path)[1][1] == "files that it refers to are missing: 'skin.png'; copy them beside it"


def test_all_view_layers_are_read_once_and_other_scenes_are_named(tmp_path: Path) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    add_square("in both", 0)
    add_square("in the second", 2, add_collection("late"))
    scene = bpy.context.scene
    scene.render.use_persistent_data = scene.render.use_freestyle = True
    scene.view_layers.new("second")
    scene.view_layers[0].layer_collection.children["late"].exclude = True
    path = tmp_path / "m.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    assert read(path) == (["in both", "in the second"], ())
    bpy.ops.wm.open_mainfile(filepath=str(path))
    bpy.data.scenes.new("Backup").collection.objects.link(bpy.data.objects["in both"])
    path = tmp_path / "n.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    (note,) = read(path)[1]
    assert note.startswith("only its first scene ") and "'Backup'" in note and "'Scene'" in note


def write_gltf(path: Path, **changes: object) -> Path:
    """Write a glTF file with one triangle."""
    data = struct.pack("<9f6x", 0, 0, 0, 1, 0, 0, 0, 1, 0)
    uri = "data:application/octet-stream;base64," + base64.b64encode(data).decode()
    table = {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "triangle"}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
        "textures": [{"source": 0}], "images": [{"uri": "skin.png"}],
        "buffers": [{"byteLength": len(data), "uri": uri}],
        "bufferViews": [{"buffer": 0, "byteLength": 36}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3",
             "min": [0, 0, 0], "max": [1, 1, 0]}
        ],
    }  # fmt: skip
    path.write_text(json.dumps(table | changes))
    return path


def test_missing_texture_is_named_and_missing_buffer_is_an_error(tmp_path: Path) -> None:
    names, notes = read(write_gltf(tmp_path / "a.gltf"))
    assert names == ["triangle"] and "'skin.png'" in notes[0]
    path = write_gltf(tmp_path / "b.gltf", buffers=[{"byteLength": 42, "uri": "b.bin"}])
    with pytest.raises(UserError, match=r"b\.gltf: its file 'b\.bin' is missing; copy it"):
        model_file.measure(path)


def test_required_extension_that_blender_lacks_is_named(tmp_path: Path) -> None:
    names = ["KHR_texture_basisu"]
    path = write_gltf(tmp_path / "a.gltf", extensionsUsed=names, extensionsRequired=names)
    with pytest.raises(UserError, match=r"a\.gltf: it needs KTX2 textures \(KHR_texture_basisu\)") as caught:
        model_file.measure(path)
    assert "\n" not in str(caught.value)


def test_error_of_an_importer_is_its_own_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blender prints the importer's traceback, and reports only its start and a line of our source."""

    def fail(path: Path) -> None:
        import sys

        print(
            'Traceback:\n  File "x.py"\n    dll = load()\nOSError: libdraco.so: cannot open', file=sys.stderr
        )
        raise RuntimeError("Error: Python: Traceback:\n  File ... truncated\nLocation: /ours.py:93")

    monkeypatch.setitem(model_file.READERS, ".gltf", fail)
    with pytest.raises(UserError, match=r"not a readable model \(OSError: libdraco\.so: cannot open\)"):
        model_file.measure(write_gltf(tmp_path / "a.gltf"))
    used = ["KHR_draco_mesh_compression"]
    with pytest.raises(UserError, match=r"it needs Draco compression .* export it without"):
        model_file.measure(write_gltf(tmp_path / "b.gltf", extensionsUsed=used))
