"""95 % confidence intervals of proportions and of their differences, with clustered samples."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from pipeline.evaluation.matching import Bools

Z95 = NormalDist().inv_cdf(0.975)
"""Standard normal quantile of a two-sided 95 % interval."""


@dataclass(frozen=True)
class Proportion:
    """A proportion of a clustered sample."""

    value: float
    count: float
    """Effective sample size: number of independent trials with the same variance."""


def wilson_interval(hits: float, count: float, z: float = Z95) -> tuple[float, float]:
    """Compute Wilson's score interval (1927) of ``hits`` in ``count`` trials; (0, 1) without trials.

    Its coverage is correct near 0 and 1 and for few trials, unlike that of the normal approximation.
    """
    if not count:
        return 0.0, 1.0
    share, square = hits / count, z * z
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = z / (1 + square / count) * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def effective_proportion(hits: Bools, clusters: Sequence[Hashable]) -> Proportion:
    """Compute a proportion and its effective sample size (Rao and Scott 1992).

    Objects of one scene are not independent. The design effect is the variance between clusters divided by
    the binomial variance, but at least 1; the count is divided by it. If all trials or none succeed, the
    variance cannot be estimated, and each cluster counts as one trial.

    Args:
        hits: (N,) whether each trial succeeded.
        clusters: the cluster of each trial.
    """
    count = len(hits)
    share = float(hits.mean()) if count else 0.0
    numbers = {key: number for number, key in enumerate(dict.fromkeys(clusters))}
    binomial = share * (1 - share) / count if count else 0.0
    if len(numbers) < 2 or not binomial:
        return Proportion(share, float(len(numbers)))
    sums = np.bincount([numbers[key] for key in clusters], weights=hits - share)
    between = len(numbers) / (len(numbers) - 1) * float((sums**2).sum()) / count**2
    return Proportion(share, count / max(1.0, between / binomial))


def newcombe_interval(low: Proportion, high: Proportion, z: float = Z95) -> tuple[float, float]:
    """Compute Newcombe's interval (1998, method 10) of ``high`` minus ``low``.

    It is (-1, 1) if one of them has no trials.
    """
    if not low.count or not high.count:
        return -1.0, 1.0
    low_from, low_to = wilson_interval(low.value * low.count, low.count, z)
    high_from, high_to = wilson_interval(high.value * high.count, high.count, z)
    gap = high.value - low.value
    down = math.hypot(high.value - high_from, low_to - low.value)
    up = math.hypot(high_to - high.value, low.value - low_from)
    return gap - down, gap + up
