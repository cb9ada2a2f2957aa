"""The golden frames: changed pixels fail a test until RENDER_VERSION and the golden frames are updated."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blender.assets import load_assets
from blender.config.profile import load_config
from blender.contract import read_manifest
from blender.imaging.sensor import expose
from blender.rendering import builder, passes
from blender.rendering.device import Device, use_device
from blender.rendering.frame import frame_rng, frame_scene
from blender.spec import SceneSpec
from tests.conftest import ROOT
from tests.golden import compare
from tests.golden.compare import (
    FOLDER,
    PROFILE,
    comparison_report,
    differences,
    must_be_same,
    render_command,
    replace_golden,
    success_message,
)


def test_rendered_frames_agree_with_the_golden_frames(tiny_people: Path, tmp_path: Path) -> None:
    out = tmp_path / "golden"
    done = subprocess.run(
        render_command(tiny_people, out), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert comparison_report(FOLDER, out) == ""
    assert "equal the golden" in success_message(FOLDER, out)


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Copy the golden frames twice; return the copies as the golden and the rendered folder."""
    monkeypatch.setattr(compare, "processor", lambda: "TestMaker")
    for name in ("golden", "rendered"):
        (tmp_path / name).mkdir()
        replace_golden(FOLDER, tmp_path / name)
    return tmp_path / "golden", tmp_path / "rendered"


