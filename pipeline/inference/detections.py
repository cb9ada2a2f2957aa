"""The detections in one image as numpy arrays, and as COCO results. This module does not use torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_utils

from pipeline.data.rle import resize_rle

BOX_DECIMALS, SCORE_DECIMALS = 3, 6
"""Decimals of a box (in pixels) and of a score in written files."""


@dataclass(frozen=True)
class Detections:
    """The N objects that a model detected in one image, the highest score first."""

    boxes: npt.NDArray[np.float32]
    """(N, 4) xyxy, in pixels of the image."""
    labels: npt.NDArray[np.int64]
    """(N,) from 1: ``classes[label - 1]`` is the name."""
    scores: npt.NDArray[np.float32]
    """(N,) in 0..1."""
    rles: list[dict[str, Any]]
    """N masks of the image's size as compressed RLE (``size``, and ``counts`` as a str). For large images
    they
    take a thousandth of the memory of ``masks``."""
    image_size: tuple[int, int]
    """Height and width of the image, in pixels."""

    def __len__(self) -> int:
        """Return the number of detections, N."""
        return len(self.scores)

    @property
    def masks(self) -> npt.NDArray[np.bool_]:
        """(N, H, W) bool. Each access decodes the masks again, into N x H x W bytes."""
        if not self.rles:
            return np.zeros((0, *self.image_size), bool)
        return np.ascontiguousarray(np.moveaxis(mask_utils.decode(self.rles), 2, 0)).astype(bool)

    def filter(self, min_score: float) -> Detections:
        """Return the detections with at least this score."""
        return self.select(np.flatnonzero(self.scores >= min_score))

    def select(self, rows: npt.NDArray[np.int64]) -> Detections:
        """Return the detections with these numbers, from 0, in this order."""
        rles = [self.rles[row] for row in rows]
        return Detections(self.boxes[rows], self.labels[rows], self.scores[rows], rles, self.image_size)

    def resize(self, size: tuple[int, int]) -> Detections:
        """Return the detections for the same image in another size (width, height)."""
        width, height = size
        if (height, width) == self.image_size:
            return self
        scale = np.array([width / self.image_size[1], height / self.image_size[0]] * 2, np.float32)
        stored = (self.image_size[1], self.image_size[0])
        rles = [resize_rle(rle, stored, size) for rle in self.rles]
        return Detections(self.boxes * scale, self.labels, self.scores, rles, (height, width))


def to_coco_results(
    detections: Detections, image_id: int, category_ids: Mapping[int, int]
) -> list[dict[str, Any]]:
    """Convert the detections in one image to COCO results.

    Args:
        detections: the detections.
        image_id: id of the image in the annotation file.
        category_ids: label (from 1) to the annotation file's category id; other labels are left out.
    """
    results = []
    for box, label, score, rle in zip(
        detections.boxes.tolist(), detections.labels.tolist(), detections.scores.tolist(), detections.rles,
        strict=True,
    ):  # fmt: skip
        if label in category_ids:
            left, top, right, bottom = box
            results.append(
                {
                    "image_id": image_id,
                    "category_id": category_ids[label],
                    "bbox": [left, top, right - left, bottom - top],
                    "score": score,
                    "segmentation": rle,
                }
            )
    return results


def round_result(result: dict[str, Any]) -> dict[str, Any]:
    """Round the box and the score of a COCO result for writing to a file."""
    box = [round(value, BOX_DECIMALS) for value in result["bbox"]]
    return result | {"bbox": box, "score": round(result["score"], SCORE_DECIMALS)}


def to_named_results(
    detections: Detections, image_id: int, classes: Sequence[str], **fields: Any
) -> list[dict[str, Any]]:
    """Convert the detections in one image to the COCO results that ``predict`` writes.

    Args:
        detections: the detections.
        image_id: id of the image in the results.
        classes: the model's class names; the category id is the label, from 1.
        fields: fields that are added to each result.

    Returns:
        Rounded COCO results with ``category_name`` and ``fields``.
    """
    labels = {label: label for label in range(1, len(classes) + 1)}
    results = [round_result(result) for result in to_coco_results(detections, image_id, labels)]
    return [result | {"category_name": classes[result["category_id"] - 1], **fields} for result in results]
