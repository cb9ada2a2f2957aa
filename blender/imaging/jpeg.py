"""Apply the loss of baseline JPEG compression (4:2:0). Entropy coding is left out, because it is lossless.

Why not a library: Pillow is not part of Blender's Python, and Blender's encoder would write a file that
must be read again. Here all sums are exact, because they add integers below 2**53. So every machine
and every number of threads gives the same bytes. The whole sensor model, JPEG included, takes 2 % of the
time of a frame (stage "sensor" in docs/PERFORMANCE.md).
"""

from __future__ import annotations

import numpy as np

LUMINANCE = np.array([
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
])  # fmt: skip
"""ITU-T T.81, table K.1, row by row."""

CHROMINANCE = np.array([
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
    *[99] * 32,
])  # fmt: skip
"""ITU-T T.81, table K.2, row by row."""

UNIT = 2.0**13
"""The basis is rounded to multiples of 1 / UNIT, as in integer codecs."""


def _basis() -> np.ndarray:
    """Return the 8 x 8 discrete cosine transform, (64 coefficients, 64 pixels), times UNIT and rounded."""
    k, n = np.mgrid[0:8, 0:8]
    line = np.cos(np.pi * k * (2 * n + 1) / 16) * np.where(k == 0, np.sqrt(1 / 8), 0.5)
    matrix: np.ndarray = np.rint(np.kron(line, line) * UNIT)
    return matrix


BASIS = _basis()


def compress(image: np.ndarray, quality: int) -> np.ndarray:
    """Compress and decompress an image.

    Args:
        image: (3, H, W) uint8 RGB planes.
        quality: 1 to 100, scaled as in the IJG's libjpeg.

    Returns:
        (3, H, W) uint8.
    """
    height, width = image.shape[1:]
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    steps = [np.clip((table * scale + 50) // 100, 1, 255) for table in (LUMINANCE, CHROMINANCE)]
    padding = ((0, 0), (0, -height % 16), (0, -width % 16))
    r, g, b = np.pad(image, padding, mode="edge").astype(np.float32)
    # ITU-T T.871, with grey at 0
    y = 0.299 * r + 0.587 * g + 0.114 * b
    y, cb, cr = (
        _quantise(y - 128, steps[0]) + 128,
        _upsample(_quantise(_downsample((b - y) / 1.772), steps[1])),
        _upsample(_quantise(_downsample((r - y) / 1.402), steps[1])),
    )
    planes = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb])
    return np.rint(np.clip(planes[:, :height, :width], 0, 255)).astype(np.uint8)


def _downsample(plane: np.ndarray) -> np.ndarray:
    """Average blocks of 2 x 2 pixels: (H, W) to (H / 2, W / 2)."""
    return (plane[::2, ::2] + plane[1::2, ::2] + plane[::2, 1::2] + plane[1::2, 1::2]) / 4


def _upsample(plane: np.ndarray) -> np.ndarray:
    """Double the rows and columns: 3/4 of the nearer and 1/4 of the farther neighbour, as libjpeg does."""
    for _ in range(2):  # rows first, then columns of the transposed plane
        padded = np.pad(plane, ((1, 1), (0, 0)), mode="edge")
        rows = np.empty((2 * len(plane), plane.shape[1]), np.float32)
        rows[0::2] = (3 * plane + padded[:-2]) / 4
        rows[1::2] = (3 * plane + padded[2:]) / 4
        plane = rows.T
    return plane


def _quantise(plane: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Quantise the DCT coefficients of each 8 x 8 block and transform back.

    Args:
        plane: (H, W), multiples of 8.
        steps: (64,) quantisation steps.
    """
    height, width = plane.shape
    blocks = np.rint(plane).reshape(height // 8, 8, width // 8, 8).swapaxes(1, 2).reshape(-1, 64)
    coefficients = np.rint(blocks.astype(np.float64) @ BASIS.T / (UNIT * steps)) * steps
    pixels = np.rint(coefficients @ BASIS / UNIT).astype(np.float32)
    return pixels.reshape(height // 8, width // 8, 8, 8).swapaxes(1, 2).reshape(height, width)
