"""From linear light to an 8-bit photograph: air, lens, sensor, processing, in that order. Numpy only.

Pictures are planes, (3, H, W) float32: shifts, blurs and blocks are then runs of memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from blender.config.capture import SensorConfig
from blender.imaging.jpeg import compress
from blender.sampling import chance, integer, uniform

MID_GREY = 0.18
WHITE = 1.0
"""Linear light from which on a surface glares: 2.5 stops above mid-grey."""

CURVE = 0.75
"""Steepness of the tone curve's logistic a stop, at contrast 1 ..."""
TOE = 0.16
"""... and its offset: mid-grey comes out at 0.46 of white."""


def sample_sensor(config: SensorConfig, rng: np.random.Generator) -> dict[str, Any]:
    """Draw one frame's camera (JSON values), for ``expose``."""
    blurred, moving, lossy = (chance(p, rng) for p in (config.defocus, config.motion_blur, config.jpeg))
    return {
        "exposure": uniform(config.exposure, rng),
        "neutral": uniform(config.neutral, rng),
        "white_balance": uniform(config.white_balance, rng),
        "haze": uniform(config.haze, rng),
        "vignetting": uniform(config.vignetting, rng),
        "glare": uniform(config.glare, rng),
        "glare_radius": uniform(config.glare_radius, rng),
        "aberration": uniform(config.aberration, rng),
        "defocus_radius": uniform(config.defocus_radius, rng) if blurred else 0.0,
        "motion_length": uniform(config.motion_length, rng) if moving else 0.0,
        "motion_angle": uniform((0.0, 0.4), rng),
        "noise": uniform(config.noise, rng),
        "contrast": uniform(config.contrast, rng),
        "saturation": uniform(config.saturation, rng),
        "sharpening": uniform(config.sharpening, rng),
        "jpeg_quality": integer(config.jpeg_quality, rng) if lossy else 0,
    }


def expose(
    light: np.ndarray, distance: np.ndarray, sensor: dict[str, Any], rng: np.random.Generator
) -> np.ndarray:
    """Develop linear light (H, W, 3) into sRGB (H, W, 3) uint8; ``sensor`` as ``sample_sensor`` drew it.

    Args:
        distance: metres to what each pixel shows, (H, W), for the dust in the air.
    """
    image = np.ascontiguousarray(np.moveaxis(light, 2, 0), np.float32)
    image = np.maximum(np.nan_to_num(image, copy=False, posinf=100.0), 0.0)
    height, width = image.shape[1:]
    image *= np.float32(MID_GREY / metered(image) * 2.0 ** sensor["exposure"])
    image = haze(image, distance, sensor["haze"])
    image *= white_balance(image, sensor["neutral"], sensor["white_balance"])[:, None, None]
    image *= vignette(height, width, sensor["vignetting"])
    image = glare(image, sensor["glare"], sensor["glare_radius"] * width)
    image = aberration(image, sensor["aberration"])
    image = blur(image, disc(sensor["defocus_radius"] * width))
    image = blur(image, line(sensor["motion_length"] * width, sensor["motion_angle"]))
    image = tone(noise(image, sensor["noise"] / sensor["contrast"], rng), sensor["contrast"])
    grey = luminance(image)
    image = grey + (image - grey) * np.float32(sensor["saturation"])
    image = sharpen(image, sensor["sharpening"])
    photograph = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    if sensor["jpeg_quality"]:
        photograph = compress(photograph, sensor["jpeg_quality"])
    return np.ascontiguousarray(np.moveaxis(photograph, 0, 2))


def luminance(image: np.ndarray) -> np.ndarray:
    """Brightness to the eye, (H, W), of linear or display values (3, H, W)."""
    r, g, b = image
    return np.float32(0.2126) * r + np.float32(0.7152) * g + np.float32(0.0722) * b


def metered(image: np.ndarray) -> float:
    """The brightness an automatic exposure aims at: the mean, with highlights held down."""
    grey = luminance(image[:, ::2, ::2])
    ceiling = 6 * float(np.median(grey)) + 1e-6
    return max(float(np.minimum(grey, ceiling).mean(dtype=np.float64)), 1e-4)


def white_balance(image: np.ndarray, share: float, error: float) -> np.ndarray:
    """Gains of red, green and blue, (3,): take ``share`` of the cast out, then err by ``error``.

    The cast is what makes the mean of the picture, highlights held down, other than grey.
    """
    mean = np.minimum(image[:, ::2, ::2], 4 * MID_GREY).mean((1, 2), dtype=np.float64)
    gains = (mean.mean() / np.maximum(mean, 1e-6)) ** share
    return (gains * [1 + error, 1.0, 1 - error]).astype(np.float32)


# ------------------------------------------------------------------------------ air and lens


def haze(image: np.ndarray, distance: np.ndarray, loss: float) -> np.ndarray:
    """Dust: light is lost by the metre and the hall's mid-grey comes in instead (Koschmieder's law)."""
    if loss <= 0:
        return image
    left = np.exp(np.float32(np.log1p(-loss)) * distance.astype(np.float32))
    return image * left + np.float32(MID_GREY) * (1 - left)


def vignette(height: int, width: int, loss: float) -> np.ndarray:
    """Share of light that arrives, (H, W): falls with the fourth power of the field angle's cosine."""
    y, x = np.ogrid[0:height, 0:width]
    radius = ((x - width / 2 + 0.5) ** 2 + (y - height / 2 + 0.5) ** 2) / (
        (width / 2) ** 2 + (height / 2) ** 2
    )
    strength = 1 / np.sqrt(max(1 - loss, 1e-3)) - 1
    return (1 / (1 + strength * radius.astype(np.float32)) ** 2).astype(np.float32)


