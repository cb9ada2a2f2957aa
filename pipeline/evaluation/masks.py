"""Masks of the ground truth as pycocotools takes them, and what is measured where masks are missing."""

from __future__ import annotations

from typing import Any

from pipeline.data.coco_io import count_without_mask
from pipeline.data.rle import as_rle, box_rle
from pipeline.data.values import has_mask


def with_rle(ground_truth: dict[str, Any]) -> dict[str, Any]:
    """Copy the dataset with every mask as compressed RLE; polygons are drawn by pycocotools."""
    sizes = _image_sizes(ground_truth)
    annotations = [
        a | {"segmentation": as_rle(a["segmentation"], *sizes[a["image_id"]]) if has_mask(a) else None}
        for a in ground_truth["annotations"]
    ]
    return ground_truth | {"annotations": annotations}


def boxes_as_ignore_regions(ground_truth: dict[str, Any]) -> dict[str, Any]:
    """Copy the dataset; an annotation without a mask becomes an ignore region, with its box as the mask.

    So masks are measured on the objects that have one, and a detection of another object is not a mistake.
    """
    sizes = _image_sizes(ground_truth)
    annotations = [
        a if has_mask(a) else a | {"segmentation": box_rle(a["bbox"], *sizes[a["image_id"]]), "iscrowd": 1}
        for a in ground_truth["annotations"]
    ]
    return ground_truth | {"annotations": annotations}


def describe_missing_masks(ground_truth: dict[str, Any], detections: list[dict[str, Any]]) -> list[str]:
    """Say how many objects or detections have no mask, and what that means: one line, or none."""
    without_mask, objects = count_without_mask(ground_truth["annotations"])
    boxes = sum(not has_mask(d) for d in detections)
    if boxes:
        return [f"{boxes} of {len(detections)} results have no mask: boxes are measured, masks are not"]
    if not without_mask:
        return []
    if without_mask == objects:
        return ["no object has a mask: boxes are measured, masks are not"]
    return [
        f"{without_mask} of {objects} objects have no mask: they are ignore regions in mask AP; "
        "the other figures are of boxes"
    ]


def _image_sizes(dataset: dict[str, Any]) -> dict[int, tuple[int, int]]:
    return {image["id"]: (image["width"], image["height"]) for image in dataset["images"]}
