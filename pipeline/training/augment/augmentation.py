"""The augmentation of one sample: flip, zoom and crop, copy-paste, then the effects of a camera.

Every draw comes from a generator seeded by (seed, view, image), and the arithmetic runs in one thread
(torch's resizing and means round differently in several threads). So neither the number of data-loader
workers, nor the number of threads, nor resuming changes an image.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from pipeline.common.processes import single_threaded_torch
from pipeline.config import TrainConfig
from pipeline.models.samples import Sample
from pipeline.training.augment.camera import blur, jpeg, noise, photometric
from pipeline.training.augment.copy_paste import paste_random_objects
from pipeline.training.augment.geometry import random_geometry

JPEG_QUALITY = (30, 95)
"""Range of the JPEG quality, the upper end excluded: from visible blocks to a good camera's setting."""

DrawSample = Callable[[np.random.Generator], Sample]
"""Draws another, not augmented sample of the data set, for copy-paste."""


def augmentation(config: TrainConfig, seed: int, view: int) -> Callable[[Sample, int, DrawSample], Sample]:
    """Return the transform for ``CocoDataset`` that gives one augmented view of every image.

    Args:
        view: number of the view; the same view of the same image is the same to the bit.
    """
    return partial(_augment_image, config, seed, view)  # a closure could not be sent to loader workers


def _augment_image(
    config: TrainConfig, seed: int, view: int, sample: Sample, index: int, draw_other: DrawSample
) -> Sample:
    with single_threaded_torch():
        return augment(sample, config, np.random.default_rng([seed, view, index]), draw_other)


def augment(
    sample: Sample, config: TrainConfig, rng: np.random.Generator, draw_other: DrawSample | None = None
) -> Sample:
    """Augment a sample at random.

    Args:
        sample: image (3, H, W) and target; neither is changed.
        config: probabilities and strengths.
        draw_other: draws the sample to paste objects from; None: no copy-paste.

    Returns:
        Image (3, H * crop, W * crop) in 0..1, and its target.
    """
    sample = random_geometry(sample, config, rng)
    if draw_other is not None and config.copy_paste and rng.random() < config.copy_paste:
        sample = paste_random_objects(sample, random_geometry(draw_other(rng), config, rng), rng)
    image, target = sample
    if config.photometric > 0:
        image = photometric(image, config.photometric, rng)
    if rng.random() < config.blur:
        image = blur(image, rng)
    if rng.random() < config.noise:
        image = noise(image, rng)
    if rng.random() < config.jpeg:
        image = jpeg(image, int(rng.integers(*JPEG_QUALITY)))
    return image.clamp(0, 1), target
