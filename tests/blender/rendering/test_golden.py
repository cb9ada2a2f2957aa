"""The golden frames: changed pixels fail a test until RENDER_VERSION and the golden frames are updated."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender.contract import read_manifest
from tests.conftest import ROOT
from tests.golden.compare import (
    FOLDER,
    comparison_report,
    differences,
    golden_folder,
    render_command,
    replace_golden,
)

PRESENT = sorted(path.parent for path in FOLDER.glob("*/*/manifest.json"))
"""Folders with golden frames."""


def test_rendered_frames_equal_the_golden_frames(tiny_people: Path, tmp_path: Path) -> None:
    out = tmp_path / "golden"
    done = subprocess.run(
        render_command(tiny_people, out), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    golden = golden_folder(read_manifest(out))
    if golden not in PRESENT:
        for other in (path for path in PRESENT if path.parent == golden.parent):
            assert not [line for line in differences(other, out) if line.startswith("masks/")]
        pytest.skip(comparison_report(golden, out))
    assert comparison_report(golden, out) == ""


@pytest.mark.parametrize("version", sorted({path.parent for path in PRESENT}), ids=lambda path: path.name)
def test_golden_masks_are_equal_on_all_processors(version: Path) -> None:
    first, *others = (path for path in PRESENT if path.parent == version)
    for other in others:
        assert not [line for line in differences(first, other) if line.startswith("masks/")]


@pytest.fixture
def copies(tmp_path: Path) -> tuple[Path, Path]:
    """Copy golden frames twice; return the copies as the golden and the rendered folder."""
    replace_golden(PRESENT[0], tmp_path / "golden")
    replace_golden(PRESENT[0], tmp_path / "rendered")
    return tmp_path / "golden", tmp_path / "rendered"


def change_a_pixel(path: Path, amount: int) -> None:
    pixels = np.asarray(Image.open(path)).copy()
    pixels[3, 4] = np.where(pixels[3, 4] < 200, pixels[3, 4] + amount, pixels[3, 4] - amount)
    Image.fromarray(pixels).save(path)


@pytest.mark.skipif(not PRESENT, reason="no golden frames")
def test_differences_beyond_the_tolerance_are_listed(copies: tuple[Path, Path]) -> None:
    golden, rendered = copies
    assert differences(golden, rendered) == []
    change_a_pixel(rendered / "images" / "000001.png", 1)
    assert differences(golden, rendered) == []
    change_a_pixel(rendered / "images" / "000001.png", 1)
    assert differences(golden, rendered) == ["images/000001.png: 1 pixels differ, by up to 2"]
    change_a_pixel(rendered / "masks" / "000002.png", 1)
    assert "masks/000002.png: 1 pixels differ, by up to 1" in differences(golden, rendered)
    (rendered / "masks" / "000003.png").unlink()
    shutil.copy(rendered / "images" / "000000.png", rendered / "images" / "000009.png")
    assert differences(golden, rendered)[2:] == [
        "masks/000003.png: not rendered",
        "images/000009.png: no golden frame",
    ]


@pytest.mark.skipif(not PRESENT, reason="no golden frames")
def test_report_says_what_to_do(copies: tuple[Path, Path]) -> None:
    golden, rendered = copies
    assert comparison_report(golden, rendered) == ""
    assert "make golden" in comparison_report(golden.parent / "9.9", rendered)
    change_a_pixel(rendered / "masks" / "000002.png", 1)
    assert "RENDER_VERSION in blender/config/profile.py did not" in comparison_report(golden, rendered)
    manifest = read_manifest(rendered)
    raised = dataclasses.replace(manifest, render_version=manifest.render_version + 1)
    (rendered / "manifest.json").write_bytes(raised.to_bytes())
    assert "RENDER_VERSION was raised" in comparison_report(golden, rendered)
