"""From linear light to an 8-bit photograph: metering, white balance, blur, tone, noise. Numpy only."""

from __future__ import annotations

from typing import Any

import numpy as np

from blender.mesh import Floats


def expose(light: np.ndarray, sensor: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
    """Develop linear light (H, W, 3) into sRGB (H, W, 3) uint8; ``sensor`` as ``layout`` drew it."""
    image = np.maximum(np.nan_to_num(light.astype(np.float64), posinf=100.0), 0.0)
    image *= 0.18 / metered(image) * 2.0 ** sensor["exposure"]
    gain = sensor["white_balance"]
    image *= np.array([1 + gain, 1.0, 1 - gain])
    image *= vignette(image.shape[0], image.shape[1], sensor["vignetting"])[..., None]
    if sensor["motion_length"] > 0:
        image = motion_blur(image, sensor["motion_length"] * image.shape[1], sensor["motion_angle"])
    image = tone(image, sensor["contrast"])
    grey = image @ np.array([0.2126, 0.7152, 0.0722])
    image = grey[..., None] + (image - grey[..., None]) * sensor["saturation"]
    # Shot noise grows with the square root of the signal; read noise is what stays in the dark.
    spread = sensor["noise"] * np.sqrt(0.15 + np.clip(image, 0, 1)) / np.sqrt(0.65)
    image = image + rng.standard_normal(image.shape) * spread
    image = sharpen(image, sensor["sharpening"])
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def metered(image: Floats) -> float:
    """The brightness an automatic exposure aims at: the mean, with highlights held down."""
    luminance = image @ np.array([0.2126, 0.7152, 0.0722])
    ceiling = 6 * float(np.median(luminance)) + 1e-6
    return max(float(np.minimum(luminance, ceiling).mean()), 1e-4)


def tone(image: Floats, contrast: float) -> Floats:
    """A film-like curve in log space about mid-grey, then sRGB's own shape at the bottom.

    Logistic in stops: 0.18 maps to mid-grey with slope ``contrast``; highlights roll off.
    """
    stops = np.log2(np.maximum(image, 1e-6) / 0.18)
    shaped: Floats = 1 / (1 + np.exp(-(stops * 0.75 * contrast) + 0.16))
    return shaped


def vignette(height: int, width: int, loss: float) -> Floats:
    """Share of light that arrives, (H, W): falls with the fourth power of the field angle's cosine."""
    y, x = np.mgrid[0:height, 0:width]
    radius = ((x - width / 2 + 0.5) ** 2 + (y - height / 2 + 0.5) ** 2) / (
        (width / 2) ** 2 + (height / 2) ** 2
    )
    strength = 1 / np.sqrt(max(1 - loss, 1e-3)) - 1
    falloff: Floats = (1 + strength * radius) ** -2.0
    return falloff


def motion_blur(image: Floats, length: float, angle: float) -> Floats:
    """Average along a line of ``length`` pixels at ``angle`` radians, in linear light."""
    steps = max(2, int(np.ceil(length)) + 1)
    total = np.zeros_like(image)
    for t in np.linspace(-0.5, 0.5, steps):
        total += _shift(image, t * length * np.cos(angle), t * length * np.sin(angle))
    return total / steps


def _shift(image: Floats, dx: float, dy: float) -> Floats:
    """Shift by whole pixels, repeating the border."""
    height, width = image.shape[:2]
    rows = np.clip(np.arange(height) - round(dy), 0, height - 1)
    columns = np.clip(np.arange(width) - round(dx), 0, width - 1)
    return image[rows][:, columns]


def sharpen(image: Floats, strength: float) -> Floats:
    """Unsharp mask with a 3 x 3 binomial blur."""
    if strength <= 0:
        return image
    blurred = image
    for axis in (0, 1):
        padded = np.pad(blurred, [(1, 1) if a == axis else (0, 0) for a in range(3)], mode="edge")
        first, middle, last = (np.take(padded, range(k, k + image.shape[axis]), axis) for k in range(3))
        blurred = (first + 2 * middle + last) / 4
    return image + strength * (image - blurred)