def change_image(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Replace an image by what ``change`` makes of its pixels as floats."""
    pixels = np.asarray(Image.open(path))
    Image.fromarray(
        change(pixels.astype(float)).clip(0, np.iinfo(pixels.dtype).max).astype(pixels.dtype)
    ).save(path)


def change_a_pixel(path: Path, amount: int) -> None:
    def change(pixels: np.ndarray) -> np.ndarray:
        pixels[3, 4] = np.where(pixels[3, 4] < 200, pixels[3, 4] + amount, pixels[3, 4] - amount)
        return pixels

    change_image(path, change)


def test_differences_on_the_same_machine_are_listed(copies: tuple[Path, Path]) -> None:
    golden, rendered = copies
    assert differences(golden, rendered, True) == []
    change_a_pixel(rendered / "images" / "000001.png", 1)
    assert differences(golden, rendered, True) == []
    change_a_pixel(rendered / "images" / "000001.png", 1)
    assert differences(golden, rendered, True) == ["images/000001.png: 1 pixels differ, by up to 2"]
    (rendered / "images" / "000000.png").unlink()
    shutil.copy(rendered / "images" / "000002.png", rendered / "images" / "000009.png")
    assert differences(golden, rendered, True)[:2] == [
        "images/000000.png: not rendered",
        "images/000009.png: no golden frame",
    ]


@pytest.mark.parametrize("same", [True, False])
def test_masks_and_records_must_be_equal_on_every_machine(same: bool, copies: tuple[Path, Path]) -> None:
    golden, rendered = copies
    change_a_pixel(rendered / "masks" / "000002.png", 1)
    record = rendered / "frames" / "000003.json"
    table = json.loads(record.read_bytes())
    table |= {"fingerprint": "of another version", "image_sha256": "of another image"}
    record.write_text(json.dumps(table))
    assert differences(golden, rendered, same) == ["masks/000002.png: 1 pixels differ, by up to 1"]
    table["instances"][0]["distance"] += 0.001
    record.write_text(json.dumps(table))
    assert differences(golden, rendered, same)[1:] == ["frames/000003.json: instances differ"]


@pytest.mark.parametrize(
    ("within", "beyond", "message"),
    [
        (lambda x: x + 1, lambda x: x + 3, "images: a mean deviation of"),
        (lambda x: _noisy(x, 1.5), lambda x: _noisy(x, 3), "images: a mean deviation of"),
        (lambda x: _first_rows(x, 0.1), lambda x: _first_rows(x, 0.3), "images/000000.png: 29.2%"),
    ],
    ids=["brightness", "noise", "part of the image"],
)
def test_images_of_another_machine_may_differ_within_the_limits(
    within: Any, beyond: Any, message: str, copies: tuple[Path, Path]
) -> None:
    golden, rendered = copies
    for change, expected in ((within, ""), (beyond, message)):
        for path in (golden / "images").iterdir():
            shutil.copy(path, rendered / "images")
            change_image(rendered / "images" / path.name, change)
        assert (differences(golden, rendered, False) or [""])[0].startswith(expected)
        assert bool(differences(golden, rendered, False)) == bool(expected)


def _noisy(pixels: np.ndarray, strength: float) -> np.ndarray:
    return pixels + np.random.default_rng(0).normal(0, strength, pixels.shape)


def _first_rows(pixels: np.ndarray, share: float) -> np.ndarray:
    """Change the first rows by what is just a deviation."""
    pixels[: int(share * len(pixels))] += np.where(pixels[: int(share * len(pixels))] < 128, 9, -9)
    return pixels


def test_images_must_be_the_same_only_with_the_same_maker_and_blender(
    copies: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = read_manifest(FOLDER)
    assert must_be_same(copies[0], dataclasses.replace(manifest, blender="4.5.99"))
    assert not must_be_same(copies[0], dataclasses.replace(manifest, blender="5.2.3"))
    monkeypatch.setattr(compare, "processor", lambda: "OtherMaker")
    assert not must_be_same(copies[0], manifest)


def test_report_says_what_to_do(copies: tuple[Path, Path]) -> None:
    golden, rendered = copies
    assert comparison_report(golden, rendered) == ""
    change_a_pixel(rendered / "masks" / "000002.png", 1)
    assert "RENDER_VERSION in blender/config/profile.py did not" in comparison_report(golden, rendered)
    manifest = read_manifest(rendered)
    raised = dataclasses.replace(manifest, render_version=manifest.render_version + 1)
    (rendered / "manifest.json").write_bytes(raised.to_bytes())
    assert "RENDER_VERSION was raised" in comparison_report(golden, rendered)


def _brighter_lamp(spec: SceneSpec) -> SceneSpec:
    first, *others = spec.lamps
    return dataclasses.replace(spec, lamps=(dataclasses.replace(first, power=1.5 * first.power), *others))


def _noise(spec: SceneSpec) -> SceneSpec:
    return dataclasses.replace(spec, sensor=spec.sensor | {"noise": 2 * spec.sensor["noise"]})


def _gain(spec: SceneSpec) -> SceneSpec:
    return dataclasses.replace(spec, sensor=spec.sensor | {"exposure": spec.sensor["exposure"] + 0.15})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("surface", "change"),
    [
        ("wall", None),
        ("concrete", None),
        ("paint", None),
        ("", _brighter_lamp),
        ("", _gain),
        ("", _noise),
    ],
    ids=["wall", "concrete", "paint", "lamp", "gain", "noise"],
)
def test_limits_for_other_machines_are_exceeded_by_planted_changes(
    surface: str, change: Any, tiny_people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A surface that is 15 % darker, a lamp that is 50 % brighter, a gain of 0.15 stops, twice the noise."""
    config, assets = load_config(PROFILE, "golden"), load_assets(tiny_people)
    colours = builder._face_colours

    def darker(parts: Any) -> Any:
        rgba = colours(parts)
        kinds = np.repeat([part.material.kind == surface for part in parts], [len(p.faces) for p in parts])
        rgba[kinds, :3] *= 0.85
        return rgba

    monkeypatch.setattr(builder, "_face_colours", darker)
    out = tmp_path / "rendered"
    out.mkdir()
    replace_golden(FOLDER, out)
    for frame in range(config.frames):
        spec = frame_scene(config, assets, frame)
        spec = change(spec) if change else spec
        builder.build_scene(spec, config, assets)
        use_device(Device("CPU"), 1)
        light, (_, distance) = passes.render_rgb(tmp_path), passes.render_ids(tmp_path)
        image = expose(light, distance, spec.sensor, frame_rng(config, frame, 1))
        Image.fromarray(image).save(out / "images" / f"{frame:06d}.png")
    assert differences(FOLDER, out, False)
