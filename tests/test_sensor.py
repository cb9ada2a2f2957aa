"""The camera's faults: each does what it says, and JPEG does what Pillow's encoder does."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from PIL import Image

from blender import sensor
from blender.jpeg import compress


def picture(height: int = 96, width: int = 120) -> np.ndarray:
    """Smooth ramps with hard edges, (H, W, 3) in 0..1."""
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([x / width, y / height, 0.5 + 0.4 * np.sin(x / 9)], -1)
    image[20:50, 30:70] = (0.9, 0.2, 0.1)
    image[60:64] = 0.05
    return image


def decoded(image: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(
        buffer, "JPEG", quality=quality, subsampling="4:2:0"
    )
    return np.asarray(Image.open(buffer), float) / 255


@pytest.mark.parametrize("quality", [30, 50, 75, 92])
def test_jpeg_loses_what_a_real_encoder_loses(quality: int) -> None:
    grey = picture().mean(2, keepdims=True).repeat(3, 2)
    ours, theirs = np.clip(compress(grey, quality), 0, 1), decoded(grey, quality)
    assert np.abs(theirs - grey).mean() > 0.001
    assert np.abs(ours - theirs).mean() < 1.0 / 255, "but for rounding, the same picture"
    colours = picture()  # here they differ by how chrominance is enlarged, which is the decoder's choice
    losses = [
        np.abs(np.clip(x, 0, 1) - colours).mean()
        for x in (compress(colours, quality), decoded(colours, quality))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=0.35)


def test_jpeg_takes_any_size() -> None:
    image = picture(37, 53)
    assert compress(image, 80).shape == image.shape
    assert np.abs(compress(np.full((16, 16, 3), 0.5), 90) - 0.5).max() < 0.01


def test_defocus_keeps_the_light_and_spreads_it() -> None:
    image = np.zeros((41, 41, 3))
    image[20, 20] = 1.0
    blurred = sensor.defocus(image, 3.0)
    assert blurred.sum() == pytest.approx(3.0)
    weight = blurred[..., 0]
    variance = (weight * (np.mgrid[0:41, 0:41][0] - 20) ** 2).sum()
    assert np.sqrt(variance) == pytest.approx(1.5, rel=0.1)
    assert np.array_equal(sensor.defocus(image, 0.1), image)


def test_aberration_moves_red_out_and_blue_in() -> None:
    image = np.zeros((101, 101, 3))
    image[50, 90] = 1.0
    fringed = sensor.aberration(image, 0.05)
    red, green, blue = (
        float((fringed[50, :, c] * np.arange(101)).sum() / fringed[50, :, c].sum()) for c in range(3)
    )
    assert red == pytest.approx(50 + 40 * 1.05, abs=0.1)
    assert green == 90
    assert blue == pytest.approx(50 + 40 / 1.05, abs=0.1)


def test_glare_comes_from_what_is_brighter_than_white() -> None:
    image = np.full((64, 64, 3), 0.5)
    assert np.array_equal(sensor.glare(image, 0.1), image)
    image[24:40, 24:40] = 30.0
    assert (sensor.glare(image, 0.1) - image)[20, 32].min() > 0.01
    assert (sensor.glare(image, 0.0) == image).all()


def test_the_sensor_is_quick_and_repeats_itself() -> None:
    settings = {
        "exposure": 0.1, "white_balance": 0.05, "contrast": 1.1, "saturation": 0.9, "vignetting": 0.2,
        "noise": 0.01, "aberration": 0.001, "defocus": 0.0015, "glare": 0.05, "jpeg": 70.0,
        "motion_length": 0.01, "motion_angle": 0.2, "sharpening": 0.5,
    }  # fmt: skip
    light = np.random.default_rng(0).random((360, 480, 3)) * 3
    began = time.process_time()
    first = sensor.expose(light, settings, np.random.default_rng(1))
    assert time.process_time() - began < 2.0
    assert first.dtype == np.uint8 and first.shape == light.shape
    assert np.array_equal(first, sensor.expose(light, settings, np.random.default_rng(1)))
