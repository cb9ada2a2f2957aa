"""Random draws from a profile's ranges.

Every draw takes its generator as a parameter. All results are JSON values.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def uniform(span: tuple[float, float], rng: np.random.Generator) -> float:
    """Draw a float between two bounds, rounded to four decimals to keep frame records short."""
    return round(float(rng.uniform(*span)), 4)


def integer(span: tuple[int, int], rng: np.random.Generator) -> int:
    """Draw an int between two bounds, both included."""
    return int(rng.integers(span[0], span[1] + 1))


def chance(probability: float, rng: np.random.Generator) -> bool:
    """Draw True with the given probability."""
    return bool(rng.random() < probability)


def pick(weights: Mapping[str, float], rng: np.random.Generator) -> str:
    """Draw one of the keys, each with a probability proportional to its weight."""
    names = list(weights)
    total = np.array([weights[name] for name in names], float)
    return names[int(rng.choice(len(names), p=total / total.sum()))]


def draw_seed(rng: np.random.Generator) -> int:
    """Draw a seed for an object's own random details."""
    return integer((0, 2**31 - 1), rng)
