"""Recall and precision by scene factor, the weakest first: what to render more of, or to look at.

A bin is compared with all other objects of its class. Bins are ordered by the least gap that the data
allow: the lower bound of an interval that holds for all bins at once (Bonferroni), that is wide for few
objects (Newcombe) and for objects of the same scene (Rao and Scott). So a bin of six objects, all missed,
does not come before one of sixty; one of fewer than five says nothing and comes last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from pipeline.evaluation.diagnosis import objects_found
from pipeline.evaluation.factors import Sorter, Values, binner, detection_factors, object_factors
from pipeline.evaluation.intervals import Share, effective, gap_interval, wilson
from pipeline.evaluation.matching import Matches
from pipeline.evaluation.metrics import scene_of

_LEVEL = 0.05
_FEWEST = 5


@dataclass(frozen=True)
class Case:
    """An object that was found or missed, or a detection that was right or wrong."""

    category: str
    scene: Hashable
    hit: bool
    values: Values


@dataclass(frozen=True)
class Bin:
    """One bin of one factor and class, beside the rest of the class."""

    inside: Share
    rest: Share
    hits: int
    count: int
    rest_count: int


def weaknesses(
    ground_truth: dict[str, Any], results: list[dict[str, Any]], matches: Matches, threshold: float
) -> list[dict[str, Any]]:
    """Every bin of every factor, per class, the weakest first.

    Args:
        threshold: the least score of a detection that counts.

    Returns:
        ``factor``, ``bin``, ``place`` (of the bin along its factor), ``class``, and for ``recall`` and
        ``precision`` ``{"count", "hits", "value", "interval", "rest", "gap", "gap_interval"}``, or None where
        the factor says nothing (a false detection has no distance). ``weakness`` is the greater of the two
        least gaps; above 0, it is there.
    """
    names = {c["id"]: c["name"] for c in ground_truth["categories"]}
    found, kept = objects_found(ground_truth, results, matches, threshold)
    objects = _object_cases(ground_truth, found, names)
    detections = _detection_cases(ground_truth, results, matches, kept, names)
    rows = []
    for factor in sorted({name for case in objects for name in case.values}):
        sort = binner(factor, [c.values[factor] for c in objects if factor in c.values])
        if sort is not None:
            recall, precision = _bins(objects, factor, sort), _bins(detections, factor, sort)
            both = [(factor, key, recall.get(key), precision.get(key)) for key in {**recall, **precision}]
            # What is the same for all of a class has nothing to be compared with.
            rows += [row for row in both if any(b is not None and b.rest_count for b in row[2:])]
    tests = sum(b is not None and bool(b.count and b.rest_count) for _, _, *pair in rows for b in pair)
    z = NormalDist().inv_cdf(1 - _LEVEL / 2 / max(1, tests))
    table = [_row(*row, z) for row in rows]
    return sorted(table, key=lambda r: (-r["weakness"], r["factor"], r["class"], r["place"]))


def _object_cases(ground_truth: dict[str, Any], found: np.ndarray, names: dict[int, str]) -> list[Case]:
    scenes = {image["id"]: scene_of(image) for image in ground_truth["images"]}
    described = zip(ground_truth["annotations"], found, object_factors(ground_truth), strict=True)
    return [
        Case(names[a["category_id"]], scenes[a["image_id"]], bool(number >= 0), values)
        for a, number, values in described
        if number != -2
    ]


def _detection_cases(
    ground_truth: dict[str, Any],
    results: list[dict[str, Any]],
    matches: Matches,
    kept: np.ndarray,
    names: dict[int, str],
) -> list[Case]:
    images = {image["id"]: image for image in ground_truth["images"]}
    cases = []
    for number in np.flatnonzero(kept):
        result = results[number]
        image = images[result["image_id"]]
        right = bool(matches.finds[number] >= 0)
        values = detection_factors(result, image)
        cases.append(Case(names[result["category_id"]], scene_of(image), right, values))
    return cases


def _bins(cases: list[Case], factor: str, sort: Sorter) -> dict[tuple[str, int, str], Bin]:
    """Every bin of a factor by class, place and name."""
    mine: defaultdict[str, list[Case]] = defaultdict(list)
    for case in cases:
        if factor in case.values:
            mine[case.category].append(case)
    return dict(_class_bins(mine, factor, sort))


def _class_bins(
    mine: dict[str, list[Case]], factor: str, sort: Sorter
) -> Iterator[tuple[tuple[str, int, str], Bin]]:
    for category, cases in mine.items():
        keys = [sort(case.values[factor]) for case in cases]
        for place, label in sorted(set(keys)):
            inside = [c for c, key in zip(cases, keys, strict=True) if key == (place, label)]
            rest = [c for c, key in zip(cases, keys, strict=True) if key != (place, label)]
            hits = sum(c.hit for c in inside)
            yield (category, place, label), Bin(_share(inside), _share(rest), hits, len(inside), len(rest))


def _share(cases: list[Case]) -> Share:
    return effective(np.array([c.hit for c in cases], bool), [c.scene for c in cases])


def _row(
    factor: str, key: tuple[str, int, str], recall: Bin | None, precision: Bin | None, z: float
) -> dict[str, Any]:
    category, place, label = key
    sides = {"recall": _side(recall, z), "precision": _side(precision, z)}
    least = [
        side["gap_interval"][0] if side["count"] >= _FEWEST else -1.0
        for side in sides.values()
        if side is not None
    ]
    return {
        "factor": factor, "bin": label, "place": place, "class": category, **sides, "weakness": max(least)
    }  # fmt: skip


def _side(found: Bin | None, z: float) -> dict[str, Any] | None:
    if found is None:
        return None
    inside, rest = found.inside, found.rest
    return {
        "count": found.count,
        "hits": found.hits,
        "value": round(inside.share, 4),
        "interval": [round(v, 4) for v in wilson(inside.share * inside.count, inside.count)],
        "rest": round(rest.share, 4) if found.rest_count else None,
        "gap": round(rest.share - inside.share, 4) if found.rest_count else None,
        "gap_interval": [round(v, 4) for v in gap_interval(inside, rest, z)],
    }
