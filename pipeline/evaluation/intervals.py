"""Intervals for shares: of one sample, and of the gap between two, with clusters."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from pipeline.evaluation.matching import Bools

Z95 = NormalDist().inv_cdf(0.975)


def wilson(hits: float, count: float, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval (1927) of a share: honest at 0, at 1 and for few. (0, 1) for none."""
    if not count:
        return 0.0, 1.0
    share, square = hits / count, z * z
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = z / (1 + square / count) * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class Share:
    """A share of a clustered sample, as if of ``count`` independent trials."""

    share: float
    count: float


def effective(hits: Bools, clusters: Sequence[Hashable]) -> Share:
    """A share and the number of independent trials it is worth (Rao and Scott 1992).

    Objects of one picture succeed and fail together: the variance between clusters over the binomial one
    is the design effect, never taken below 1, and the count is divided by it. Where all or none succeed
    there is no variance to tell, and each cluster counts once.
    """
    count = len(hits)
    share = float(hits.mean()) if count else 0.0
    names = {key: number for number, key in enumerate(dict.fromkeys(clusters))}
    binomial = share * (1 - share) / count if count else 0.0
    if len(names) < 2 or not binomial:
        return Share(share, float(len(names)))
    sums = np.bincount([names[key] for key in clusters], weights=hits - share)
    between = len(names) / (len(names) - 1) * float((sums**2).sum()) / count**2
    return Share(share, count / max(1.0, between / binomial))


def gap_interval(low: Share, high: Share, z: float = Z95) -> tuple[float, float]:
    """Newcombe's interval (1998, method 10) of ``high`` less ``low``; (-1, 1) if one of them is empty."""
    if not low.count or not high.count:
        return -1.0, 1.0
    low_from, low_to = wilson(low.share * low.count, low.count, z)
    high_from, high_to = wilson(high.share * high.count, high.count, z)
    gap = high.share - low.share
    down = math.hypot(high.share - high_from, low_to - low.share)
    up = math.hypot(high_to - high.share, low.share - low_from)
    return gap - down, gap + up
