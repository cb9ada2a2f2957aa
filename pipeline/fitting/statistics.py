"""Statistics of a picture that depend on the camera's sensor: light, colour, noise, sharpness. Numpy only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

SMALLEST = 48
"""Least side of a picture that is measured, pixels."""
DARKEST, BRIGHTEST = 0.12, 0.9
"""Display values between which noise and colour are measured: outside them they are clipped."""
BLOCK = 8
"""Side of the patches in which noise is measured, pixels; also the side of JPEG's blocks."""
FLAT = (0.1, 0.3)
"""Shares of the patches, ordered by their high frequencies: up to there they count as flat."""
EDGES = 0.98
"""Quantile of the brightness differences above which a pixel is on an edge."""


def measure(pixels: npt.NDArray[np.uint8]) -> dict[str, float]:
    """Measure one picture.

    Args:
        pixels: (H, W, 3) RGB; sides of at least ``SMALLEST``. Pictures that are compared must have about the
            same number of pixels.

    Returns:
        Finite numbers; all pictures have the same names. Differences of brightness are in units of white.
    """
    image = np.moveaxis(pixels, 2, 0).astype(np.float32) / np.float32(255)
    grey = np.tensordot(np.array([0.2126, 0.7152, 0.0722], np.float32), image, 1)
    return {
        **_brightness(grey),
        **_colour(image, grey),
        **_noise(image, grey),
        **_sharpness(grey),
        **_corners(grey),
    }


def _brightness(grey: Floats) -> dict[str, float]:
    """Return quantiles of the brightness as log odds, in which exposure is about an offset."""
    shares = {"floor": 0.005, "dark": 0.1, "lower": 0.25, "middle": 0.5, "upper": 0.75, "bright": 0.9}
    values = np.quantile(grey[::2, ::2], list(shares.values()))
    odds = {name: _log_odds(float(value)) for name, value in zip(shares, values, strict=True)}
    mean = _log_odds(float(grey.mean(dtype=np.float64)))
    return {
        **odds,
        "mean": mean,
        "range": odds["bright"] - odds["dark"],
        "white": float((grey > 0.97).mean()),
    }


def _log_odds(value: float) -> float:
    value = min(max(value, 0.004), 0.996)
    return float(np.log(value / (1 - value)))


def _colour(image: Floats, grey: Floats) -> dict[str, float]:
    """Return the colour cast (logarithms of ratios) and the distances of colours from grey."""
    chosen = (grey > DARKEST) & (grey < BRIGHTEST)
    if chosen.sum() < 16:
        chosen = np.ones_like(chosen)
    r, g, b = (np.log(np.maximum(plane[chosen], 0.02)) for plane in image)
    red_blue, green = r - b, g - (r + b) / 2
    spread = image[:, chosen].max(0) - image[:, chosen].min(0)
    cast = np.hypot(red_blue - np.median(red_blue), 2 * (green - np.median(green)))
    return {
        "red_blue": float(np.median(red_blue)),
        "red_blue_mean": float(red_blue.mean(dtype=np.float64)),
        "green": float(np.median(green)),
        "green_mean": float(green.mean(dtype=np.float64)),
        "colour": float(np.log(cast.mean(dtype=np.float64) + 0.01)),
        "colour_strong": float(np.log(np.quantile(cast, 0.9) + 0.01)),
        "colour_spread": float(np.log(spread.mean(dtype=np.float64) + 0.01)),
    }


