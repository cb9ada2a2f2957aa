"""The sensor model: convert linear light to an 8-bit photograph. Numpy only.

Effects of air, lens, sensor and image processing are applied in that order. Images are stored as planes,
(3, H, W) float32, because shifts, blurs and blocks then access contiguous memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from blender.config.capture import SensorConfig
from blender.imaging.jpeg import compress
from blender.imaging.optics import (
    MID_GREY,
    aberration,
    blur,
    disc_kernel,
    flare,
    glare,
    haze,
    motion_kernel,
    resample,
    vignette,
)
from blender.sampling import chance, integer, uniform

CURVE = 0.75
"""Slope of the tone curve's logistic function per stop, at contrast 1."""
TOE = 0.16
"""Offset of the tone curve's logistic function: mid-grey becomes 0.46 of white."""


def sample_sensor(config: SensorConfig, rng: np.random.Generator) -> dict[str, Any]:
    """Sample the sensor settings of one frame for ``expose``, as JSON values."""
    defocused, moving, reduced, compressed = (
        chance(p, rng) for p in (config.defocus, config.motion_blur, config.low_resolution, config.jpeg)
    )
    columns = uniform(config.resolution, rng) if reduced else 1.0
    return {
        "exposure": uniform(config.exposure, rng),
        "neutral": uniform(config.neutral, rng),
        "white_balance": uniform(config.white_balance, rng),
        "tint": uniform(config.tint, rng),
        "haze": uniform(config.haze, rng),
        "vignetting": uniform(config.vignetting, rng),
        "glare": uniform(config.glare, rng),
        "glare_radius": uniform(config.glare_radius, rng),
        "flare": uniform(config.flare, rng),
        "aberration": uniform(config.aberration, rng),
        "defocus_radius": uniform(config.defocus_radius, rng) if defocused else 0.0,
        "motion_length": uniform(config.motion_length, rng) if moving else 0.0,
        "motion_angle": uniform((0.0, 0.4), rng),
        "columns": columns,
        "lines": uniform((columns, 1.0), rng),
        "noise": uniform(config.noise, rng),
        "headroom": uniform(config.headroom, rng),
        "contrast": uniform(config.contrast, rng),
        "saturation": uniform(config.saturation, rng),
        "sharpening": uniform(config.sharpening, rng),
        "jpeg_quality": integer(config.jpeg_quality, rng) if compressed else 0,
    }


def expose(
    light: np.ndarray, distance: np.ndarray, sensor: dict[str, Any], rng: np.random.Generator
) -> np.ndarray:
    """Convert linear light to an sRGB photograph.

    Args:
        light: (H, W, 3) linear RGB.
        distance: (H, W) distance of each pixel's surface in metres, for the haze.
        sensor: the settings from ``sample_sensor``.
        rng: the frame's generator, for the noise.

    Returns:
        (H, W, 3) uint8.
    """
    image = np.ascontiguousarray(np.moveaxis(light, 2, 0), np.float32)
    image = np.maximum(np.nan_to_num(image, copy=False, posinf=100.0), 0.0)
    height, width = image.shape[1:]
    image *= np.float32(MID_GREY / metered_luminance(image) * 2.0 ** sensor["exposure"])
    image = haze(image, distance, sensor["haze"])
    gains = white_balance(image, sensor["neutral"], sensor["white_balance"], sensor["tint"])
    image *= gains[:, None, None]
    image *= vignette(height, width, sensor["vignetting"])
    image = glare(image, sensor["glare"], sensor["glare_radius"] * width)
    image = flare(image, sensor["flare"])
    image = aberration(image, sensor["aberration"])
    image = blur(image, disc_kernel(sensor["defocus_radius"] * width))
    image = blur(image, motion_kernel(sensor["motion_length"] * width, sensor["motion_angle"]))
    image = resample(image, round(height * sensor["lines"]), round(width * sensor["columns"]))
    contrast, headroom = sensor["contrast"], sensor["headroom"]
    image = noise(image, sensor["noise"] / contrast * tone_of_white(contrast, headroom), rng)
    image = tone(image, contrast, headroom)
    grey = luminance(image)
    image = grey + (image - grey) * np.float32(sensor["saturation"])
    image = sharpen(image, sensor["sharpening"])
    photograph = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    if sensor["jpeg_quality"]:
        photograph = compress(photograph, sensor["jpeg_quality"])
    if photograph.shape[1:] != (height, width):
        photograph = np.rint(resample(photograph.astype(np.float32), height, width)).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(photograph, 0, 2))


