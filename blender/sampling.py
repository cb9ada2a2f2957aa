"""Draws from a profile's ranges. The generator is always a parameter; results are JSON values."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def uniform(span: tuple[float, float], rng: np.random.Generator) -> float:
    """A float between two bounds, rounded to a tenth of a millimetre so that records stay short."""
    return round(float(rng.uniform(*span)), 4)


def integer(span: tuple[int, int], rng: np.random.Generator) -> int:
    """An int between two bounds, both included."""
    return int(rng.integers(span[0], span[1] + 1))


def chance(probability: float, rng: np.random.Generator) -> bool:
    """True with the given probability."""
    return bool(rng.random() < probability)


def pick(weights: Mapping[str, float], rng: np.random.Generator) -> str:
    """A key, drawn by weight."""
    names = list(weights)
    total = np.array([weights[name] for name in names], float)
    return names[int(rng.choice(len(names), p=total / total.sum()))]
