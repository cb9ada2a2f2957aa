"""The files that objects are built from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from blender.assets import load_assets
from blender.contract import UserError
from blender.geometry.model_info import referenced_files


def test_referenced_files_are_materials_textures_and_buffers(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text("mtllib other.mtl\nv 0 0 0\n")
    (tmp_path / "other.mtl").write_text("newmtl x\n  map_Kd -s 2 2 2 skin.png\nbump rough.png\n")
    buffers, images = [{"uri": "b%201.bin"}, {"uri": "data:,x"}], [{"uri": "skin.png"}, {"bufferView": 0}]
    (tmp_path / "b.gltf").write_text(json.dumps({"buffers": buffers, "images": images}))
    (tmp_path / "broken.gltf").write_text("[")
    names = {
        name: [path.name for path in referenced_files(tmp_path / name)]
        for name in ("a.obj", "b.gltf", "broken.gltf", "c.glb", "missing.obj")
    }
    assert names == {
        "a.obj": ["other.mtl", "skin.png", "rough.png"],
        "b.gltf": ["b 1.bin", "skin.png"],
        "broken.gltf": [],
        "c.glb": [],
        "missing.obj": [],
    }


def test_missing_people_are_an_error_with_a_fix(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no people manifest; bake the body meshes first \(make people\)"):
        load_assets(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match="not a readable people manifest"):
        load_assets(tmp_path)
    (tmp_path / "manifest.json").write_text('{"people": [{"file": "a.npz"}]}')
    with pytest.raises(UserError, match=r"a\.npz: missing; delete"):
        load_assets(tmp_path)
