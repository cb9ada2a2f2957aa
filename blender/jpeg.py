"""What JPEG does to a picture: the lossy half of ITU-T T.81, on numpy arrays; nothing is written."""

from __future__ import annotations

import numpy as np

from blender.mesh import Floats

# ITU-T T.81, Annex K.1: quantisation of luminance and of chrominance.
_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    float,
)
_CHROMINANCE = np.full((8, 8), 99.0)
_CHROMINANCE[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

_K, _N = np.mgrid[0:8, 0:8]
_DCT = np.where(_K == 0, np.sqrt(1 / 8), 0.5) * np.cos((2 * _N + 1) * _K * np.pi / 16)
"""The orthonormal 8-point cosine transform (A.3.3)."""
_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
"""RGB to luminance and the two chrominances (JFIF)."""


def compress(image: Floats, quality: float) -> Floats:
    """Compress and decompress (H, W, 3) in 0..1, with 4:2:0 chrominance; ``quality`` 1..100."""
    # Quality scales the tables as the Independent JPEG Group's library does.
    scale = 50 / quality if quality < 50 else 2 - quality / 50
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, -height % 16), (0, -width % 16), (0, 0)), mode="edge")
    ycc = padded.reshape(-1, 3) @ (_TO_YCC.T * 255)
    planes = ycc.reshape(padded.shape)
    luminance = 128 + _quantised(planes[..., 0] - 128.0, _LUMINANCE, scale)
    rows, columns = luminance.shape
    halves = planes[..., 1:].reshape(rows // 2, 2, columns // 2, 2, 2).mean((1, 3))
    chroma = [_quantised(halves[..., c], _CHROMINANCE, scale).repeat(2, 0).repeat(2, 1) for c in (0, 1)]
    rgb = np.stack([luminance, *chroma], -1).reshape(-1, 3) @ np.linalg.inv(_TO_YCC).T / 255
    return rgb.reshape(padded.shape)[:height, :width]


def _quantised(plane: Floats, table: Floats, scale: float) -> Floats:
    """Round the cosine coefficients of each 8 x 8 block of (H, W) to multiples of the table's steps."""
    steps = np.clip(np.floor(table * scale + 0.5), 1, 255)
    height, width = plane.shape
    blocks = plane.reshape(height // 8, 8, width // 8, 8).transpose(0, 2, 1, 3)
    kept = np.rint(_DCT @ blocks @ _DCT.T / steps) * steps
    restored: Floats = (_DCT.T @ kept @ _DCT).transpose(0, 2, 1, 3).reshape(height, width)
    return restored
