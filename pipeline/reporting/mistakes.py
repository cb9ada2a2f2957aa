"""The mistakes worth looking at: confident false alarms, large misses, bad masks, mixed-up classes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as mask_utils

from pipeline.evaluation.diagnosis import IOU, confused_pairs, mask_ious, objects_found
from pipeline.evaluation.matching import Bools, find_matches

KINDS = ("false", "missed", "mask", "confused")
"""Found where there is nothing; missed; the box is right but the mask is not; taken for another class."""


@dataclass(frozen=True)
class Mistake:
    """One thing that went wrong, by its numbers in the lists of annotations and results."""

    kind: str
    image_id: int
    truth: int | None
    result: int | None
    iou: float | None = None
    """Of the two masks, where there are two."""


def find_mistakes(
    ground_truth: dict[str, Any], results: list[dict[str, Any]], threshold: float, count: int
) -> dict[str, list[Mistake]]:
    """The ``count`` gravest mistakes of each kind; an object or a detection shows in one kind only.

    False alarms and confusions by score, misses by the object's area, masks by their IoU.

    Args:
        threshold: the least score of a detection that counts.
    """
    matches = find_matches(ground_truth, results)
    found_by, kept = objects_found(ground_truth, results, matches, threshold)
    missed, false = found_by == -1, kept & (matches.finds < 0)
    confused = confused_pairs(ground_truth, results, missed, false)
    for result, truth in confused:
        missed[truth] = false[result] = False
    near = _near_pairs(ground_truth, results, missed, false)
    for result, truth in near:
        missed[truth] = false[result] = False
    truths = ground_truth["annotations"]
    alarms = sorted(np.flatnonzero(false).tolist(), key=lambda n: -results[n]["score"])
    misses = sorted(np.flatnonzero(missed).tolist(), key=lambda n: -truths[n]["area"])
    pairs = [*near, *((int(r), n) for n, r in enumerate(found_by) if r >= 0)]
    masks = [_pair("mask", ground_truth, results, pair) for pair in pairs]
    return {
        "false": [Mistake("false", results[n]["image_id"], None, n) for n in alarms[:count]],
        "missed": [Mistake("missed", truths[n]["image_id"], n, None) for n in misses[:count]],
        "mask": sorted(masks, key=lambda m: (m.iou or 0.0, m.image_id))[:count],
        "confused": [_pair("confused", ground_truth, results, pair) for pair in confused[:count]],
    }


def _pair(
    kind: str, ground_truth: dict[str, Any], results: list[dict[str, Any]], pair: tuple[int, int]
) -> Mistake:
    result, truth = pair
    annotation = ground_truth["annotations"][truth]
    iou = float(mask_ious([results[result]], [annotation])[0, 0])
    return Mistake(kind, annotation["image_id"], truth, result, round(iou, 4))


def _near_pairs(
    ground_truth: dict[str, Any], results: list[dict[str, Any]], missed: Bools, false: Bools
) -> list[tuple[int, int]]:
    """Pairs of a false detection and a missed object of its class whose boxes meet by IoU 0.5 or more."""
    truths = ground_truth["annotations"]
    free: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for number in np.flatnonzero(missed).tolist():
        free[truths[number]["image_id"], truths[number]["category_id"]].append(number)
    pairs = []
    for number in sorted(np.flatnonzero(false).tolist(), key=lambda n: -results[n]["score"]):
        mine = free[results[number]["image_id"], results[number]["category_id"]]
        if mine:
            boxes = np.array([truths[n]["bbox"] for n in mine], float)
            overlap = mask_utils.iou(np.array([results[number]["bbox"]], float), boxes, [0] * len(mine))[0]
            if overlap.max() >= IOU:
                pairs.append((number, mine.pop(int(overlap.argmax()))))
    return pairs
