"""The sensor model: each effect compared with its definition, JPEG compression compared with Pillow."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from blender.config.capture import SensorConfig
from blender.imaging import jpeg, optics, sensor
from blender.imaging.jpeg import compress

PLAIN: dict[str, Any] = {
    "exposure": 0.0, "neutral": 0.0, "white_balance": 0.0, "tint": 0.0, "haze": 0.0, "vignetting": 0.0,
    "glare": 0.0, "glare_radius": 0.02, "flare": 0.0, "aberration": 0.0, "defocus_radius": 0.0,
    "motion_length": 0.0, "motion_angle": 0.0, "columns": 1.0, "lines": 1.0, "noise": 0.0, "headroom": 16.0,
    "contrast": 1.0, "saturation": 1.0, "sharpening": 0.0, "jpeg_quality": 0,
}  # fmt: skip
NEAR = np.ones((60, 80))


def flat(*rgb: float) -> np.ndarray:
    """Return a uniform image, (60, 80, 3)."""
    return np.broadcast_to(np.array(rgb, np.float32), (60, 80, 3))


def photograph(size: tuple[int, int] = (96, 128)) -> np.ndarray:
    """Return an image with edges, gradients and colours, (H, W, 3) uint8."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    wave = np.sin(x / 9) * np.cos(y / 13) * 60
    edge = ((x // 17 + y // 23) % 2) * 70
    image = np.stack([90 + wave + edge, 100 + edge, 110 - wave], -1)
    grain = np.random.default_rng(0).normal(0, 3, image.shape)
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def expose(light: np.ndarray, distance: np.ndarray = NEAR, seed: int = 0, **settings: Any) -> np.ndarray:
    return sensor.expose(light, distance, {**PLAIN, **settings}, np.random.default_rng(seed))


def test_expose_meters_the_light_and_draws_from_its_generator_only() -> None:
    light = np.random.default_rng(0).random((60, 80, 3)).astype(np.float32)
    settings: dict[str, Any] = {
        "neutral": 0.5, "tint": 0.05, "haze": 0.01, "vignetting": 0.2, "glare": 0.05, "flare": 0.05,
        "aberration": 0.002, "columns": 0.6, "lines": 0.9, "headroom": 3.0,
        "defocus_radius": 0.01, "motion_length": 0.05, "motion_angle": 0.3, "noise": 0.01,
        "sharpening": 0.3, "jpeg_quality": 70,
    }  # fmt: skip
    bright, dark = (expose(light * k, noise=0.01, sharpening=0.3) for k in (10.0, 0.1))
    assert np.abs(bright.astype(int) - dark.astype(int)).max() <= 1, (
        "automatic exposure compensates the brightness"
    )
    first = expose(light, **settings)
    assert first.dtype == np.uint8
    assert first.shape == (60, 80, 3)
    assert (expose(light, **settings) == first).all()
    assert (expose(light, seed=1, **settings) != first).any()


def test_sensor_settings_are_sampled_from_their_ranges() -> None:
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
    assert np.mean([d["columns"] < 1 for d in drawn]) == pytest.approx(config.low_resolution, abs=0.07)
    assert all(d["columns"] <= d["lines"] <= 1 for d in drawn)
    without = replace(config, jpeg=0.0, defocus=0.0, motion_blur=0.0, low_resolution=0.0)
    never = sensor.sample_sensor(without, rng)
    assert (never["jpeg_quality"], never["defocus_radius"], never["motion_length"]) == (0, 0.0, 0.0)
    assert (never["columns"], never["lines"]) == (1.0, 1.0)


# ------------------------------------------------------------------------------ air and lens


def test_haze_turns_distant_surfaces_grey() -> None:
    light = np.full((3, 2, 2), 0.9, np.float32)
    near, far = optics.haze(light, np.array([[0.0, 0.0], [1e6, 69.0]]), 0.01)[0]
    assert near == pytest.approx([0.9, 0.9])
    assert far[0] == pytest.approx(optics.MID_GREY)
    assert far[1] == pytest.approx((0.9 + optics.MID_GREY) / 2, rel=0.01), (
        "half of the light is transmitted: 0.99**69 = 0.5"
    )


def test_white_balance_removes_its_share_of_the_colour_cast() -> None:
    warm = flat(0.3, 0.2, 0.1)
    assert np.ptp(expose(warm, neutral=1.0)[30, 40].astype(int)) <= 1
    casts = [np.ptp(expose(warm, neutral=n)[30, 40].astype(int)) for n in (0.0, 0.5, 1.0)]
    assert casts[0] > casts[1] > casts[2]
    red, _, blue = expose(flat(0.2, 0.2, 0.2), white_balance=0.1)[30, 40].astype(int)
    assert red > blue + 10
    red, green, blue = expose(flat(0.2, 0.2, 0.2), tint=0.1)[30, 40].astype(int)
    assert red == blue and green > red + 10


def test_vignetting_darkens_the_corners_by_its_share() -> None:
    share = optics.vignette(300, 400, 0.4)
    assert share.max() == pytest.approx(1, abs=1e-4)
    assert share[0, 0] == pytest.approx(0.6, abs=0.01)
    assert share[0, 0] == pytest.approx(share[-1, -1])


def test_glare_scatters_a_share_of_the_light_above_white() -> None:
    image = np.full((3, 96, 128), 0.1, np.float32)
    assert optics.glare(image, 0.05, 6.0) is image, "no light is above white"
    image[:, 40:56, 56:72] = 9.0
    scattered = optics.glare(image, 0.05, 6.0) - image
    assert (scattered >= 0).all()
    assert scattered.sum() == pytest.approx(0.05 * 8.0 * 3 * 16 * 16, rel=0.05)
    assert scattered[0, 48, 64] == scattered[0].max()
    assert scattered[0, 48, 110] < 0.01 * scattered[0].max()
    assert np.abs(scattered[0, 48, :63] - scattered[0, 48, :64:-1]).max() < 1e-4, "symmetric"


def test_flare_lifts_the_blacks_and_keeps_the_mean() -> None:
    image = np.zeros((3, 20, 20), np.float32)
    image[:, :, 10:] = 0.8
    flared = optics.flare(image, 0.05)
    assert flared[:, :, :10] == pytest.approx(0.02)
    assert flared.mean() == pytest.approx(0.4)


def test_aberration_magnifies_red_and_shrinks_blue() -> None:
    image = np.zeros((3, 61, 201), np.float32)
    image[:, 28:33, 178:183] = 1.0  # 80 pixels from the centre
    shifted = optics.aberration(image, 0.02)
    columns = [float((plane.sum(0) * np.arange(201)).sum() / plane.sum()) for plane in shifted]
    assert columns == pytest.approx([100 + 80 * 1.02, 180, 100 + 80 * 0.98], abs=0.1)


@pytest.mark.parametrize(
    "kernel", [optics.disc_kernel(1.7), optics.disc_kernel(0.4), optics.motion_kernel(6.0, 0.3)]
)
def test_blurs_preserve_the_light_and_its_centre(kernel: optics.Kernel) -> None:
    assert sum(kernel.values()) == pytest.approx(1)
    image = np.zeros((3, 31, 31), np.float32)
    image[:, 15, 15] = 1.0
    blurred = optics.blur(image, kernel)[1]
    y, x = np.mgrid[0:31, 0:31]
    assert blurred.sum() == pytest.approx(1)
    assert ((blurred * y).sum(), (blurred * x).sum()) == pytest.approx((15, 15), abs=0.26)
    for (dy, dx), weight in kernel.items():
        assert blurred[15 + dy, 15 + dx] == pytest.approx(weight)
    even = np.full((3, 9, 9), 0.5, np.float32)
    assert optics.blur(even, kernel) == pytest.approx(even), "border pixels are repeated"


def test_kernel_without_blur_has_one_weight() -> None:
    assert optics.disc_kernel(0.0) == optics.motion_kernel(0.0, 0.3) == {(0, 0): 1.0}


def test_motion_kernel_has_its_length_and_angle() -> None:
    assert sorted(dx for _, dx in optics.motion_kernel(8.0, 0.0)) == list(range(-4, 5))
    assert {dy for dy, _ in optics.motion_kernel(8.0, np.pi / 2)} == set(range(-4, 5))


# ------------------------------------------------------------------------------ sensor and processing


@pytest.mark.parametrize(("contrast", "headroom"), [(0.8, 16.0), (1.0, 2.5), (1.3, 3.5)])
def test_noise_at_mid_grey_has_the_deviation_of_the_profile(contrast: float, headroom: float) -> None:
    grey = np.broadcast_to(np.float32(0.18), (200, 200, 3))
    noisy = expose(grey, np.ones((200, 200)), noise=0.02, contrast=contrast, headroom=headroom)
    assert noisy[..., 1].std() / 255 == pytest.approx(0.02, rel=0.06)


def test_noise_grows_with_the_light() -> None:
    rng = np.random.default_rng(0)
    image = np.broadcast_to(np.array([0.01, 0.18, 1.0], np.float32)[:, None, None], (3, 150, 150))
    deviation = sensor.noise(image, 0.02, rng).std((1, 2))
    assert deviation[0] < deviation[1] < deviation[2]
    assert deviation[2] / deviation[1] == pytest.approx(np.sqrt(1 / 0.18), rel=0.05), "shot noise"


def test_tone_curve_is_a_logistic_function_of_the_stops() -> None:
    light = np.array([1e-4, 0.02, 0.18, 1.0, 20.0], np.float32).reshape(1, 1, 5).repeat(3, 0)
    stops = np.log2(light / 0.18)
    expected = 1 / (1 + np.exp(sensor.TOE - sensor.CURVE * 1.2 * stops))
    assert sensor.tone(light, 1.2, 16.0) == pytest.approx(expected, rel=1e-4)


def test_light_above_the_headroom_is_white() -> None:
    light = 0.18 * 2.0 ** np.array([0, 1, 1.99, 2, 3, 9], np.float32).reshape(1, 1, 6).repeat(3, 0)
    toned = sensor.tone(light, 1.1, 2.0)[0, 0]
    assert toned[3:] == pytest.approx(1.0)
    assert (np.diff(toned[:4]) > 0).all()
    assert (expose(flat(9.0, 9.0, 9.0), exposure=4.0, headroom=3.0) == 255).all()


def test_a_camera_with_fewer_columns_loses_detail_across_only() -> None:
    stripes = (np.arange(80) % 2 * 0.3 + 0.05).astype(np.float32)
    across = np.broadcast_to(stripes[None, :, None], (60, 80, 3))
    down = np.broadcast_to(stripes[:60, None, None], (60, 80, 3))
    sharp, squeezed, upright = expose(across), expose(across, columns=0.5), expose(down, columns=0.5)
    assert squeezed.shape == sharp.shape
    assert squeezed[..., 1].std() < 0.1 * sharp[..., 1].std()
    assert upright[..., 1].std() == pytest.approx(sharp[..., 1].std(), rel=0.05)


def test_resampling_keeps_a_ramp() -> None:
    ramp = np.broadcast_to(np.arange(80, dtype=np.float32), (3, 60, 80))
    reduced = optics.resample(ramp, 45, 50)
    assert reduced.shape == (3, 45, 50)
    assert optics.resample(reduced, 60, 80)[:, :, 2:-2] == pytest.approx(ramp[:, :, 2:-2], abs=1e-3)


def test_sharpening_overshoots_only_at_edges() -> None:
    image = np.full((3, 20, 20), 0.4, np.float32)
    image[:, :, 10:] = 0.6
    sharpened = sensor.sharpen(image, 0.5)[0]
    assert sharpened[:, :8] == pytest.approx(0.4)
    assert sharpened[5, 9] == pytest.approx(0.4 - 0.5 * 0.05)
    assert sharpened[5, 10] == pytest.approx(0.6 + 0.5 * 0.05)


def test_zero_saturation_is_grey() -> None:
    assert np.ptp(expose(flat(0.3, 0.1, 0.05), saturation=0.0)[30, 40].astype(int)) <= 1


# ------------------------------------------------------------------------------ JPEG


def compress_with_pillow(image: np.ndarray, quality: int) -> JpegImageFile:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "jpeg", quality=quality, subsampling="4:2:0")
    compressed = Image.open(io.BytesIO(stream.getvalue()))
    assert isinstance(compressed, JpegImageFile)
    return compressed


def compress_planes(image: np.ndarray, quality: int) -> np.ndarray:
    return np.moveaxis(compress(np.ascontiguousarray(np.moveaxis(image, 2, 0)), quality), 0, 2)


@pytest.mark.parametrize("quality", [20, 50, 75, 92])
@pytest.mark.parametrize("size", [(96, 128), (61, 83)])
def test_jpeg_agrees_with_pillow(quality: int, size: tuple[int, int]) -> None:
    """The remaining difference is the rounding of Pillow's integer codec."""
    image = photograph(size)
    expected = np.asarray(compress_with_pillow(image, quality)).astype(float)
    actual = compress_planes(image, quality).astype(float)
    assert np.abs(actual - expected).mean() < 1.0
    expected_loss, loss = (np.abs(x - image).mean() for x in (expected, actual))
    assert loss == pytest.approx(expected_loss, rel=0.01)


@pytest.mark.parametrize("quality", [1, 30, 50, 77, 100])
def test_quantisation_tables_agree_with_pillow(quality: int) -> None:
    luminance, chrominance = compress_with_pillow(photograph(), quality).quantization.values()
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    for table, expected in ((jpeg.LUMINANCE, luminance), (jpeg.CHROMINANCE, chrominance)):
        assert np.clip((table * scale + 50) // 100, 1, 255).tolist() == list(expected)


def test_second_compression_changes_little() -> None:
    image = photograph()
    once = compress_planes(image, 50).astype(int)
    twice = compress_planes(once.astype(np.uint8), 50)
    assert np.abs(twice - once).mean() < 0.25 * np.abs(once - image).mean()


def test_lower_quality_loses_more_and_grey_stays_grey() -> None:
    image = photograph()
    losses = [np.abs(compress_planes(image, q).astype(int) - image).mean() for q in (95, 75, 50, 20)]
    assert losses == sorted(losses)
    assert losses[0] < 0.7 * losses[-1]
    grey = np.repeat(photograph()[..., :1], 3, 2)
    assert np.ptp(compress_planes(grey, 30).astype(int), axis=2).max() <= 1


def test_dct_basis_is_orthonormal() -> None:
    product = jpeg.BASIS @ jpeg.BASIS.T / jpeg.UNIT**2
    assert product == pytest.approx(np.eye(64), abs=1e-3)
