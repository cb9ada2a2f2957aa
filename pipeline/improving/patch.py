"""Turn weakness into a patch of the profile: weights of what is surely weak rise, nothing is forgotten.

Let a value of a choice (a variant, a layout, a mount ...) have the share p of the profile's weights, and the
share q after the round before. Its strength s is the largest lower bound of the gaps of its weak slices. Its
new share is

    floor * p + (1 - floor) * q * m / sum(q * m),    m = 1 + (cap - 1) * min(1, s / full)

So no share falls below ``floor`` times that of the profile, a share grows in one round at most by the factor
``cap`` (or 1 / floor, if that is more), and it grows with the strength. A choice without a weak value does
not change.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blender.contract import merge_tables
from pipeline.improving.weakness import Mistaken, WeakCell

Patch = dict[str, Any]
"""Tables to merge with a profile: {"scene": {...}}."""


@dataclass(frozen=True)
class Limits:
    """How far one round may change the weights."""

    floor: float = 0.5
    """Smallest share of a value, as a factor on its share in the profile."""
    cap: float = 4.0
    """Largest factor on a share in one round."""
    full: float = 0.25
    """Strength from which ``cap`` is reached: a lower bound of a gap in recall or precision."""
    most: float = 3.0
    """Largest factor on the number of look-alikes of a kind, over all rounds."""

    def factor(self, strength: float) -> float:
        """Return the factor on a weight: 1 without weakness, at most ``cap``."""
        return 1 + (self.cap - 1) * min(1.0, strength / self.full)


def profile_patch(
    choices: Sequence[Mapping[str, Any]],
    tables: Mapping[str, Any],
    previous: Patch,
    cells: Sequence[WeakCell],
    mistaken: Sequence[Mistaken],
    limits: Limits = Limits(),
) -> Patch:
    """Compute the patch of the next round. A pure function of its arguments.

    Args:
        choices: the weighted choices of the profile, from ``blender.proposals`` (``weights``).
        tables: its tables of look-alikes (``tables``).
        previous: the patch of the round before; {}: none.
        cells: slices that are surely weak.
        mistaken: look-alikes that are surely taken for a class. They get no label by this.
        limits: how far the weights may change.

    Returns:
        The patch that replaces ``previous``; equal to it if nothing is weak.
    """
    patch = dict(previous)
    for choice in choices:
        strengths = _strengths(choice, cells, mistaken)
        if any(strengths.values()):
            patch = merge_tables(patch, _reweighted(choice["values"], previous, strengths, limits))
    for name, table in tables.items():
        strength = max((entry.strength for entry in mistaken if entry.kind == table["kind"]), default=0)
        if strength:
            patch = merge_tables(patch, _more_of(name, table, previous, strength, limits))
    return patch


def _strengths(
    choice: Mapping[str, Any], cells: Iterable[WeakCell], mistaken: Iterable[Mistaken]
) -> dict[str, float]:
    """Return the strength of the weakness of each value of a choice; 0: not weak."""
    found: dict[str, list[float]] = {value: [] for value in choice["values"]}
    readable = {value.replace("_", " "): value for value in found}
    for cell in cells:
        of_choice = cell.factor in choice["factors"] and choice["category"] in ("", cell.class_name)
        if of_choice and (choice["category"] or not choice["kind"]) and cell.bin in readable:
            found[readable[cell.bin]].append(cell.strength)
    if choice["kind"] and not choice["category"] and "variant" in choice["factors"]:
        for entry in mistaken:
            if entry.kind == choice["kind"] and entry.variant in found:
                found[entry.variant].append(entry.strength)
    return {value: max(strengths, default=0.0) for value, strengths in found.items()}


def _reweighted(
    values: Mapping[str, Any], previous: Patch, strengths: Mapping[str, float], limits: Limits
) -> Patch:
    """Return the new weights of one choice, with the same sum as in the profile."""
    base = {value: float(entry["weight"]) for value, entry in values.items()}
    current = {value: float(_lookup(previous, entry["key"], base[value])) for value, entry in values.items()}
    raised = {value: weight * limits.factor(strengths[value]) for value, weight in current.items()}
    total, raised_total = sum(base.values()), sum(raised.values())
    patch: Patch = {}
    for value, entry in values.items():
        share = limits.floor * base[value] / total + (1 - limits.floor) * raised[value] / raised_total
        for name, other in entry.get("others", {}).items():
            if name != entry["key"][-1]:
                patch = merge_tables(patch, _nested((*entry["key"][:-1], name), other))
        patch = merge_tables(patch, _nested(entry["key"], round(share * total, 6)))
    return patch


def _more_of(name: str, table: Mapping[str, Any], previous: Patch, strength: float, limits: Limits) -> Patch:
    """Return the new share of frames, or the new count, of a table of look-alikes."""
    key = ("scene", "objects", name)
    base_frames, (low, base_high) = float(table["frames"]), table["count"]
    factor = min(limits.factor(strength), limits.most)
    if base_frames < 1:
        frames = factor * float(_lookup(previous, (*key, "frames"), base_frames))
        return _nested((*key, "frames"), round(min(1.0, frames, limits.most * base_frames), 6))
    high = int(_lookup(previous, (*key, "count"), [low, base_high])[1])
    sums = (math.ceil((low + high) * factor), math.ceil(limits.most * (low + base_high)))
    return _nested((*key, "count"), [low, max(high, min(sums) - low)])


def _lookup(table: Any, key: Sequence[str], default: Any) -> Any:
    """Return the value at a path of keys, or the default."""
    for name in key:
        if not isinstance(table, dict) or name not in table:
            return default
        table = table[name]
    return table


def _nested(key: Sequence[str], value: Any) -> Patch:
    """Return nested tables with one value."""
    for name in reversed(key):
        value = {name: value}
    nested: Patch = value
    return nested
