"""Recall and precision by scene factor (slices), significantly weaker slices first.

Each slice holds the objects or detections of one class in one bin of one factor. It is compared with the rest
of its class. Slices are ordered by the lower bound of the gap between the two. The interval of the gap holds
for all slices at once (Bonferroni). It is wider for few objects (Newcombe) and for objects of the same scene
(Rao and Scott), so six objects that are all missed do not rank before sixty. Slices of fewer than five
objects come last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from pipeline.evaluation.bootstrap import scene_of
from pipeline.evaluation.factors import Binner, Factors, detection_factors, make_binner, object_factors
from pipeline.evaluation.intervals import (
    Proportion,
    effective_proportion,
    newcombe_interval,
    wilson_interval,
)
from pipeline.evaluation.matching import IGNORED, EvaluationResult, ThresholdedMatches

_LEVEL = 0.05
"""Probability that at least one interval does not contain its gap."""
FEWEST = 5
"""Smallest number of objects or detections of a slice that is ranked."""


@dataclass(frozen=True)
class Outcome:
    """An object that was detected or missed, or a detection that is correct or false."""

    class_name: str
    scene: Hashable
    hit: bool
    """Whether the object was detected, or the detection is correct."""
    factors: Factors


@dataclass(frozen=True)
class Slice:
    """The outcomes of one class in one bin of a factor, and the rest of the class."""

    inside: Proportion
    rest: Proportion
    hits: int
    count: int
    rest_count: int


SliceKey = tuple[str, int, str]
"""Class, position of the bin along its factor, name of the bin."""


def metrics_by_factor(evaluation: EvaluationResult, threshold: float) -> list[dict[str, Any]]:
    """Compute recall and precision of each class in every bin of every scene factor.

    Args:
        threshold: the score threshold of detections.

    Returns:
        One row for each slice, those that are significantly weaker than the rest of their class first:
        ``factor``, ``bin``, ``place`` (position of the bin along its factor), ``class``, and for ``recall``
        and ``precision`` ``{"count", "hits", "value", "interval", "rest", "gap", "gap_interval"}``, or None
        if the factor is unknown (false positives have no distance). ``gap_lower_bound`` is the greater
        of the two lower bounds of the gaps: above 0, the slice is significantly weaker.
    """
    matches = evaluation.matches.at_threshold(threshold)
    objects = _object_outcomes(evaluation, matches)
    detections = _detection_outcomes(evaluation, matches)
    rows = []
    for factor in sorted({name for outcome in objects for name in outcome.factors}):
        binner = make_binner(factor, [s.factors[factor] for s in objects if factor in s.factors])
        if binner is not None:
            recall, precision = _slices(objects, factor, binner), _slices(detections, factor, binner)
            both = [(factor, key, recall.get(key), precision.get(key)) for key in {**recall, **precision}]
            # If all outcomes of a class have the same value, there is no rest to compare with.
            rows += [row for row in both if any(s is not None and s.rest_count for s in row[2:])]
    tests = sum(s is not None and bool(s.count and s.rest_count) for _, _, *pair in rows for s in pair)
    z = NormalDist().inv_cdf(1 - _LEVEL / 2 / max(1, tests))
    table = [_row(*row, z) for row in rows]
    return sorted(table, key=lambda r: (-r["gap_lower_bound"], r["factor"], r["class"], r["place"]))


def _object_outcomes(evaluation: EvaluationResult, matches: ThresholdedMatches) -> list[Outcome]:
    """Build an outcome for each object: a hit if it was detected. Ignore regions are left out."""
    ground_truth = evaluation.ground_truth
    names = {c["id"]: c["name"] for c in ground_truth["categories"]}
    scenes = {image["id"]: scene_of(image) for image in ground_truth["images"]}
    described = zip(
        ground_truth["annotations"], matches.detection_of, object_factors(ground_truth), strict=True
    )
    return [
        Outcome(names[a["category_id"]], scenes[a["image_id"]], bool(detection >= 0), factors)
        for a, detection, factors in described
        if detection != IGNORED
    ]


def _detection_outcomes(evaluation: EvaluationResult, matches: ThresholdedMatches) -> list[Outcome]:
    """Build an outcome for each detection that counts: a hit if it is correct."""
    names = {c["id"]: c["name"] for c in evaluation.ground_truth["categories"]}
    images = {image["id"]: image for image in evaluation.ground_truth["images"]}
    outcomes = []
    for number in np.flatnonzero(matches.counted):
        detection = evaluation.detections[number]
        image = images[detection["image_id"]]
        correct = bool(matches.true_positive[number])
        factors = detection_factors(detection, image, evaluation.iou_type)
        outcomes.append(Outcome(names[detection["category_id"]], scene_of(image), correct, factors))
    return outcomes


def _slices(outcomes: list[Outcome], factor: str, binner: Binner) -> dict[SliceKey, Slice]:
    """Build the slices of one factor."""
    by_class: defaultdict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if factor in outcome.factors:
            by_class[outcome.class_name].append(outcome)
    return dict(_class_slices(by_class, factor, binner))


def _class_slices(
    by_class: dict[str, list[Outcome]], factor: str, binner: Binner
) -> Iterator[tuple[SliceKey, Slice]]:
    for class_name, outcomes in by_class.items():
        bins = [binner(outcome.factors[factor]) for outcome in outcomes]
        for place, label in sorted(set(bins)):
            inside = [s for s, key in zip(outcomes, bins, strict=True) if key == (place, label)]
            rest = [s for s, key in zip(outcomes, bins, strict=True) if key != (place, label)]
            hits = sum(s.hit for s in inside)
            yield (
                (class_name, place, label),
                Slice(_proportion(inside), _proportion(rest), hits, len(inside), len(rest)),
            )


def _proportion(outcomes: list[Outcome]) -> Proportion:
    return effective_proportion(np.array([s.hit for s in outcomes], bool), [s.scene for s in outcomes])


def _row(
    factor: str, key: SliceKey, recall: Slice | None, precision: Slice | None, z: float
) -> dict[str, Any]:
    """Convert a slice to JSON values."""
    class_name, place, label = key
    sides = {"recall": _side(recall, z), "precision": _side(precision, z)}
    lower_bounds = [
        side["gap_interval"][0] if side["count"] >= FEWEST else -1.0
        for side in sides.values()
        if side is not None
    ]
    return {
        "factor": factor,
        "bin": label,
        "place": place,
        "class": class_name,
        **sides,
        "gap_lower_bound": max(lower_bounds),
    }


def _side(part: Slice | None, z: float) -> dict[str, Any] | None:
    """Convert the recall or precision of a slice to JSON values."""
    if part is None:
        return None
    inside, rest = part.inside, part.rest
    return {
        "count": part.count,
        "hits": part.hits,
        "value": round(inside.value, 4),
        "interval": [round(v, 4) for v in wilson_interval(inside.value * inside.count, inside.count)],
        "rest": round(rest.value, 4) if part.rest_count else None,
        "gap": round(rest.value - inside.value, 4) if part.rest_count else None,
        "gap_interval": [round(v, 4) for v in newcombe_interval(inside, rest, z)],
    }
