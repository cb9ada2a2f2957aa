"""The sensor model: convert linear light to an 8-bit photograph. Numpy only.

Effects of air, lens, sensor and image processing are applied in that order. Images are stored as planes,
(3, H, W) float32, because shifts, blurs and blocks then access contiguous memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from blender.config.capture import SensorConfig
from blender.imaging.jpeg import compress
from blender.sampling import chance, integer, uniform

MID_GREY = 0.18
"""Linear light to which the automatic exposure scales the metered luminance."""
WHITE = 1.0
"""Linear light above which a surface causes glare: 2.5 stops above mid-grey."""

CURVE = 0.75
"""Slope of the tone curve's logistic function per stop, at contrast 1."""
TOE = 0.16
"""Offset of the tone curve's logistic function: mid-grey becomes 0.46 of white."""


def sample_sensor(config: SensorConfig, rng: np.random.Generator) -> dict[str, Any]:
    """Sample the sensor settings of one frame for ``expose``, as JSON values."""
    defocused, moving, compressed = (
        chance(p, rng) for p in (config.defocus, config.motion_blur, config.jpeg)
    )
    return {
        "exposure": uniform(config.exposure, rng),
        "neutral": uniform(config.neutral, rng),
        "white_balance": uniform(config.white_balance, rng),
        "haze": uniform(config.haze, rng),
        "vignetting": uniform(config.vignetting, rng),
        "glare": uniform(config.glare, rng),
        "glare_radius": uniform(config.glare_radius, rng),
        "aberration": uniform(config.aberration, rng),
        "defocus_radius": uniform(config.defocus_radius, rng) if defocused else 0.0,
        "motion_length": uniform(config.motion_length, rng) if moving else 0.0,
        "motion_angle": uniform((0.0, 0.4), rng),
        "noise": uniform(config.noise, rng),
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
    image *= white_balance(image, sensor["neutral"], sensor["white_balance"])[:, None, None]
    image *= vignette(height, width, sensor["vignetting"])
    image = glare(image, sensor["glare"], sensor["glare_radius"] * width)
    image = aberration(image, sensor["aberration"])
    image = blur(image, disc_kernel(sensor["defocus_radius"] * width))
    image = blur(image, motion_kernel(sensor["motion_length"] * width, sensor["motion_angle"]))
    image = tone(noise(image, sensor["noise"] / sensor["contrast"], rng), sensor["contrast"])
    grey = luminance(image)
    image = grey + (image - grey) * np.float32(sensor["saturation"])
    image = sharpen(image, sensor["sharpening"])
    photograph = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    if sensor["jpeg_quality"]:
        photograph = compress(photograph, sensor["jpeg_quality"])
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


def white_balance(image: np.ndarray, strength: float, error: float) -> np.ndarray:
    """Compute the gains of red, green and blue, (3,).

    The colour cast is the deviation of the image's mean, with clipped highlights, from grey.

    Args:
        image: (3, H, W).
        strength: share of the colour cast that is removed, 0..1.
        error: relative gain of red, and loss of blue, that is added.
    """
    mean = np.minimum(image[:, ::2, ::2], 4 * MID_GREY).mean((1, 2), dtype=np.float64)
    gains = (mean.mean() / np.maximum(mean, 1e-6)) ** strength
    return (gains * [1 + error, 1.0, 1 - error]).astype(np.float32)


# ------------------------------------------------------------------------------ air and lens


def haze(image: np.ndarray, distance: np.ndarray, loss: float) -> np.ndarray:
    """Apply haze: dust replaces light by mid-grey with growing distance (Koschmieder's law).

    Args:
        image: (3, H, W).
        distance: (H, W) metres.
        loss: share of the light that is lost per metre.
    """
    if loss <= 0:
        return image
    transmitted = np.exp(np.float32(np.log1p(-loss)) * distance.astype(np.float32))
    return image * transmitted + np.float32(MID_GREY) * (1 - transmitted)


def vignette(height: int, width: int, loss: float) -> np.ndarray:
    """Return the share of the light that reaches each pixel, (H, W).

    It falls with the fourth power of the cosine of the field angle; ``loss`` is the share lost in the
    corners.
    """
    y, x = np.ogrid[0:height, 0:width]
    radius = ((x - width / 2 + 0.5) ** 2 + (y - height / 2 + 0.5) ** 2) / (
        (width / 2) ** 2 + (height / 2) ** 2
    )
    strength = 1 / np.sqrt(max(1 - loss, 1e-3)) - 1
    return (1 / (1 + strength * radius.astype(np.float32)) ** 2).astype(np.float32)


def glare(image: np.ndarray, share: float, radius: float) -> np.ndarray:
    """Scatter a share of the light above WHITE to the surroundings with a Gaussian.

    The light is summed in cells of 8 x 8 pixels, and the Gaussian maps cells to pixels. It is separable, so
    two small matrix products are enough.

    Args:
        image: (3, H, W).
        share: share of the excess light that is scattered.
        radius: standard deviation of the Gaussian in pixels.
    """
    if share <= 0 or not (image > WHITE).any():
        return image
    height, width = image.shape[1:]
    padding = ((0, 0), (0, -height % 8), (0, -width % 8))
    excess = np.pad(np.clip(image - np.float32(WHITE), 0, 20), padding)
    cells = excess.reshape(3, excess.shape[1] // 8, 8, -1, 8).mean((2, 4))
    vertical = _gaussian_weights(height, cells.shape[1], radius)
    horizontal = _gaussian_weights(width, cells.shape[2], radius)
    return image + np.float32(share) * (vertical @ cells @ horizontal.T)


def _gaussian_weights(pixels: int, cells: int, radius: float) -> np.ndarray:
    """Return the weights of cells 8 pixels wide at each pixel, (pixels, cells); each row sums to 1."""
    offset = np.arange(pixels)[:, None] + 0.5 - (np.arange(cells) * 8 + 4)
    weights = np.exp(-0.5 * (offset / np.hypot(radius, 4)) ** 2)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def aberration(image: np.ndarray, share: float) -> np.ndarray:
    """Apply lateral chromatic aberration: magnify red and shrink blue about the image centre by a share."""
    if share <= 0:
        return image
    red, green, blue = image
    return np.stack([_scale_plane(red, 1 + share), green, _scale_plane(blue, 1 - share)])


def _scale_plane(plane: np.ndarray, scale: float) -> np.ndarray:
    """Scale a plane (H, W) about its centre with linear interpolation."""
    for axis in (0, 1):
        size = plane.shape[axis]
        position = np.clip((np.arange(size) - (size - 1) / 2) / scale + (size - 1) / 2, 0, size - 1)
        low = np.minimum(position.astype(np.intp), size - 2)
        share = (position - low).astype(np.float32)
        share = share[:, None] if axis == 0 else share
        first = np.take(plane, low, axis)
        plane = first + (np.take(plane, low + 1, axis) - first) * share
    return plane


Kernel = dict[tuple[int, int], float]
"""A small convolution kernel: weights by (rows down, columns right); they sum to 1."""


def disc_kernel(radius: float) -> Kernel:
    """Return the kernel of a defocus blur: a disc of ``radius`` pixels with an edge of one pixel."""
    reach = int(np.ceil(radius))
    weights = {
        (dy, dx): float(np.clip(radius + 0.5 - np.hypot(dx, dy), 0, 1))
        for dy in range(-reach, reach + 1)
        for dx in range(-reach, reach + 1)
    }
    total = sum(weights.values())
    return {offset: weight / total for offset, weight in weights.items() if weight > 0}


def motion_kernel(length: float, angle: float) -> Kernel:
    """Return the kernel of a motion blur: a line of ``length`` pixels at ``angle`` radians."""
    steps = max(1, int(np.ceil(length)) + 1 if length > 0 else 1)
    kernel: Kernel = {}
    for t in np.linspace(-0.5, 0.5, steps) if steps > 1 else [0.0]:
        offset = (round(t * length * np.sin(angle)), round(t * length * np.cos(angle)))
        kernel[offset] = kernel.get(offset, 0.0) + 1 / steps
    return kernel


def blur(image: np.ndarray, kernel: Kernel) -> np.ndarray:
    """Convolve (3, H, W) with a small kernel; border pixels are repeated."""
    if len(kernel) == 1:
        return image
    height, width = image.shape[1:]
    reach = max(max(abs(dy), abs(dx)) for dy, dx in kernel)
    padded = np.pad(image, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    total, product = np.zeros_like(image), np.empty_like(image)
    for (dy, dx), weight in kernel.items():
        y, x = reach - dy, reach - dx
        total += np.multiply(padded[:, y : y + height, x : x + width], np.float32(weight), out=product)
    return total


# ------------------------------------------------------------------------------ sensor and processing


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


def tone(image: np.ndarray, contrast: float) -> np.ndarray:
    """Apply a film-like tone curve: a logistic function of the exposure in stops relative to mid-grey.

    1 / (1 + exp(TOE - CURVE * contrast * log2(x / MID_GREY))), computed as a power.
    """
    power = CURVE * contrast / np.log(2)
    shaped = np.power(np.maximum(image, np.float32(1e-6)) / np.float32(MID_GREY), np.float32(power))
    return shaped / (shaped + np.float32(np.exp(TOE)))


def sharpen(image: np.ndarray, strength: float) -> np.ndarray:
    """Sharpen with an unsharp mask of a 3 x 3 binomial blur."""
    if strength <= 0:
        return image
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    blurred = (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / np.float32(16)
    return image + np.float32(strength) * (image - blurred)
