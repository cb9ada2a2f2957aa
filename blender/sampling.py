"""A profile's ranges: checks, and draws. The generator is always a parameter; results are JSON values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np


def ordered(**spans: tuple[float, float]) -> None:
    """Check that ranges are low to high; ValueError names the first that is not."""
    for name, (low, high) in spans.items():
        if not low <= high:  # so that nan is caught too
            raise ValueError(f"{name} must be a range [low, high], not [{low}, {high}]")


def at_least(limit: float, **spans: tuple[float, float]) -> None:
    """Check that ranges begin at a limit or above it; ValueError names the first that does not."""
    for name, (low, _) in spans.items():
        if low < limit:
            raise ValueError(f"{name} must be at least {limit:g}")


def shares(**values: float | tuple[float, float]) -> None:
    """Check that shares, or ranges of shares, lie in 0..1; ValueError names the first that does not."""
    for name, value in values.items():
        if not all(0 <= v <= 1 for v in (value if isinstance(value, tuple) else (value,))):
            raise ValueError(f"{name} must lie in 0..1")


def weighted(**tables: Mapping[str, float]) -> None:
    """Check that tables of weights have one above 0 and none below; ValueError names the first."""
    for name, weights in tables.items():
        if not any(w > 0 for w in weights.values()) or not all(w >= 0 for w in weights.values()):
            raise ValueError(f"{name}: weights must not be below 0, and one must be above")


def named(what: str, weights: Mapping[str, float], known: Iterable[str]) -> None:
    """Check a table of weights whose keys name things; ValueError names what is unknown."""
    if unknown := sorted(set(weights) - set(known)):
        raise ValueError(f"{what}: unknown '{unknown[0]}'; known: {', '.join(known)}")
    weighted(**{what: weights})


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
