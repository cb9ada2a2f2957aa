"""The files that a model refers to, and the glTF extensions that Blender cannot read."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from blender.geometry.model_info import (
    missing_buffers,
    referenced_files,
    texture_notes,
    unreadable_extensions,
)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("mtllib my crate.mtl", ["my crate.mtl", "skin.png"]),
        ("mtllib\tplain.mtl  ", ["plain.mtl", "skin.png"]),
        ('mtllib "my crate.mtl"', ["my crate.mtl", "skin.png"]),
        ("mtllib sub\\deep.mtl", ["deep.mtl", "deep.png"]),
        ("mtllib plain.mtl\nmtllib my crate.mtl", ["plain.mtl", "my crate.mtl", "skin.png"]),
        ("mtllib gone.mtl", ["gone.mtl"]),
        ("# mtllib plain.mtl", []),
    ],
)
def test_material_names_may_contain_spaces(line: str, names: list[str], tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("my crate.mtl", "plain.mtl"):
        (tmp_path / name).write_text("newmtl a\nmap_Kd skin.png\n")
    (tmp_path / "sub" / "deep.mtl").write_text("map_Kd deep.png\n")
    (tmp_path / "sub" / "deep.png").touch()
    (tmp_path / "skin.png").touch()
    (tmp_path / "box.obj").write_text(f"{line}\nv 0 0 0\n")
    assert [path.name for path in referenced_files(tmp_path / "box.obj")] == names


@pytest.mark.parametrize(
    "line",
    [
        "map_Kd my skin 2.png",
        "  map_Kd -s 2 2 2 my skin 2.png",
        "map_Bump -bm 0.5 -clamp on -o 1 my skin 2.png",
        "bump -imfchan r -mm 0 1 my skin 2.png",
        'map_d "my skin 2.png"',
        "norm .\\my skin 2.png",
        "disp my_skin_2.png",
        "refl -type sphere /elsewhere/my skin 2.png",
    ],
)
def test_texture_names_may_contain_spaces_after_options(line: str, tmp_path: Path) -> None:
    (tmp_path / "my skin 2.png").touch()
    (tmp_path / "2.png").touch()  # the last word alone is another file
    (tmp_path / "box.obj").write_text("v 0 0 0\n")
    (tmp_path / "box.mtl").write_text(f"newmtl a\n{line}\n")  # Blender reads it without a mtllib line
    assert [path.name for path in referenced_files(tmp_path / "box.obj")] == ["box.mtl", "my skin 2.png"]


def test_binary_gltf_may_refer_to_other_files(tmp_path: Path) -> None:
    table = json.dumps({"images": [{"uri": "a%20b.png"}], "buffers": [{}, {"uri": "c.bin"}, 3]}).encode()
    header = struct.pack("<4sII", b"glTF", 2, 20 + len(table))
    (tmp_path / "m.glb").write_bytes(header + struct.pack("<I4s", len(table), b"JSON") + table)
    assert [path.name for path in referenced_files(tmp_path / "m.glb")] == ["c.bin", "a b.png"]
    assert missing_buffers(tmp_path / "m.glb") == ["c.bin"]


@pytest.mark.parametrize(
    ("extensions", "reason", "named"),
    [
        (["KHR_draco_mesh_compression"], "OSError: libbf_intern_draco_bridge.so: cannot open", "Draco"),
        (["EXT_meshopt_compression"], "Extension EXT_meshopt_compression is not available", "meshopt"),
        (["KHR_texture_basisu"], "Extension KHR_texture_basisu is not available", "KTX2 textures"),
        (["ACME_walls"], "Extension ACME_walls is not available", "ACME_walls"),
        (["KHR_draco_mesh_compression"], "Bad GLB: file size doesn't match", ""),
        (["KHR_lights_punctual", 7], "Extension ACME_walls is not available", ""),
        ("nonsense", "Extension nonsense", ""),
    ],
)
def test_unreadable_extension_is_named_by_the_importers_reason(
    extensions: object, reason: str, named: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.gltf"
    path.write_text(json.dumps({"extensionsRequired": extensions, "extensionsUsed": extensions}))
    assert " ".join(unreadable_extensions(path, reason)).startswith(named)
    assert bool(unreadable_extensions(path, reason)) == bool(named)


def test_textures_without_a_readable_image_are_counted(tmp_path: Path) -> None:
    ktx2 = {"extensions": {"KHR_texture_basisu": {"source": 0}}}
    (tmp_path / "m.gltf").write_text(json.dumps({"textures": [ktx2, ktx2 | {"source": 1}, {"source": 2}]}))
    assert "1 textures" in texture_notes(tmp_path / "m.gltf")[0]
    (tmp_path / "n.gltf").write_text(json.dumps({"textures": [{"source": 2}]}))
    assert texture_notes(tmp_path / "n.gltf") == []


@pytest.mark.parametrize(
    ("line", "name"), [("map_d my skin 2.png", "my skin 2.png"), ("bump -bm 1 a.png", "a.png")]
)
def test_missing_textures_have_their_whole_name(line: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "box.obj").write_text("v 0 0 0\n")
    (tmp_path / "box.mtl").write_text(f"newmtl a\n{line}\n")
    assert [path.name for path in referenced_files(tmp_path / "box.obj")] == ["box.mtl", name]