def glare(image: np.ndarray, share: float, radius: float) -> np.ndarray:
    """Scatter a share of the light above white about its place; ``radius`` is a Gaussian's, in pixels.

    Gathered in cells of 8 x 8 pixels and spread straight to pixels: the two factors of a Gaussian
    between cells and pixels are small matrices.
    """
    if share <= 0 or not (image > WHITE).any():
        return image
    height, width = image.shape[1:]
    padding = ((0, 0), (0, -height % 8), (0, -width % 8))
    excess = np.pad(np.clip(image - np.float32(WHITE), 0, 20), padding)
    cells = excess.reshape(3, excess.shape[1] // 8, 8, -1, 8).mean((2, 4))
    down, across = _spread(height, cells.shape[1], radius), _spread(width, cells.shape[2], radius)
    return image + np.float32(share) * (down @ cells @ across.T)


def _spread(pixels: int, cells: int, radius: float) -> np.ndarray:
    """Gaussian weights of cells 8 pixels wide at each pixel, (pixels, cells), rows summing to 1."""
    apart = np.arange(pixels)[:, None] + 0.5 - (np.arange(cells) * 8 + 4)
    weights = np.exp(-0.5 * (apart / np.hypot(radius, 4)) ** 2)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def aberration(image: np.ndarray, share: float) -> np.ndarray:
    """Lateral chromatic aberration: magnify red and reduce blue by a share about the middle."""
    if share <= 0:
        return image
    red, green, blue = image
    return np.stack([_magnified(red, 1 + share), green, _magnified(blue, 1 - share)])


def _magnified(plane: np.ndarray, scale: float) -> np.ndarray:
    """Scale a plane (H, W) about its middle, linearly between pixels."""
    for axis in (0, 1):
        size = plane.shape[axis]
        at = np.clip((np.arange(size) - (size - 1) / 2) / scale + (size - 1) / 2, 0, size - 1)
        low = np.minimum(at.astype(np.intp), size - 2)
        share = (at - low).astype(np.float32)
        share = share[:, None] if axis == 0 else share
        first = np.take(plane, low, axis)
        plane = first + (np.take(plane, low + 1, axis) - first) * share
    return plane


Taps = dict[tuple[int, int], float]
"""A small kernel: weight by (rows down, columns right), summing to 1."""


def disc(radius: float) -> Taps:
    """The blur of a lens out of focus, ``radius`` in pixels; its rim falls off over one pixel."""
    reach = int(np.ceil(radius))
    weights = {
        (dy, dx): float(np.clip(radius + 0.5 - np.hypot(dx, dy), 0, 1))
        for dy in range(-reach, reach + 1)
        for dx in range(-reach, reach + 1)
    }
    total = sum(weights.values())
    return {at: weight / total for at, weight in weights.items() if weight > 0}


def line(length: float, angle: float) -> Taps:
    """The blur of a camera that moves ``length`` pixels at ``angle`` radians while the shutter is open."""
    steps = max(1, int(np.ceil(length)) + 1 if length > 0 else 1)
    taps: Taps = {}
    for t in np.linspace(-0.5, 0.5, steps) if steps > 1 else [0.0]:
        at = (round(t * length * np.sin(angle)), round(t * length * np.cos(angle)))
        taps[at] = taps.get(at, 0.0) + 1 / steps
    return taps


def blur(image: np.ndarray, taps: Taps) -> np.ndarray:
    """Convolve (3, H, W) with a small kernel; the border repeats."""
    if len(taps) == 1:
        return image
    height, width = image.shape[1:]
    reach = max(max(abs(dy), abs(dx)) for dy, dx in taps)
    padded = np.pad(image, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    total, part = np.zeros_like(image), np.empty_like(image)
    for (dy, dx), weight in taps.items():
        y, x = reach - dy, reach - dx
        total += np.multiply(padded[:, y : y + height, x : x + width], np.float32(weight), out=part)
    return total


# ------------------------------------------------------------------------------ sensor and processing


def noise(image: np.ndarray, spread: float, rng: np.random.Generator) -> np.ndarray:
    """Shot noise, whose variance grows with the light, and a little read noise in the dark.

    Args:
        spread: standard deviation at mid-grey, as a share of white once the tone curve has slope 1.
    """
    at_grey = 1 / (1 + np.exp(TOE))
    slope = at_grey * (1 - at_grey) * CURVE / np.log(2) / MID_GREY  # of ``tone`` at mid-grey
    read = np.float32(0.02)  # share of the variance at mid-grey that is there in the dark too
    deviation = np.sqrt(read + (1 - read) / np.float32(MID_GREY) * image) * np.float32(spread / slope)
    return image + rng.standard_normal(image.shape, np.float32) * deviation


def tone(image: np.ndarray, contrast: float) -> np.ndarray:
    """A film-like curve: a logistic in stops about mid-grey, with slope ``contrast`` there.

    1 / (1 + exp(TOE - CURVE * contrast * log2(x / MID_GREY))), written as a power.
    """
    power = CURVE * contrast / np.log(2)
    shaped = np.power(np.maximum(image, np.float32(1e-6)) / np.float32(MID_GREY), np.float32(power))
    return shaped / (shaped + np.float32(np.exp(TOE)))


def sharpen(image: np.ndarray, strength: float) -> np.ndarray:
    """Unsharp mask with a 3 x 3 binomial blur."""
    if strength <= 0:
        return image
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    blurred = (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / np.float32(16)
    return image + np.float32(strength) * (image - blurred)