def luminance(image: np.ndarray) -> np.ndarray:
    """Return the luminance (Rec. 709 weights), (H, W), of linear or display values (3, H, W)."""
    r, g, b = image
    return np.float32(0.2126) * r + np.float32(0.7152) * g + np.float32(0.0722) * b


def metered_luminance(image: np.ndarray) -> float:
    """Return the luminance that the automatic exposure measures: the mean with clipped highlights."""
    grey = luminance(image[:, ::2, ::2])
    ceiling = 6 * float(np.median(grey)) + 1e-6
    return max(float(np.minimum(grey, ceiling).mean(dtype=np.float64)), 1e-4)


def white_balance(image: np.ndarray, strength: float, error: float, tint: float) -> np.ndarray:
    """Compute the gains of red, green and blue, (3,).

    The colour cast is the deviation of the image's mean, with clipped highlights, from grey.

    Args:
        image: (3, H, W).
        strength: share of the colour cast that is removed, 0..1.
        error: relative gain of red, and loss of blue, that is added.
        tint: relative gain of green, and loss of red and blue, that is added.
    """
    mean = np.minimum(image[:, ::2, ::2], 4 * MID_GREY).mean((1, 2), dtype=np.float64)
    gains = (mean.mean() / np.maximum(mean, 1e-6)) ** strength
    return (gains * [1 + error - tint, 1 + tint, 1 - error - tint]).astype(np.float32)


def noise(image: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Add shot noise, whose variance grows with the light, and a little read noise.

    Args:
        image: (3, H, W) linear light.
        deviation: standard deviation at mid-grey after a tone curve of contrast 1, as a share of white.
        rng: the frame's generator.
    """
    at_grey = 1 / (1 + np.exp(TOE))
    slope = at_grey * (1 - at_grey) * CURVE / np.log(2) / MID_GREY  # slope of ``tone`` at mid-grey
    read = np.float32(0.02)  # read noise, as a share of the variance at mid-grey
    per_pixel = np.sqrt(read + (1 - read) / np.float32(MID_GREY) * image) * np.float32(deviation / slope)
    return image + rng.standard_normal(image.shape, np.float32) * per_pixel


def tone(image: np.ndarray, contrast: float, headroom: float) -> np.ndarray:
    """Clip the light, and apply a film-like tone curve.

    The curve is a logistic function of the exposure in stops relative to mid-grey,
    1 / (1 + exp(TOE - CURVE * contrast * log2(x / MID_GREY))), computed as a power, and scaled so that the
    clipped light becomes white.

    Args:
        image: (3, H, W) linear light.
        contrast: factor on the curve's slope.
        headroom: stops above mid-grey at which the sensor is saturated.
    """
    power = CURVE * contrast / np.log(2)
    relative = np.clip(image * np.float32(1 / MID_GREY), np.float32(1e-5), np.float32(2.0**headroom))
    shaped = np.power(relative, np.float32(power))
    return shaped / ((shaped + np.float32(np.exp(TOE))) * np.float32(tone_of_white(contrast, headroom)))


def tone_of_white(contrast: float, headroom: float) -> float:
    """Return the value of ``tone``'s logistic function for light that saturates the sensor."""
    return float(1 / (1 + np.exp(TOE - CURVE * contrast * headroom)))


def sharpen(image: np.ndarray, strength: float) -> np.ndarray:
    """Sharpen with an unsharp mask of a 3 x 3 binomial blur."""
    if strength <= 0:
        return image
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    blurred = (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / np.float32(16)
    return image + np.float32(strength) * (image - blurred)
