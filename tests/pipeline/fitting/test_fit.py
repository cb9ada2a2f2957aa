"""The command ``fit``: it finds the sensor of photographs that were made with a known one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from blender.config.profile import Config, load_config
from blender.contract import load_profile
from pipeline.cli import main
from tests.conftest import TINY, create_once, render, run

TRUTH = {"exposure": (-0.9, -0.6), "noise": (0.012, 0.014), "saturation": (0.5, 0.6)}
"""Dark, noisy and pale; the JPEG quality is 60."""
FILES = 16


@pytest.fixture(scope="module")
def photographs(tiny_people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render photographs with the sensor ``TRUTH``; scenes and noise are others than those of the fit."""

    def make(folder: Path) -> subprocess.CompletedProcess[str]:
        folder.mkdir()
        sensor = "".join(f"{key} = {list(value)}\n" for key, value in TRUTH.items())
        (folder / "truth.toml").write_text(
            TINY.replace("seed = 0", "seed = 7").replace("train = 4", f"train = {FILES}")
            + f"[scene.sensor]\njpeg = 0.0\nlow_resolution = 0.0\n{sensor}"
        )
        done = render(folder / "truth.toml", tiny_people, folder / "train", "--workers", 1)
        (folder / "photos").mkdir()
        for path in sorted((folder / "train/images").glob("*.png")):
            Image.open(path).save(folder / "photos" / f"{path.stem}.jpg", quality=60)
        return done

    return create_once(tmp_path_factory, "dark-photographs", make) / "photos"


def fit(photos: Path, out: Path, renders: Path) -> subprocess.CompletedProcess[str]:
    """Fit the tiny profile beside ``out``."""
    return run("-m", "pipeline", "fit", photos, "--profile", out.parent / "tiny.toml", "--out", out,
               "--renders", renders, "--frames", 20)  # fmt: skip


@pytest.fixture(scope="module")
def fitted(
    photographs: Path, tiny_people: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """Fit the tiny profile to the photographs; return the written profile and what the command printed."""

    def make(folder: Path) -> subprocess.CompletedProcess[str]:
        shutil.copytree(tiny_people, folder / "renders/people")
        (folder / "tiny.toml").write_text(TINY)
        done = fit(photographs, folder / "mine.toml", folder / "renders")
        (folder / "printed.txt").write_text(done.stdout)
        return done

    folder = create_once(tmp_path_factory, "fitted", make)
    return folder / "mine.toml", (folder / "printed.txt").read_text()


def test_fitted_ranges_hold_the_truth_and_are_narrower(fitted: tuple[Path, str]) -> None:
    config: Config = load_config(fitted[0])
    own = load_config(fitted[0].parent / "tiny.toml").scene.sensor
    for key, (low, high) in TRUTH.items():
        new, old = getattr(config.scene.sensor, key), getattr(own, key)
        assert new[0] <= low and high <= new[1], (key, new)
        assert new != old
        if key == "exposure":
            assert new[1] - new[0] < 0.8 * (old[1] - old[0]), (key, new)
    assert config.scene.sensor.saturation[1] < own.saturation[1] - 0.15
    assert config.scene.sensor.noise[0] > 1.5 * own.noise[0]
    low, high = config.scene.sensor.jpeg_quality
    assert low <= 60 <= high and high - low < 20
    for key in ("white_balance", "tint", "contrast", "sharpening"):  # drawn from the profile's range
        new, old = getattr(config.scene.sensor, key), getattr(own, key)
        assert min(new[1], old[1]) - max(new[0], old[0]) > 0.5 * (old[1] - old[0]), (key, new)


def test_the_written_profile_is_valid_and_says_where_its_values_are_from(fitted: tuple[Path, str]) -> None:
    path, printed = fitted
    done = CliRunner().invoke(main, ["check", "--profile", str(path)])
    assert (done.exit_code, done.output) == (0, "")
    text, table = path.read_text(), load_profile(path)
    assert (table["name"], table["classes"]) == ("mine", ["pedestrian", "pallet_truck"])
    assert 'extends = "tiny.toml"' in text and f"# {FILES} photographs: mean brightness" in text
    assert not (path.parent / "renders/fit.toml").samefile(path)
    for key, value in table["scene"]["sensor"].items():
        assert any(f"sensor.{key} " in line and str(value[0]) in line for line in printed.splitlines()), key
    assert "sensor.glare" not in printed
    assert not list(path.parent.glob(".fit-*")), "no temporary file is left"


def test_the_same_photographs_give_the_same_bytes_and_unreadable_ones_are_left_out(
    fitted: tuple[Path, str], photographs: Path, tmp_path: Path
) -> None:
    path, out = fitted[0], fitted[0].parent / "again" / "mine.toml"
    photos = shutil.copytree(photographs, tmp_path / "photos")
    (photos / "000003x.jpg").write_bytes((photos / "000003.jpg").read_bytes()[:200])
    out.parent.mkdir()
    shutil.copy(path.parent / "tiny.toml", out.parent)
    done = fit(photos, out, path.parent / "renders")
    assert done.returncode == 1
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error"))
    assert line.startswith(f"error: {photos}/000003x.jpg: ") and line.endswith("; left out")
    assert out.read_bytes() == path.read_bytes()


def write_photos(folder: Path, count: int) -> Path:
    """Write grey photographs."""
    folder.mkdir()
    for number in range(count):
        Image.new("RGB", (64, 48), "grey").save(folder / f"{number}.jpg")
    return folder


def refused(*arguments: Any) -> str:
    """Return the one line with which the command refuses."""
    done = CliRunner().invoke(main, ["fit", *map(str, arguments)])
    assert (done.exit_code, done.output.count("\n")) == (2, 1), done.output
    return done.output


def test_mistakes_are_one_line_and_write_nothing(tiny_profile: Path, tmp_path: Path) -> None:
    one, out = write_photos(tmp_path / "one", 1), tmp_path / "out.toml"
    options = ["--profile", tiny_profile, "--out", out]
    assert "1 photograph: a fit needs at least 5" in refused(one, *options)
    (tmp_path / "none").mkdir()
    assert "no image in this folder" in refused(tmp_path / "none", *options)
    assert "nowhere: no such image or folder" in refused(tmp_path / "nowhere", *options)
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(TINY.replace("samples = 1", "samples = 0"))
    assert "samples must be" in refused(one, "--profile", wrong, "--out", out)
    small = tmp_path / "small.toml"
    small.write_text(TINY.replace("height = 72", "height = 32"))
    five = write_photos(tmp_path / "five", 5)
    assert "at least 48 x 48 pixels" in refused(five, "--profile", small, "--out", out)
    assert not out.exists()
    out.write_text("mine")
    assert f"{out}: exists; give --out another name, or delete it" in refused(five, *options)
    assert out.read_text() == "mine"
