"""Labels that a model proposes for images, before they are written for an annotation tool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as mask_utils

from pipeline.inference.detections import SCORE_DECIMALS, Detections


@dataclass(frozen=True)
class ProposedObject:
    """A detected object, to be corrected."""

    label: str
    """The name of its class."""
    rle: dict[str, Any]
    """Its mask as COCO's compressed RLE; at least one pixel."""
    score: float
    """From 0 to 1."""


@dataclass(frozen=True)
class ProposedImage:
    """An image as an annotation tool gets it, and its objects."""

    name: str
    """The file's name in the folder images/."""
    width: int
    """In pixels, upright."""
    height: int
    objects: tuple[ProposedObject, ...]


def propose_objects(
    detections: Detections, classes: Sequence[str], threshold: float
) -> tuple[ProposedObject, ...]:
    """Return the detections from a score on as objects to correct.

    Args:
        detections: the detections in one image; no mask is empty (see ``without_empty_masks``).
        classes: the model's class names.
        threshold: the lowest score of an object.
    """
    kept = detections.filter(threshold)
    return tuple(
        ProposedObject(classes[label - 1], rle, round(score, SCORE_DECIMALS))
        for label, score, rle in zip(kept.labels.tolist(), kept.scores.tolist(), kept.rles, strict=True)
    )


def without_empty_masks(detections: Detections) -> Detections:
    """Return the detections whose mask has a pixel; of the others there is nothing to correct."""
    rows = [row for row, rle in enumerate(detections.rles) if mask_utils.area(rle)]
    return detections.select(np.array(rows, np.int64))
