"""From linear light to an 8-bit photograph. Numpy only.

In the order of a camera: what the lens does to light, then the sensor's noise, tone, sharpening and JPEG.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from blender.jpeg import compress
from blender.mesh import Floats


def expose(light: np.ndarray, sensor: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
    """Develop linear light (H, W, 3) into sRGB (H, W, 3) uint8; ``sensor`` as ``layout`` drew it."""
    image = np.maximum(np.nan_to_num(light.astype(np.float64), posinf=100.0), 0.0)
    image *= 0.18 / metered(image) * 2.0 ** sensor["exposure"]
    gain = sensor["white_balance"]
    image *= np.array([1 + gain, 1.0, 1 - gain])
    image = glare(image, sensor["glare"])
    image = defocus(image, sensor["defocus"] * image.shape[1])
    image = aberration(image, sensor["aberration"])
    image *= vignette(image.shape[0], image.shape[1], sensor["vignetting"])[..., None]
    if sensor["motion_length"] > 0:
        image = motion_blur(image, sensor["motion_length"] * image.shape[1], sensor["motion_angle"])
    image = tone(image, sensor["contrast"])
    grey = image @ np.array([0.2126, 0.7152, 0.0722])
    image = grey[..., None] + (image - grey[..., None]) * sensor["saturation"]
    # Shot noise grows with the square root of the signal; read noise is what stays in the dark.
    spread = sensor["noise"] * np.sqrt(0.15 + np.clip(image, 0, 1)) / np.sqrt(0.65)
    image = image + rng.standard_normal(image.shape) * spread
    image = np.clip(sharpen(image, sensor["sharpening"]), 0, 1)
    if sensor["jpeg"] > 0:
        image = compress(image, sensor["jpeg"])
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


def defocus(image: Floats, radius: float) -> Floats:
    """Blur by a disc of ``radius`` pixels, approximated by a Gaussian of equal variance (radius / 2)."""
    return image if radius < 0.2 else gaussian(image, radius / 2)


def gaussian(image: Floats, sigma: float) -> Floats:
    """Separable Gaussian blur of (H, W, C), the border repeated."""
    reach = max(1, int(np.ceil(2.5 * sigma)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        padded = np.pad(image, [(reach, reach) if a == axis else (0, 0) for a in range(3)], mode="edge")
        length = image.shape[axis]
        image = sum(
            (w * padded[(slice(None),) * axis + (slice(k, k + length),)] for k, w in enumerate(kernel)),
            start=np.zeros_like(image),
        )
    return image


def glare(image: Floats, share: float) -> Floats:
    """Let part of the light above white stray widely: blurred at an eighth of the size, and added."""
    if share <= 0:
        return image
    height, width = image.shape[:2]
    bright = np.maximum(image - 1.0, 0.0)
    small = bright[: height // 8 * 8, : width // 8 * 8].reshape(height // 8, 8, width // 8, 8, 3).mean((1, 3))
    wide = gaussian(small, max(1.0, width / 8 * 0.03)).repeat(8, 0).repeat(8, 1)
    wide = np.pad(wide, ((0, height - len(wide)), (0, width - wide.shape[1]), (0, 0)), mode="edge")
    return image + share * gaussian(wide, 4.0)


def aberration(image: Floats, amount: float) -> Floats:
    """Magnify red and reduce blue about the middle by ``amount``, a share (bilinear)."""
    if amount <= 0:
        return image
    out = image.copy()
    for channel, scale in ((0, 1 / (1 + amount)), (2, 1 + amount)):
        out[..., channel] = _magnified(_magnified(image[..., channel], scale).T, scale).T
    return out


def _magnified(plane: Floats, scale: float) -> Floats:
    """Resample the rows of (H, W) about their middle; ``scale`` below 1 enlarges."""
    count = len(plane)
    at = np.clip((np.arange(count) - (count - 1) / 2) * scale + (count - 1) / 2, 0, count - 1)
    below = np.minimum(at.astype(int), count - 2)
    part = (at - below)[:, None]
    return plane[below] * (1 - part) + plane[below + 1] * part
