"""The PNG encoder, compared with Pillow."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from blender.imaging.png import encode_png


def test_encoded_png_decodes_to_the_same_pixels() -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (7, 5, 3), dtype=np.uint8)
    ids = rng.integers(0, 65536, (7, 5), dtype=np.uint16)
    assert (np.asarray(Image.open(io.BytesIO(encode_png(rgb)))) == rgb).all()
    assert (np.asarray(Image.open(io.BytesIO(encode_png(ids)))).astype(np.uint16) == ids).all()
    with pytest.raises(ValueError, match="cannot write"):
        encode_png(rgb.astype(float))
