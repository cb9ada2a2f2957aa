"""Training samples: an image and its target, with checks and operations on both."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from blender.contract import KEYPOINTS
from pipeline.config import UserError

Target = dict[str, Tensor]
"""Labels of an image, as torchvision's detection models take them:

- ``boxes`` (N, 4) float, xyxy in pixels;
- ``labels`` (N,) int64, from 1;
- ``masks`` (N, H, W) uint8, 0 or 1;
- ``ignore`` (K, 4) float, xyxy: regions that are neither object nor background;
- ``image_id`` () int64;
- ``auxiliary_labelled`` () bool: whether objects of auxiliary classes are labelled; in photographs and other
  people's sets they are not. Without this entry they are;
- ``keypoints`` (N, 17, 3) float, only if the COCO file has body keypoints: x, y and visibility (0 not
  labelled, 1 hidden, 2 visible)."""
Sample = tuple[Tensor, Target]
"""An image (3, H, W), float in 0..1, and its target."""
ALL_LABELLED = torch.tensor(True)
"""``auxiliary_labelled`` of a target without that entry."""
OBJECT_FIELDS = ("boxes", "labels", "masks", "keypoints")
"""Entries of a target that have one row per object."""
MIN_OBJECT_PIXELS = 16
"""Pixels below which an object that augmentation cropped or covered becomes an ignore region."""
MIN_VISIBLE_SHARE = 0.1
"""Share of its pixels below which an object that others were pasted over becomes an ignore region."""
KEYPOINT_NUMBERS = 3 * len(KEYPOINTS)
"""Length of ``keypoints`` in a COCO annotation."""


def boxes_from_masks(masks: Tensor) -> Tensor:
    """Compute the tight boxes (N, 4) xyxy float of masks (N, H, W). No mask may be empty.

    The right and bottom edges are exclusive: a mask of one pixel has a box of 1 x 1.
    """
    columns, rows = masks.any(1), masks.any(2)

    def first_and_end(occupied: Tensor) -> tuple[Tensor, Tensor]:
        occupied = occupied.to(torch.uint8)
        return occupied.argmax(1), occupied.shape[1] - occupied.flip(1).argmax(1)

    (left, right), (top, bottom) = first_and_end(columns), first_and_end(rows)
    return torch.stack([left, top, right, bottom], 1).float()


def keypoints_from_annotations(annotations: list[dict[str, Any]]) -> Tensor:
    """Read the body keypoints (N, 17, 3) of COCO annotations; zeros for an object without keypoints."""
    keypoints = torch.zeros(len(annotations), len(KEYPOINTS), 3)
    for row, annotation in zip(keypoints, annotations, strict=True):
        values = annotation.get("keypoints", ())
        if len(values) == row.numel():
            row[:] = torch.tensor(values, dtype=torch.float32).reshape(row.shape)
    return keypoints


def clear_outside_keypoints(keypoints: Tensor, size: tuple[int, ...]) -> Tensor:
    """Set x, y and visibility of keypoints (N, K, 3) outside an image of ``size`` (height, width) to 0."""
    x, y, visibility = keypoints.unbind(2)
    inside = (x >= 0) & (y >= 0) & (x < size[1]) & (y < size[0]) & (visibility > 0)
    return keypoints * inside[..., None]


def drop_small_objects(target: Target, area_before: Tensor | None = None) -> Target:
    """Recompute the boxes from the masks, drop empty objects, and turn small remnants into ignore regions.

    Args:
        target: a target whose masks were cropped or covered.
        area_before: pixels of each mask (N,) before other objects covered it; None: they were only cropped.
    """
    masks, area = target["masks"], target["masks"].sum((1, 2), dtype=torch.int64)
    large = area >= MIN_OBJECT_PIXELS
    if area_before is not None:
        large &= area >= MIN_VISIBLE_SHARE * area_before
    ignore = torch.cat([target["ignore"], boxes_from_masks(masks[~large & (area > 0)])])
    not_empty = (ignore[:, 2:] - ignore[:, :2] > 0).all(1)
    rows = {name: target[name][large] for name in OBJECT_FIELDS if name in target}
    return {**target, **rows, "boxes": boxes_from_masks(rows["masks"]), "ignore": ignore[not_empty]}


def check_sample(sample: Sample, classes: int, name: str) -> None:
    """Check a sample for errors that torchvision would silently train on.

    Args:
        sample: the image and its target.
        classes: number of classes, without the background.
        name: name of the image, for the message.

    Raises:
        UserError: the sample is wrong; the message names the image and its problem.
    """
    image, target = sample
    boxes, labels, masks = target["boxes"], target["labels"], target["masks"]
    problems = {
        "image is not (3, H, W)": image.ndim != 3 or image.shape[0] != 3,
        "image is not float": not image.is_floating_point(),
        "boxes are not (N, 4)": boxes.ndim != 2 or boxes.shape[1:] != (4,),
        "masks are not (N, H, W) of the image's size": masks.ndim != 3 or masks.shape[1:] != image.shape[1:],
        "numbers of boxes, labels and masks differ": not len(boxes) == len(labels) == len(masks),
        "labels are not int64": labels.dtype != torch.int64,
    }
    if not any(problems.values()):
        sides, edges = boxes[:, 2:] - boxes[:, :2], boxes.new_tensor([image.shape[2], image.shape[1]])
        problems = {
            "image is not in 0..1": not bool(((image >= 0) & (image <= 1)).all()),
            f"a label is not in 1..{classes}": bool(((labels < 1) | (labels > classes)).any()),
            "a box is under a pixel": not bool((sides >= 1).all()),
            "a box leaves the image": bool((boxes < 0).any() or (boxes[:, 2:] > edges).any()),
            "masks are not 0 and 1": masks.dtype != torch.uint8 or bool((masks > 1).any()),
            "a mask is empty": not bool(masks.flatten(1).any(1).all()),
        }
    for problem, is_present in problems.items():
        if is_present:
            raise UserError(f"{name}: {problem}")
