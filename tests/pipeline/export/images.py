"""Images for the tests of the export."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

SIZES = [(60, 90), (96, 96), (131, 50), (240, 321)]
"""Height and width in pixels."""


def make_images() -> Iterator[np.ndarray]:
    """Random coloured clouds (H, W, 3) uint8 of several sizes."""
    rng = np.random.default_rng(7)
    for height, width in SIZES:
        small = Image.fromarray(rng.integers(0, 256, (5, 7, 3), np.uint8))
        yield np.array(small.resize((width, height)))
