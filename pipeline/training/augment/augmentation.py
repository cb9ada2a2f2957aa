"""Augment one sample: flip, zoom and crop, copy-paste, then camera effects and amplitude jitter.

All random numbers come from a generator seeded by (seed, view, image), and torch runs on one thread, because
its resizing and means round differently on several threads. So an image does not depend on the number of
data-loader workers, on the number of threads, or on whether training was resumed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from pipeline.common.processes import single_threaded_torch
from pipeline.config import TrainConfig
from pipeline.models.samples import Sample
from pipeline.training.augment.amplitude import amplitude_jitter
from pipeline.training.augment.camera import blur, jpeg, noise, photometric
from pipeline.training.augment.copy_paste import paste_random_objects
from pipeline.training.augment.geometry import random_geometry

JPEG_QUALITY = (30, 95)
"""Range of the JPEG quality, upper end excluded: from visible blocks to the setting of a good camera."""

DrawSample = Callable[[np.random.Generator], Sample]
"""Draws another sample of the dataset, without augmentation, for copy-paste."""


def augmentation(
    config: TrainConfig, seed: int, view: int, classes: int | None = None
) -> Callable[[Sample, int, DrawSample], Sample]:
    """Return the transform for ``CocoDataset`` that gives one augmented view of every image.

    Args:
        config: probabilities and strengths.
        seed: the run's seed.
        view: number of the view; the same view of the same image has the same bits.
        classes: see ``random_object_centre``.
    """
    return partial(_augment_image, config, seed, view, classes)  # a closure cannot be sent to workers


def _augment_image(
    config: TrainConfig,
    seed: int,
    view: int,
    classes: int | None,
    sample: Sample,
    index: int,
    draw_other: DrawSample,
) -> Sample:
    with single_threaded_torch():
        return augment(sample, config, np.random.default_rng([seed, view, index]), draw_other, classes)


def augment(
    sample: Sample,
    config: TrainConfig,
    rng: np.random.Generator,
    draw_other: DrawSample | None = None,
    classes: int | None = None,
) -> Sample:
    """Augment a sample.

    Args:
        sample: image (3, H, W) and target; neither is changed.
        config: probabilities and strengths.
        rng: generator of all random numbers.
        draw_other: draws the sample to paste objects from; None: no copy-paste.
        classes: see ``random_object_centre``.

    Returns:
        Image (3, H * crop, W * crop) in 0..1, and its target.
    """
    sample = random_geometry(sample, config, rng, classes)
    if draw_other is not None and config.copy_paste and rng.random() < config.copy_paste:
        sample = paste_random_objects(sample, random_geometry(draw_other(rng), config, rng, classes), rng)
    image, target = sample
    if config.photometric > 0:
        image = photometric(image, config.photometric, rng)
    if config.amplitude and rng.random() < config.amplitude:
        image = amplitude_jitter(image, rng)
    if rng.random() < config.blur:
        image = blur(image, rng)
    if rng.random() < config.noise:
        image = noise(image, rng)
    if rng.random() < config.jpeg:
        image = jpeg(image, int(rng.integers(*JPEG_QUALITY)))
    return image.clamp(0, 1), target