def _noise(image: Floats, grey: Floats) -> dict[str, float]:
    """Return the noise of flat patches at three scales, of colours, and how many patches have none at all.

    The filter is Immerkaer's (1996): the difference of two Laplacians, which no plane and no straight edge
    along an axis passes.
    """
    values = {}
    half = _halve(grey)
    quarter = _halve(half)
    planes = {"noise": (grey, grey), "noise_half": (half, half), "noise_quarter": (quarter, quarter)}
    for name, (plane, brightness) in {**planes, "noise_colour": (image[0] - image[1], grey)}.items():
        patches, inside = _patches(np.abs(_laplacians(plane))), _patches(brightness[1:-1, 1:-1])
        chosen = patches[(inside > DARKEST) & (inside < BRIGHTEST)]
        if chosen.size < 8:
            chosen = patches.ravel()
        low, high = np.quantile(chosen, FLAT)
        values[name] = float(np.log(low + 2e-4))
        values[f"{name}_upper"] = float(np.log(high + 2e-4))
        if name == "noise":
            values["still"] = float((chosen < 0.6 / 255).mean())
    values["blocks"] = _blockiness(grey)
    return values


def _laplacians(plane: Floats) -> Floats:
    """Filter with [1, -2, 1] down and across; white noise keeps its standard deviation."""
    down = plane[:-2] - 2 * plane[1:-1] + plane[2:]
    both: Floats = (down[:, :-2] - 2 * down[:, 1:-1] + down[:, 2:]) / np.float32(6)
    return both


def _patches(plane: Floats) -> Floats:
    """Return the means of patches of ``BLOCK`` pixels; what is left over at the edges is not used."""
    rows, columns = (side // BLOCK for side in plane.shape)
    part = plane[: rows * BLOCK, : columns * BLOCK]
    means: Floats = part.reshape(rows, BLOCK, columns, BLOCK).mean((1, 3))
    return means


def _halve(plane: Floats) -> Floats:
    part = plane[: plane.shape[0] // 2 * 2, : plane.shape[1] // 2 * 2]
    halved: Floats = part.reshape(part.shape[0] // 2, 2, part.shape[1] // 2, 2).mean((1, 3))
    return halved


def _blockiness(grey: Floats) -> float:
    """Return by how much steps between JPEG's blocks are larger than others, as a logarithm of the ratio."""
    ratios = []
    for plane in (grey, grey.T):
        steps = np.minimum(np.abs(np.diff(plane, axis=1)), 0.05).mean(0, dtype=np.float64) + 1e-4
        ratios.append(steps[BLOCK - 1 :: BLOCK].mean() / np.delete(steps, np.s_[BLOCK - 1 :: BLOCK]).mean())
    return float(np.log(ratios).mean())


def _sharpness(grey: Floats) -> dict[str, float]:
    """Return how brightness differs over 1, 2 and 4 pixels, everywhere and at edges, along both axes."""
    values, edges, overshoots = {}, [], []
    for axis, plane in (("across", grey), ("down", grey.T)):
        one, two, four = (np.abs(plane[:, step:] - plane[:, :-step]) for step in (1, 2, 4))
        means = [float(np.log(part.mean(dtype=np.float64) + 1e-4)) for part in (one, two, four)]
        values[f"fine_{axis}"], values[f"medium_{axis}"] = means[0] - means[1], means[1] - means[2]
        strong = two > max(float(np.quantile(two[::2, ::2], EDGES)), 1e-3)
        if not strong.any():
            strong = two >= two.max()
        edges.append(float((np.maximum(one[:, :-1], one[:, 1:])[strong] / two[strong].clip(1e-3)).mean()))
        bends = np.abs(plane[:, :-2] - 2 * plane[:, 1:-1] + plane[:, 2:])
        overshoots.append(
            float(np.log((np.quantile(bends, 0.995) + 1e-3) / (np.quantile(two, 0.995) + 1e-3)))
        )
        values[f"edge_{axis}"] = edges[-1]
    return {**values, "edge": float(np.mean(edges)), "bend": float(np.mean(overshoots))}


def _corners(grey: Floats) -> dict[str, float]:
    """Return how much darker the corners are than the middle, as a difference of log odds."""
    height, width = grey.shape
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    radius = np.sqrt((y**2 + x**2) / 2)
    inner, outer = (float(np.median(grey[part])) for part in (radius < 0.45, radius > 0.8))
    return {"corners": _log_odds(outer) - _log_odds(inner)}
