"""What JPEG compression does to a picture: baseline, 4:2:0, without the entropy coding, which loses nothing.

All sums are of whole numbers below 2**53, so every machine and thread count gives the same bytes.
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
"""The basis is rounded to this fraction, as in codecs that calculate in integers."""


def _basis() -> np.ndarray:
    """The 8 x 8 discrete cosine transform of a flattened block, (64 coefficients, 64 pixels), times UNIT."""
    k, n = np.mgrid[0:8, 0:8]
    line = np.cos(np.pi * k * (2 * n + 1) / 16) * np.where(k == 0, np.sqrt(1 / 8), 0.5)
    whole: np.ndarray = np.rint(np.kron(line, line) * UNIT)
    return whole


BASIS = _basis()


def compress(image: np.ndarray, quality: int) -> np.ndarray:
    """Compress and decompress planes (3, H, W) uint8; ``quality`` 1 to 100 as the IJG's libjpeg scales it."""
    height, width = image.shape[1:]
    share = 5000 // quality if quality < 50 else 200 - 2 * quality
    steps = [np.clip((table * share + 50) // 100, 1, 255) for table in (LUMINANCE, CHROMINANCE)]
    padding = ((0, 0), (0, -height % 16), (0, -width % 16))
    r, g, b = np.pad(image, padding, mode="edge").astype(np.float32)
    # ITU-T T.871, with grey at 0.
    y = 0.299 * r + 0.587 * g + 0.114 * b
    y, cb, cr = (
        _quantised(y - 128, steps[0]) + 128,
        _doubled(_quantised(_halved((b - y) / 1.772), steps[1])),
        _doubled(_quantised(_halved((r - y) / 1.402), steps[1])),
    )
    planes = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb])
    return np.rint(np.clip(planes[:, :height, :width], 0, 255)).astype(np.uint8)


def _halved(plane: np.ndarray) -> np.ndarray:
    """Mean of each 2 x 2 pixels."""
    return (plane[::2, ::2] + plane[1::2, ::2] + plane[::2, 1::2] + plane[1::2, 1::2]) / 4


def _doubled(plane: np.ndarray) -> np.ndarray:
    """Twice as many rows and columns, three parts of the nearer and one of the further, as libjpeg does."""
    for _ in range(2):  # rows; transposed, columns
        padded = np.pad(plane, ((1, 1), (0, 0)), mode="edge")
        rows = np.empty((2 * len(plane), plane.shape[1]), np.float32)
        rows[0::2] = (3 * plane + padded[:-2]) / 4
        rows[1::2] = (3 * plane + padded[2:]) / 4
        plane = rows.T
    return plane


def _quantised(plane: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """A plane (H, W), multiples of 8, after its blocks' coefficients were rounded to ``steps`` (64,)."""
    height, width = plane.shape
    blocks = np.rint(plane).reshape(height // 8, 8, width // 8, 8).swapaxes(1, 2).reshape(-1, 64)
    coefficients = np.rint(blocks.astype(np.float64) @ BASIS.T / (UNIT * steps)) * steps
    pixels = np.rint(coefficients @ BASIS / UNIT).astype(np.float32)
    return pixels.reshape(height // 8, width // 8, 8, 8).swapaxes(1, 2).reshape(height, width)
