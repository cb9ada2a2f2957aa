"""What a model is surely weak at: slices of the factor table, and look-alikes that are taken for a class.

"Surely" means that the 95 % interval of a gap, which holds for all slices at once, is above 0.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from pycocotools import mask as mask_utils

from pipeline.evaluation.bootstrap import scene_of
from pipeline.evaluation.intervals import Proportion, effective_proportion, newcombe_interval
from pipeline.evaluation.matching import EvaluationResult
from pipeline.evaluation.slices import FEWEST

OF_ANY_COCO_FILE = ("size", "truncated", "neighbours")
"""Factors that are known without a render: those that the weakness on photographs can name."""
_LEVEL = 0.05
_OVERLAP = 0.4
"""IoU of a false alarm and the box of a look-alike from which the look-alike was taken for the class. The box
is that of the whole object, so occlusion lowers the IoU."""

Side = Literal["recall", "precision"]


@dataclass(frozen=True)
class WeakCell:
    """A slice of the factor table that is surely weaker than the rest of its class."""

    class_name: str
    factor: str
    bin: str
    """Name of the bin, as in the factor table: words have spaces in place of underscores."""
    side: Side
    """"recall": its objects are missed; "precision": its detections are false alarms."""
    gap: float
    """Recall or precision of the rest minus that of the slice."""
    strength: float
    """Lower bound of the gap, above 0."""
    source: str
    """Name of the set on which it was measured."""


@dataclass(frozen=True)
class Mistaken:
    """A kind of object, or a variant of it, that is surely taken for a class more often than the others."""

    kind: str
    variant: str
    """Empty: all variants."""
    taken: int
    """Number of its objects with a false alarm on them."""
    count: int
    """Number of its objects in the images."""
    strength: float
    """Lower bound of the gap between its share and that of the other look-alikes, above 0."""


def weak_cells(
    rows: Iterable[dict[str, Any]], source: str, factors: Sequence[str] | None = None
) -> list[WeakCell]:
    """Return the slices that are surely weak, the strongest first.

    Args:
        rows: the factor table (``metrics_by_factor``).
        source: name of the set.
        factors: names of the factors to use; None: all.
    """
    cells = []
    sides: tuple[Side, Side] = ("recall", "precision")
    for row in rows:
        if factors is not None and row["factor"] not in factors:
            continue
        for side in sides:
            part = row[side]
            if part is not None and part["count"] >= FEWEST and part["gap_interval"][0] > 0:
                low = float(part["gap_interval"][0])
                key = (row["class"], row["factor"], row["bin"])
                cells.append(WeakCell(*key, side, part["gap"], low, source))
    return sorted(cells, key=lambda c: (-c.strength, c.factor, c.bin, c.class_name, c.side, c.source))


def mistaken_kinds(
    evaluation: EvaluationResult, threshold: float, scenes: dict[int, dict[str, Any]]
) -> list[Mistaken]:
    """Find the look-alikes that are surely taken for a class more often than the others.

    A look-alike is an object of a scene that belongs to no class. It is taken for one if a false alarm and
    its box overlap. The share of a kind, or of a variant, is compared with that of all other look-alikes.

    Args:
        evaluation: the detections.
        threshold: the score threshold.
        scenes: frame -> the scene, described as by ``blender.proposals``.

    Returns:
        Kinds and variants, the strongest first.
    """
    images = {image["id"]: image for image in evaluation.ground_truth["images"]}
    found: list[tuple[str, str, Hashable, bool]] = []
    alarms: dict[int, list[list[float]]] = {}
    for number in np.flatnonzero(evaluation.matches.at_threshold(threshold).false_positive):
        detection = evaluation.detections[number]
        alarms.setdefault(detection["image_id"], []).append(detection["bbox"])
    for key, image in images.items():
        objects = look_alikes(scenes[image["frame"]], evaluation.class_names)
        hit = set()
        for box in alarms.get(key, []):
            if objects:
                boxes = np.array([item["bbox"] for item in objects], float)
                overlaps = mask_utils.iou(np.array([box], float), boxes, [0] * len(objects))[0]
                if overlaps.max() >= _OVERLAP:
                    hit.add(int(overlaps.argmax()))
        found += [(*kind_of(item), scene_of(image), n in hit) for n, item in enumerate(objects)]
    return _compare_kinds(found)


def look_alikes(scene: dict[str, Any], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the objects of a described scene that belong to no class."""
    return [item for item in scene["objects"] if item["category"] not in classes]


def kind_of(item: dict[str, Any]) -> tuple[str, str]:
    """Return the kind and the variant of a described object; kinds without variants have ""."""
    return item["kind"], str(item["parameters"].get("variant", ""))


def _compare_kinds(found: list[tuple[str, str, Hashable, bool]]) -> list[Mistaken]:
    """Compare each kind and each variant with the rest: (kind, variant, scene, taken) of each look-alike."""
    groups = {(kind, "") for kind, _, _, _ in found} | {(kind, variant) for kind, variant, _, _ in found}
    z = NormalDist().inv_cdf(1 - _LEVEL / 2 / max(1, len(groups)))
    rows = []
    for kind, variant in sorted(groups):
        inside = [entry for entry in found if entry[0] == kind and variant in ("", entry[1])]
        rest = [entry for entry in found if not (entry[0] == kind and variant in ("", entry[1]))]
        low = newcombe_interval(_share_taken(rest), _share_taken(inside), z)[0]
        if len(inside) >= FEWEST and low > 0:
            rows.append(Mistaken(kind, variant, sum(e[3] for e in inside), len(inside), round(low, 4)))
    return sorted(rows, key=lambda row: (-row.strength, row.kind, row.variant))


def _share_taken(entries: list[tuple[str, str, Hashable, bool]]) -> Proportion:
    return effective_proportion(np.array([e[3] for e in entries], bool), [e[2] for e in entries])
