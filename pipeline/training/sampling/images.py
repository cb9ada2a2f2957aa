"""Draw the images of each pass, and shuffle them into batches.

A pass has as many views as there are labelled images. Without negatives and mining these are all labelled
images, each once. Negatives take the places of some of them, mined images the places of others.

Everything is seeded by (seed, number of the view or of the pass). So the batches depend neither on the number
of processes or data-loader workers nor on whether training was resumed, and no generator's state is stored.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pipeline.config import TrainConfig
from pipeline.training.sampling.negatives import negatives_per_pass

_NEGATIVES, _MINING = 1, 2
"""Numbers that give each draw a generator of its own, beside seed and number of the view or of the pass."""
_MIN_WEIGHT = 1e-9
"""Weight of an image with a loss of 0, so that the weights have a sum."""

Indices = npt.NDArray[np.int64]


def batches_of_pass(indices: Indices, config: TrainConfig, seed: int, data_pass: int) -> list[list[int]]:
    """Shuffle the images of a pass into batches, those of one optimizer step each.

    Args:
        indices: of the images in the dataset (see ``images_of_view`` and ``mine``).
        config: the recipe.
        seed: the run's seed.
        data_pass: number of the pass over the complete run, from 0.
    """
    rng = np.random.default_rng([seed, data_pass])
    batches = shuffled_batches(len(indices), images_per_step(config), rng)
    return [indices[batch].tolist() for batch in batches]


def images_per_step(config: TrainConfig) -> int:
    """Return the number of images per optimizer step, over all processes."""
    return config.batch_size * config.accumulate


def shuffled_batches(count: int, batch_size: int, rng: np.random.Generator) -> list[list[int]]:
    """Shuffle ``count`` places into batches so that place i is always the (i % batch_size)-th of its batch.

    So an image that keeps its place goes to the same process in every pass, and its features are cached in
    only one process.
    """
    positions = [rng.permutation(np.arange(first, count, batch_size)).tolist() for first in range(batch_size)]
    return [
        [places[i] for places in positions if i < len(places)] for i in range(math.ceil(count / batch_size))
    ]


def images_of_view(images: int, negatives: int, config: TrainConfig, seed: int, view: int) -> Indices:
    """Return the index of the image at each place of a pass: labelled images, some replaced by negatives.

    The draw depends on the view and not on the pass, so that passes that use a cached view again find the
    features of its negatives.

    Args:
        images: number of labelled images; they have the indices from 0.
        negatives: number of negatives; they have the next indices.
        config: the share of negatives.
        seed: the run's seed.
        view: number of the augmented view.
    """
    indices = np.arange(images)
    count = negatives_per_pass(images, config) if negatives else 0
    if count:
        rng = np.random.default_rng([seed, view, 0, 0, _NEGATIVES])
        places = rng.choice(images, count, replace=False)
        indices[places] = images + rng.choice(negatives, count, replace=False)
    return indices


def mine(
    indices: Indices, losses: npt.NDArray[np.float64], config: TrainConfig, seed: int, data_pass: int
) -> Indices:
    """Replace a share of the labelled images of a pass by images drawn in proportion to their losses.

    An image is drawn only to places of its own process (see ``shuffled_batches``).

    Args:
        indices: of the images of the pass.
        losses: (images,), those of the labelled images.
        config: the share.
        seed: the run's seed.
        data_pass: number of the pass over the complete run, from 0.
    """
    images, step = len(losses), images_per_step(config)
    rng = np.random.default_rng([seed, data_pass, 0, 0, _MINING])
    labelled = np.flatnonzero(indices < images)
    places = rng.choice(labelled, round(config.mining * len(labelled)), replace=False)
    mined = indices.copy()
    for position in range(step):
        of_position, candidates = places[places % step == position], np.arange(position, images, step)
        if len(of_position):
            weights = losses[candidates] + _MIN_WEIGHT
            mined[of_position] = rng.choice(candidates, len(of_position), p=weights / weights.sum())
    return mined
