"""The sensor: each effect against what it says of itself, and JPEG against Pillow's."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blender.config.capture import SensorConfig
from blender.imaging import sensor
from blender.imaging.jpeg import compress

PLAIN: dict[str, Any] = {
    "exposure": 0.0, "neutral": 0.0, "white_balance": 0.0, "haze": 0.0, "vignetting": 0.0, "glare": 0.0,
    "glare_radius": 0.02, "aberration": 0.0, "defocus_radius": 0.0, "motion_length": 0.0, "motion_angle": 0.0,
    "noise": 0.0, "contrast": 1.0, "saturation": 1.0, "sharpening": 0.0, "jpeg_quality": 0,
}  # fmt: skip
NEAR = np.ones((60, 80))


def flat(*rgb: float) -> np.ndarray:
    """An even picture, (60, 80, 3)."""
    return np.broadcast_to(np.array(rgb, np.float32), (60, 80, 3))


def photograph(size: tuple[int, int] = (96, 128)) -> np.ndarray:
    """Something with edges, gradients and colour, (H, W, 3) uint8."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    wave = np.sin(x / 9) * np.cos(y / 13) * 60
    edge = ((x // 17 + y // 23) % 2) * 70
    image = np.stack([90 + wave + edge, 100 + edge, 110 - wave], -1)
    grain = np.random.default_rng(0).normal(0, 3, image.shape)
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def develop(light: np.ndarray, distance: np.ndarray = NEAR, seed: int = 0, **settings: Any) -> np.ndarray:
    return sensor.expose(light, distance, {**PLAIN, **settings}, np.random.default_rng(seed))


def test_the_sensor_meters_and_keeps_to_its_generator() -> None:
    light = np.random.default_rng(0).random((60, 80, 3)).astype(np.float32)
    everything = {
        "neutral": 0.5, "haze": 0.01, "vignetting": 0.2, "glare": 0.05, "aberration": 0.002,
        "defocus_radius": 0.01, "motion_length": 0.05, "motion_angle": 0.3, "noise": 0.01,
        "sharpening": 0.3, "jpeg_quality": 70,
    }  # fmt: skip
    bright, dark = (develop(light * k, noise=0.01, sharpening=0.3) for k in (10.0, 0.1))
    assert np.abs(bright.astype(int) - dark.astype(int)).max() <= 1, "auto exposure evens out the light"
    first = develop(light, **everything)
    assert first.dtype == np.uint8
    assert first.shape == (60, 80, 3)
    assert (develop(light, **everything) == first).all()
    assert (develop(light, seed=1, **everything) != first).any()


def test_settings_are_drawn_from_their_ranges() -> None:
    rng = np.random.default_rng(0)
    config = SensorConfig()
    drawn = [sensor.sample_sensor(config, rng) for _ in range(400)]
    assert set(drawn[0]) == set(PLAIN)
    assert np.mean([d["jpeg_quality"] > 0 for d in drawn]) == pytest.approx(config.jpeg, abs=0.07)
    assert np.mean([d["defocus_radius"] > 0 for d in drawn]) == pytest.approx(config.defocus, abs=0.07)
    assert np.mean([d["motion_length"] > 0 for d in drawn]) == pytest.approx(config.motion_blur, abs=0.07)
    for name in ("exposure", "haze", "glare", "noise", "neutral"):
        low, high = getattr(config, name)
        assert low <= min(d[name] for d in drawn) < max(d[name] for d in drawn) <= high
    never = sensor.sample_sensor(replace(config, jpeg=0.0, defocus=0.0, motion_blur=0.0), rng)
    assert (never["jpeg_quality"], never["defocus_radius"], never["motion_length"]) == (0, 0.0, 0.0)


# ------------------------------------------------------------------------------ air and lens


def test_dust_turns_what_is_far_grey() -> None:
    light = np.full((3, 2, 2), 0.9, np.float32)
    near, far = sensor.haze(light, np.array([[0.0, 0.0], [1e6, 69.0]]), 0.01)[0]
    assert near == pytest.approx([0.9, 0.9])
    assert far[0] == pytest.approx(sensor.MID_GREY)
    assert far[1] == pytest.approx((0.9 + sensor.MID_GREY) / 2, rel=0.01), "half is left: 0.99**69 = 0.5"


def test_white_balance_takes_out_the_share_it_says() -> None:
    warm = flat(0.3, 0.2, 0.1)
    assert np.ptp(develop(warm, neutral=1.0)[30, 40].astype(int)) <= 1
    casts = [np.ptp(develop(warm, neutral=n)[30, 40].astype(int)) for n in (0.0, 0.5, 1.0)]
    assert casts[0] > casts[1] > casts[2]
    red, _, blue = develop(flat(0.2, 0.2, 0.2), white_balance=0.1)[30, 40].astype(int)
    assert red > blue + 10


def test_vignetting_loses_its_share_in_the_corners() -> None:
    share = sensor.vignette(300, 400, 0.4)
    assert share.max() == pytest.approx(1, abs=1e-4)
    assert share[0, 0] == pytest.approx(0.6, abs=0.01)
    assert share[0, 0] == pytest.approx(share[-1, -1])


def test_glare_scatters_a_share_of_what_is_above_white() -> None:
    image = np.full((3, 96, 128), 0.1, np.float32)
    assert sensor.glare(image, 0.05, 6.0) is image, "nothing glares"
    image[:, 40:56, 56:72] = 9.0
    spread = sensor.glare(image, 0.05, 6.0) - image
    assert (spread >= 0).all()
    assert spread.sum() == pytest.approx(0.05 * 8.0 * 3 * 16 * 16, rel=0.05)
    assert spread[0, 48, 64] == spread[0].max()
    assert spread[0, 48, 110] < 0.01 * spread[0].max()
    assert np.abs(spread[0, 48, :63] - spread[0, 48, :64:-1]).max() < 1e-4, "the same to both sides"


def test_aberration_magnifies_red_and_reduces_blue() -> None:
    image = np.zeros((3, 61, 201), np.float32)
    image[:, 28:33, 178:183] = 1.0  # 80 pixels from the middle
    seen = sensor.aberration(image, 0.02)
    columns = [float((plane.sum(0) * np.arange(201)).sum() / plane.sum()) for plane in seen]
    assert columns == pytest.approx([100 + 80 * 1.02, 180, 100 + 80 * 0.98], abs=0.1)


@pytest.mark.parametrize(
    "kernel", [sensor.disc_kernel(1.7), sensor.disc_kernel(0.4), sensor.motion_kernel(6.0, 0.3)]
)
def test_blurs_keep_the_light_and_its_place(kernel: sensor.Kernel) -> None:
    assert sum(kernel.values()) == pytest.approx(1)
    image = np.zeros((3, 31, 31), np.float32)
    image[:, 15, 15] = 1.0
    seen = sensor.blur(image, kernel)[1]
    y, x = np.mgrid[0:31, 0:31]
    assert seen.sum() == pytest.approx(1)
    assert ((seen * y).sum(), (seen * x).sum()) == pytest.approx((15, 15), abs=0.26)
    for (dy, dx), weight in kernel.items():
        assert seen[15 + dy, 15 + dx] == pytest.approx(weight)
    even = np.full((3, 9, 9), 0.5, np.float32)
    assert sensor.blur(even, kernel) == pytest.approx(even), "the border repeats"


def test_no_blur_is_one_tap() -> None:
    assert sensor.disc_kernel(0.0) == sensor.motion_kernel(0.0, 0.3) == {(0, 0): 1.0}


def test_a_line_is_as_long_as_it_says() -> None:
    assert sorted(dx for _, dx in sensor.motion_kernel(8.0, 0.0)) == list(range(-4, 5))
    assert {dy for dy, _ in sensor.motion_kernel(8.0, np.pi / 2)} == set(range(-4, 5))


# ------------------------------------------------------------------------------ sensor and processing


@pytest.mark.parametrize("contrast", [0.8, 1.0, 1.3])
def test_noise_at_mid_grey_is_what_the_profile_says(contrast: float) -> None:
    grey = np.broadcast_to(np.float32(0.18), (200, 200, 3))
    seen = develop(grey, np.ones((200, 200)), noise=0.02, contrast=contrast)
    assert seen[..., 1].std() / 255 == pytest.approx(0.02, rel=0.06)


def test_light_is_noisier_than_dark_before_the_tone_curve() -> None:
    rng = np.random.default_rng(0)
    image = np.broadcast_to(np.array([0.01, 0.18, 1.0], np.float32)[:, None, None], (3, 150, 150))
    spread = sensor.noise(image, 0.02, rng).std((1, 2))
    assert spread[0] < spread[1] < spread[2]
    assert spread[2] / spread[1] == pytest.approx(np.sqrt(1 / 0.18), rel=0.05), "shot noise"


def test_the_tone_curve_is_the_logistic_it_says() -> None:
    light = np.array([1e-4, 0.02, 0.18, 1.0, 20.0], np.float32).reshape(1, 1, 5).repeat(3, 0)
    stops = np.log2(light / 0.18)
    expected = 1 / (1 + np.exp(sensor.TOE - sensor.CURVE * 1.2 * stops))
    assert sensor.tone(light, 1.2) == pytest.approx(expected, rel=1e-4)


def test_sharpening_overshoots_at_edges_only() -> None:
    image = np.full((3, 20, 20), 0.4, np.float32)
    image[:, :, 10:] = 0.6
    seen = sensor.sharpen(image, 0.5)[0]
    assert seen[:, :8] == pytest.approx(0.4)
    assert seen[5, 9] == pytest.approx(0.4 - 0.5 * 0.05)
    assert seen[5, 10] == pytest.approx(0.6 + 0.5 * 0.05)


def test_saturation_zero_is_grey() -> None:
    assert np.ptp(develop(flat(0.3, 0.1, 0.05), saturation=0.0)[30, 40].astype(int)) <= 1


# ------------------------------------------------------------------------------ JPEG


def by_pillow(image: np.ndarray, quality: int) -> Image.Image:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "jpeg", quality=quality, subsampling="4:2:0")
    return Image.open(io.BytesIO(stream.getvalue()))


def by_us(image: np.ndarray, quality: int) -> np.ndarray:
    return np.moveaxis(compress(np.ascontiguousarray(np.moveaxis(image, 2, 0)), quality), 0, 2)


@pytest.mark.parametrize("quality", [20, 50, 75, 92])
@pytest.mark.parametrize("size", [(96, 128), (61, 83)])
def test_jpeg_is_what_pillow_makes_of_it(quality: int, size: tuple[int, int]) -> None:
    """To the rounding of an integer codec."""
    image = photograph(size)
    theirs = np.asarray(by_pillow(image, quality)).astype(float)
    ours = by_us(image, quality).astype(float)
    assert np.abs(ours - theirs).mean() < 1.0
    loss_theirs, loss_ours = (np.abs(x - image).mean() for x in (theirs, ours))
    assert loss_ours == pytest.approx(loss_theirs, rel=0.01)


@pytest.mark.parametrize("quality", [1, 30, 50, 77, 100])
def test_quantisation_steps_are_the_standards(quality: int) -> None:
    """A pure cosine as large as a step allows survives; Pillow's own tables say how large that is."""
    from blender.imaging import jpeg

    luminance, chrominance = by_pillow(photograph(), quality).quantization.values()
    share = 5000 // quality if quality < 50 else 200 - 2 * quality
    for table, theirs in ((jpeg.LUMINANCE, luminance), (jpeg.CHROMINANCE, chrominance)):
        assert np.clip((table * share + 50) // 100, 1, 255).tolist() == list(theirs)


def test_compressing_twice_changes_little_more() -> None:
    image = photograph()
    once = by_us(image, 50).astype(int)
    twice = by_us(once.astype(np.uint8), 50)
    assert np.abs(twice - once).mean() < 0.25 * np.abs(once - image).mean()


def test_lower_quality_loses_more_and_grey_stays_grey() -> None:
    image = photograph()
    losses = [np.abs(by_us(image, q).astype(int) - image).mean() for q in (95, 75, 50, 20)]
    assert losses == sorted(losses)
    assert losses[0] < 0.7 * losses[-1]
    grey = np.repeat(photograph()[..., :1], 3, 2)
    assert np.ptp(by_us(grey, 30).astype(int), axis=2).max() <= 1


def test_the_basis_is_orthonormal() -> None:
    from blender.imaging import jpeg

    product = jpeg.BASIS @ jpeg.BASIS.T / jpeg.UNIT**2
    assert product == pytest.approx(np.eye(64), abs=1e-3)
