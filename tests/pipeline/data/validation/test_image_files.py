"""Validate and repair COCO files together with the image files that they name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from pipeline.data.validation.check import find_problems, repair
from tests.pipeline.data.validation.cases import FILES, HEIGHT, WIDTH, valid_dataset
from tests.pipeline.data.validation.test_repair import fix
from tests.pipeline.data.validation.test_validate import broken_by


@pytest.mark.parametrize("name", FILES)
def test_broken_image_file_is_reported(folder: Path, name: str) -> None:
    rule, damage = FILES[name]
    assert broken_by(valid_dataset(), folder) == []
    damage(folder / "a.png")
    problems = list(find_problems(valid_dataset(), folder))
    assert problems and all(f.rule.startswith(rule) and f.image_id == 3 for f in problems), problems


def test_paths_out_of_the_folder_are_errors(folder: Path) -> None:
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder.parent / "out.png")
    for name in ("../out.png", str(folder.parent / "out.png"), "a.png\0", "x" * 5000, "sub"):
        dataset = valid_dataset()
        dataset["images"][0]["file_name"] = name
        assert any(f.severity == "error" for f in find_problems(dataset, folder))


@pytest.mark.parametrize("name", FILES)
def test_images_with_broken_files_are_removed(name: str, tmp_path: Path) -> None:
    rule, damage = FILES[name]
    folder, path, out = tmp_path / "images", tmp_path / "x.json", tmp_path / "out.json"
    (folder / "sub").mkdir(parents=True)
    for file in ("a.png", "sub/b.png"):
        Image.new("RGB", (WIDTH, HEIGHT)).save(folder / file)
    damage(folder / "a.png")
    path.write_text(json.dumps(valid_dataset()))
    run = fix(path, out, "--images", folder)
    assert run.exit_code == 0, run.output
    ids = [image["id"] for image in json.loads(out.read_bytes())["images"]]
    if (
        rule in ("file-mode", "file-exif-rotated", "file-exif-ambiguous")
        and name != "turned, the JSON as shown"
    ):
        assert ids == [3, 7] and f"not repaired: warning: image 3, {rule}" in run.output
    assert ids == [7] or "not repaired: warning" in run.output
    assert not [f for f in find_problems(json.loads(out.read_bytes()), folder) if f.severity == "error"]


def test_image_size_is_read_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for file in ("a.png", "sub/b.png"):
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / file)
    dataset = valid_dataset()
    del dataset["images"][0]["width"]
    dataset["images"][1]["file_name"] = "/home/somebody/sub/b.png"
    fixed, changes = repair(dataset, tmp_path)
    assert fixed["images"] == valid_dataset()["images"]
    assert [c.rule for c in changes] == ["image-size", "file-name-path"]
