"""Checks of a profile's ranges, and random draws from them.

Every draw takes its generator as a parameter. All results are JSON values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np


def ordered(**spans: tuple[float, float]) -> None:
    """Check that each range (low, high) has low <= high.

    Raises:
        ValueError: names the first range that is not in order, or that holds NaN.
    """
    for name, (low, high) in spans.items():
        if not low <= high:  # written so that NaN fails too
            raise ValueError(f"{name} must be a range [low, high], not [{low}, {high}]")


def at_least(limit: float, **spans: tuple[float, float]) -> None:
    """Check that each range starts at ``limit`` or above.

    Raises:
        ValueError: names the first range that starts below.
    """
    for name, (low, _) in spans.items():
        if low < limit:
            raise ValueError(f"{name} must be at least {limit:g}")


def shares(**values: float | tuple[float, float]) -> None:
    """Check that each value, or both ends of each range, lie in 0..1.

    Raises:
        ValueError: names the first that does not.
    """
    for name, value in values.items():
        if not all(0 <= v <= 1 for v in (value if isinstance(value, tuple) else (value,))):
            raise ValueError(f"{name} must lie in 0..1")


def weighted(**tables: Mapping[str, float]) -> None:
    """Check that each table of weights has no negative weight and at least one positive weight.

    Raises:
        ValueError: names the first table that has not.
    """
    for name, weights in tables.items():
        if not any(w > 0 for w in weights.values()) or not all(w >= 0 for w in weights.values()):
            raise ValueError(f"{name}: weights must not be below 0, and one must be above")


def named(what: str, weights: Mapping[str, float], known: Iterable[str]) -> None:
    """Check a table of weights whose keys must be among ``known``.

    Raises:
        ValueError: names the unknown key, or a table without a positive weight.
    """
    if unknown := sorted(set(weights) - set(known)):
        raise ValueError(f"{what}: unknown '{unknown[0]}'; known: {', '.join(known)}")
    weighted(**{what: weights})


def uniform(span: tuple[float, float], rng: np.random.Generator) -> float:
    """Draw a float between two bounds, rounded to a tenth of a millimetre to keep frame records short."""
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
