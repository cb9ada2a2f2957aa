"""Which images a pass has: places of negatives and of mined images, and the batches they come in."""

from __future__ import annotations

import dataclasses
from collections import Counter
from itertools import chain

import numpy as np

from pipeline.config import TrainConfig
from pipeline.training.sampling.images import batches_of_pass, images_of_view, mine

CONFIG = TrainConfig(batch_size=2, negatives=("photos",), negatives_share=0.2)
IMAGES, NEGATIVES = 100, 30


def test_without_negatives_and_mining_a_pass_has_every_image_at_its_place() -> None:
    assert images_of_view(IMAGES, 0, CONFIG, 0, 3).tolist() == list(range(IMAGES))
    without = dataclasses.replace(CONFIG, negatives_share=0.0)
    assert images_of_view(IMAGES, NEGATIVES, without, 0, 3).tolist() == list(range(IMAGES))


def test_negatives_take_their_share_of_the_places_and_are_drawn_anew_for_each_view() -> None:
    views = [images_of_view(IMAGES, NEGATIVES, CONFIG, 0, view) for view in range(12)]
    for indices in views:
        negatives = indices[indices >= IMAGES]
        assert len(indices) == IMAGES and len(negatives) == 20 == len(set(negatives.tolist()))
        labelled = np.flatnonzero(indices < IMAGES)
        assert (indices[labelled] == labelled).all()  # so that its features are cached in one process
    assert len({tuple(indices.tolist()) for indices in views}) == 12
    assert set(np.concatenate(views).tolist()) == set(range(IMAGES + NEGATIVES))
    assert (views[2] == images_of_view(IMAGES, NEGATIVES, CONFIG, 0, 2)).all()
    assert (views[2] != images_of_view(IMAGES, NEGATIVES, CONFIG, 1, 2)).any()


def test_an_image_is_mined_in_proportion_to_its_loss() -> None:
    losses = np.full(IMAGES, 0.1)
    losses[[7, 8]] = 5.0
    config = dataclasses.replace(CONFIG, mining=0.5)
    indices = images_of_view(IMAGES, NEGATIVES, config, 0, 0)
    passes = [mine(indices, losses, config, 0, data_pass) for data_pass in range(60)]
    counts = Counter(chain.from_iterable(mined.tolist() for mined in passes))
    easy = np.mean([counts[i] for i in range(IMAGES) if i not in (7, 8)]) / 60
    expected = 40 * 5 / losses.sum() + 0.4  # of 80 labelled images 40 are mined, and 40 of 100 stay
    assert all(abs(counts[i] / 60 - expected) < 2 for i in (7, 8))
    assert 0.4 < easy < 1
    for mined in passes:
        assert (mined != indices).sum() <= 40
        assert (mined[indices >= IMAGES] == indices[indices >= IMAGES]).all()
        assert ((mined == indices) | (mined % 2 == np.arange(IMAGES) % 2)).all()
    assert (passes[0] != passes[1]).any()
    assert (passes[1] == mine(indices, losses, config, 0, 1)).all()


def test_mining_without_any_loss_is_uniform() -> None:
    config = dataclasses.replace(CONFIG, mining=1.0)
    mined = mine(np.arange(IMAGES), np.zeros(IMAGES), config, 0, 0)
    assert 50 < len(set(mined.tolist())) < IMAGES


def test_batches_contain_the_images_of_the_pass() -> None:
    indices = images_of_view(IMAGES, NEGATIVES, CONFIG, 0, 0)
    batches = batches_of_pass(indices, CONFIG, 0, 0)
    assert sorted(chain.from_iterable(batches)) == sorted(indices.tolist())
    assert {len(batch) for batch in batches} == {2}
    place = {index: place for place, index in enumerate(indices.tolist())}
    assert all(place[i] % 2 == position for batch in batches for position, i in enumerate(batch))
