"""What files say about a camera: JPEG tables, focal length, size; and the upright lines of pictures."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.fitting.camera import effective_quality
from pipeline.fitting.photographs import (
    FOCAL_LENGTH_35,
    Photograph,
    field_of_view,
    jpeg_quality,
    measure_photograph,
    measure_photographs,
)
from pipeline.fitting.verticals import Uprights, measure_uprights


def test_jpeg_quality_is_exact() -> None:
    pixels = Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 24, 3), np.uint8))
    for quality in (1, 20, 49, 50, 75, 93, 100):
        file = io.BytesIO()
        pixels.save(file, "JPEG", quality=quality)
        assert jpeg_quality(Image.open(file)) == quality
    file = io.BytesIO()
    pixels.save(file, "PNG")
    assert jpeg_quality(Image.open(file)) is None


def test_field_of_view_follows_from_the_focal_length_of_the_file(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[FOCAL_LENGTH_35] = 26
    exif[0x0112] = 6  # turned: stored wide, upright tall
    Image.new("RGB", (64, 48), "grey").save(tmp_path / "a.jpg", exif=exif, quality=80)
    photo = measure_photograph(tmp_path / "a.jpg", 64 * 48)
    assert (photo.width, photo.height, photo.quality, photo.uprights) == (48, 64, 80, None)
    assert photo.fov == pytest.approx(53.1, abs=0.1), "26 mm at 3:4"
    assert field_of_view(26, 4000, 3000) == pytest.approx(67.3, abs=0.1)
    assert field_of_view(36 / 2, 3000, 2000) == pytest.approx(90, abs=0.1)


def test_unreadable_photographs_are_named(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "good.png")
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff no picture")
    good, bad = measure_photographs([tmp_path / "good.png", tmp_path / "bad.jpg"], 3072)
    assert isinstance(good, Photograph)
    assert isinstance(bad, str) and bad.startswith(f"{tmp_path}/bad.jpg: not a readable image")


def photograph(width: int, height: int, quality: int | None) -> Photograph:
    """Return a photograph without statistics."""
    return Photograph(width, height, quality, None, None, {})


def test_jpeg_quality_counts_at_the_size_of_the_renders() -> None:
    area = 640 * 480
    assert effective_quality(photograph(640, 480, 60), area) == 60
    assert effective_quality(photograph(320, 240, 60), area) == 60, "enlarged artefacts stay"
    assert effective_quality(photograph(2560, 1920, 60), area) == 90
    assert effective_quality(photograph(1280, 960, 20), area) == 40
    assert effective_quality(photograph(640, 480, None), area) is None


@pytest.mark.parametrize(("pitch", "roll"), [(0.0, 0.0), (-12.0, 0.0), (8.0, 3.0), (-30.0, -2.0)])
def test_upright_lines_tell_pitch_and_roll(pitch: float, roll: float) -> None:
    width, height, focal = 320, 240, 300.0
    p, r = np.radians([pitch, roll])
    y, x = np.mgrid[0:height, 0:width].astype(float)
    x, y = x + 0.5 - width / 2, y + 0.5 - height / 2
    # Directions of the pixels in a camera without pitch and roll: x right, y down, z ahead.
    u, v = np.cos(r) * x + np.sin(r) * y, np.cos(r) * y - np.sin(r) * x
    ahead = focal * np.cos(p) + v * np.sin(p)
    stripes = np.tanh(3 * np.sin(40 * u / ahead))  # of an upright wall, one metre ahead, as a lens shows them
    measured = measure_uprights((0.5 + 0.2 * stripes).astype(np.float32))
    assert measured is not None
    assert np.degrees(np.arctan(measured.convergence * focal / width)) == pytest.approx(pitch, abs=1.0)
    assert measured.roll == pytest.approx(roll, abs=0.7)


def test_pictures_without_upright_lines_tell_nothing() -> None:
    rng = np.random.default_rng(0)
    assert measure_uprights(np.full((240, 320), 0.5, np.float32)) is None
    assert measure_uprights(rng.uniform(0, 1, (240, 320)).astype(np.float32)) is None
    assert measure_uprights(np.zeros((4, 4), np.float32)) is None
    assert Uprights(0.0, 0.0).roll == 0
