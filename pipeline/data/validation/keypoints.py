"""Rules for the keypoints of annotations and the skeletons of categories.

The forms are those of ``pipeline.data.optional_fields``, which leaves out what breaks these rules.
"""

from __future__ import annotations

from typing import Any

from pipeline.data.optional_fields import keypoints_error, skeleton_error, valid_edges
from pipeline.data.validation.rules import ANNOTATION, CATEGORY, WARNING, Context, Entry, rule
from pipeline.data.values import is_int, short_repr


def _count_keypoints(annotation: Entry, context: Context) -> Entry:
    """Count the visible keypoints again; remove keypoints that are malformed."""
    points = annotation["keypoints"]
    if keypoints_error(points, _joint_names(annotation, context)) is None:
        return annotation | {"num_keypoints": sum(v > 0 for v in points[2::3])}
    return {k: value for k, value in annotation.items() if k not in ("keypoints", "num_keypoints")}


def _joint_names(annotation: Entry, context: Context) -> Any:
    category = annotation.get("category_id")
    return context.categories.get(category, {}).get("keypoints") if is_int(category) else None


@rule(
    "keypoints",
    ANNOTATION,
    severity=WARNING,
    advice="write three numbers per keypoint, in the category's order",
    fix=_count_keypoints,
)
def _keypoints(a: Entry, context: Context) -> str | None:
    points = a.get("keypoints")
    if points is None:
        return None
    if error := keypoints_error(points, _joint_names(a, context)):
        return error
    visible = sum(v > 0 for v in points[2::3])
    wrong = a.get("num_keypoints") not in (None, visible)
    return f"num_keypoints is {short_repr(a['num_keypoints'])}, but {visible} have v > 0" if wrong else None


def _remove_invalid_edges(category: Entry, context: Context) -> Entry:
    return category | {"skeleton": valid_edges(category)}


@rule(
    "skeleton",
    CATEGORY,
    severity=WARNING,
    advice="write pairs of keypoints, numbered from 1",
    fix=_remove_invalid_edges,
)
def _skeleton(c: Entry, context: Context) -> str | None:
    return skeleton_error(c)
