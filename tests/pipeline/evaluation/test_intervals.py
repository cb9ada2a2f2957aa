"""Intervals of proportions: published figures, and clustered samples."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation.intervals import (
    Proportion,
    effective_proportion,
    newcombe_interval,
    wilson_interval,
)


def test_wilson_and_newcombe_intervals_equal_published_figures() -> None:
    """Newcombe 1998, tables I (a proportion) and II (a difference)."""
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(0, 0) == (0.0, 1.0)
    low, high = newcombe_interval(Proportion(48 / 80, 80), Proportion(56 / 70, 70))
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert newcombe_interval(Proportion(0.0, 0), Proportion(1.0, 5)) == (-1.0, 1.0)


def test_samples_of_one_cluster_count_less_than_independent_ones() -> None:
    hits = np.repeat([True, False, True, False], 10)
    assert effective_proportion(hits, range(40)).count == pytest.approx(39, abs=1.1)
    assert effective_proportion(hits, np.repeat(np.arange(4), 10).tolist()).count == pytest.approx(3)
    assert effective_proportion(np.ones(40, bool), [1] * 20 + [2] * 20).count == 2
    assert effective_proportion(np.zeros(0, bool), []).count == 0
