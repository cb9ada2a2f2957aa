"""EXIF orientations of image files: the annotated size decides what is read, else the caller does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender.contract import UserError
from pipeline.data.images import check_image, read_rgb
from tests.helpers.turned import ORIENTATIONS, save_turned

UPRIGHT = np.kron(np.random.default_rng(0).integers(0, 256, (4, 6, 3)), np.ones((8, 8, 1))).astype(np.uint8)
"""Blocks of colour, 48 x 32 pixels, which JPEG preserves."""
FORMATS = ("jpg", "png", "webp", "tif")


def is_close(pixels: np.ndarray, expected: np.ndarray) -> bool:
    return pixels.shape == expected.shape and bool(np.abs(pixels.astype(int) - expected).mean() < 4)


def size_of(pixels: np.ndarray) -> tuple[int, int]:
    return pixels.shape[1], pixels.shape[0]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_images_are_read_as_stored_or_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = tmp_path / f"a.{suffix}"
    stored = save_turned(path, UPRIGHT, orientation)
    assert is_close(read_rgb(path), stored)
    assert is_close(read_rgb(path, upright=True), UPRIGHT)
    for upright in (False, True):
        expected = UPRIGHT if upright else stored
        if orientation >= 5:  # the size decides, whatever the choice
            assert is_close(read_rgb(path, size_of(UPRIGHT), upright), UPRIGHT)
            assert is_close(read_rgb(path, size_of(stored), upright), stored)
        else:
            assert is_close(read_rgb(path, size_of(UPRIGHT), upright), expected)
    assert check_image(path, size_of(UPRIGHT)) == (orientation in (2, 3, 4))
    with pytest.raises(UserError, match=r"a\.\w+: \d+x\d+, but the annotations say 50x50"):
        check_image(path, (50, 50))
    with pytest.raises(UserError, match=r"a\.\w+: \d+x\d+, but the annotations say 50x50"):
        read_rgb(path, (50, 50))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_size_does_not_decide_the_orientation_of_a_square_image(tmp_path: Path, orientation: int) -> None:
    upright = UPRIGHT[:, :32]
    for suffix in FORMATS:
        path = tmp_path / f"a.{suffix}"
        stored = save_turned(path, upright, orientation)
        assert check_image(path, (32, 32)) == (orientation != 1)
        assert is_close(read_rgb(path, (32, 32)), stored)
        assert is_close(read_rgb(path, (32, 32), upright=True), upright)


@pytest.mark.parametrize("value", [0, 9, 600])
def test_an_orientation_that_exif_does_not_define_changes_nothing(tmp_path: Path, value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    path = tmp_path / "a.png"
    Image.fromarray(UPRIGHT).save(path, exif=exif)
    assert np.array_equal(read_rgb(path, upright=True), UPRIGHT) and not check_image(path, (48, 32))


def test_malformed_exif_data_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(UPRIGHT).save(path, exif=b"Exif\0\0XX\x2a\0nonsense", quality=95, subsampling=0)
    assert is_close(read_rgb(path, (48, 32)), UPRIGHT) and not check_image(path, (48, 32))
