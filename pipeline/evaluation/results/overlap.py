"""Count the objects on which boxes of results lie, whatever their categories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pycocotools import mask as mask_utils

from pipeline.data.coco_io import group_by_image

IOU = 0.5


def count_hit_objects(
    boxes: Mapping[int, list[dict[str, Any]]], annotations: list[dict[str, Any]], same_category: bool = False
) -> int:
    """Count the objects that have a box with IoU of at least 0.5 in their image. Ignore regions do not count.

    Args:
        boxes: image id to entries with ``bbox`` and, for ``same_category``, ``category_id``.
        annotations: of a COCO dataset.
        same_category: count a box of the object's category only.
    """
    hits = 0
    for image_id, objects in group_by_image([a for a in annotations if not a.get("iscrowd")]).items():
        entries = boxes.get(image_id, [])
        if not entries:
            continue
        ious = mask_utils.iou(
            np.array([entry["bbox"] for entry in entries], float),
            np.array([a["bbox"] for a in objects], float),
            [0] * len(objects),
        )
        hit = ious >= IOU
        if same_category:
            hit &= np.equal.outer([e["category_id"] for e in entries], [a["category_id"] for a in objects])
        hits += int(hit.any(axis=0).sum())
    return hits
