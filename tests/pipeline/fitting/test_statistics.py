"""Each statistic answers to the setting that it stands for, and every picture has finite ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from blender.imaging.jpeg import compress
from pipeline.fitting.statistics import SMALLEST, measure

Picture = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def picture() -> npt.NDArray[np.float32]:
    """Return a picture of coloured rectangles, (96, 128, 3) from 0 to 1."""
    rng = np.random.default_rng(0)
    image = np.full((96, 128, 3), 0.5, np.float32)
    for _ in range(40):
        top, left = rng.integers(0, 90), rng.integers(0, 120)
        image[top : top + rng.integers(6, 40), left : left + rng.integers(6, 40)] = rng.uniform(0.2, 0.8, 3)
    return image


def stored(image: npt.NDArray[np.float32]) -> Picture:
    """Return the picture with 8 bits."""
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def test_statistics_follow_what_changes(picture: npt.NDArray[np.float32]) -> None:
    rng = np.random.default_rng(1)
    plain, grey = measure(stored(picture)), picture.mean(2, keepdims=True)
    assert measure(stored(picture * 0.6))["mean"] < plain["mean"] - 0.4
    assert measure(stored(picture * [1.1, 1, 0.9]))["red_blue"] == pytest.approx(
        plain["red_blue"] + 0.2, abs=0.05
    )
    assert measure(stored(picture * [1, 1.1, 1]))["green"] > plain["green"] + 0.05
    assert measure(stored(grey + 0.5 * (picture - grey)))["colour"] < plain["colour"] - 0.3
    assert measure(stored(0.5 + 1.5 * (picture - 0.5)))["range"] > plain["range"] + 0.3
    noises = [measure(stored(picture + rng.normal(0, sd, picture.shape)))["noise"] for sd in (0.01, 0.03)]
    assert plain["noise"] < noises[0] - 0.5 < noises[1] - 0.5
    blurred = (picture + np.roll(picture, 1, 1) + np.roll(picture, 2, 1)) / 3
    assert measure(stored(blurred))["edge_across"] < plain["edge_across"] - 0.1
    y, x = np.mgrid[-1:1:96j, -1:1:128j]
    shade = 1 - 0.25 * (x**2 + y**2)[..., None]
    assert measure(stored(picture * shade))["corners"] < plain["corners"] - 0.3


def test_jpeg_leaves_blocks_and_stills_noise(picture: npt.NDArray[np.float32]) -> None:
    noisy = stored(picture + np.random.default_rng(2).normal(0, 0.01, picture.shape))
    compressed = np.moveaxis(compress(np.ascontiguousarray(np.moveaxis(noisy, 2, 0)), 30), 0, 2)
    before, after = measure(noisy), measure(np.ascontiguousarray(compressed))
    assert after["blocks"] > before["blocks"] + 0.05
    assert after["still"] > before["still"] + 0.2


@pytest.mark.parametrize("shape", [(SMALLEST, SMALLEST), (SMALLEST, 200), (72, 96)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_uniform_and_small_pictures_have_finite_statistics(shape: tuple[int, int], value: int) -> None:
    values = measure(np.full((*shape, 3), value, np.uint8))
    assert all(np.isfinite(list(values.values())))
    assert values.keys() == measure(np.zeros((64, 64, 3), np.uint8)).keys()
