"""What a sample is: an image and its target; the checks and the sums that keep the two together."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from blender.contract import KEYPOINTS
from pipeline.config import UserError

Target = dict[str, Tensor]
"""``boxes`` (N, 4) xyxy float, ``labels`` (N,) int64 from 1, ``masks`` (N, H, W) uint8,
``ignore`` (K, 4) xyxy float: regions that are neither object nor background, ``image_id`` (); where the file
has COCO's body keypoints also ``keypoints`` (N, 17, 3) float: x, y, mark (0 unknown, 1 hidden, 2 visible)."""
Sample = tuple[Tensor, Target]
"""Image (3, H, W) float in 0..1, and its target."""
PER_OBJECT = ("boxes", "labels", "masks", "keypoints")
"""Entries of a target with a row an object."""
LEAST_PIXELS = 16
"""An object of which augmentation leaves fewer pixels becomes an ignore region ..."""
LEAST_SHARE = 0.1
"""... and so does one of which what was pasted over it leaves a smaller share."""
KEYPOINT_NUMBERS = 3 * len(KEYPOINTS)


def boxes_of(masks: Tensor) -> Tensor:
    """Tight boxes (N, 4) xyxy float of masks (N, H, W), the far edges exclusive; none may be empty."""
    columns, rows = masks.any(1), masks.any(2)

    def span(hit: Tensor) -> tuple[Tensor, Tensor]:
        hit = hit.to(torch.uint8)
        return hit.argmax(1), hit.shape[1] - hit.flip(1).argmax(1)

    (left, right), (top, bottom) = span(columns), span(rows)
    return torch.stack([left, top, right, bottom], 1).float()


def keypoints_of(annotations: list[dict[str, Any]]) -> Tensor:
    """Body keypoints (N, 17, 3); zeros for an object without."""
    points = torch.zeros(len(annotations), len(KEYPOINTS), 3)
    for row, annotation in zip(points, annotations, strict=True):
        given = annotation.get("keypoints", ())
        if len(given) == row.numel():
            row[:] = torch.tensor(given, dtype=torch.float32).reshape(row.shape)
    return points


def within(keypoints: Tensor, size: tuple[int, ...]) -> Tensor:
    """Forget keypoints (N, K, 3) outside an image of (height, width): x, y and mark become 0."""
    x, y, mark = keypoints.unbind(2)
    inside = (x >= 0) & (y >= 0) & (x < size[1]) & (y < size[0]) & (mark > 0)
    return keypoints * inside[..., None]


def drop_lost(target: Target, before: Tensor | None = None) -> Target:
    """Take the boxes from the masks; drop objects that left none, and make remnants ignore regions.

    Args:
        before: pixels of each mask, (N,), before something covered it.
    """
    masks, area = target["masks"], target["masks"].sum((1, 2), dtype=torch.int64)
    kept = area >= LEAST_PIXELS
    if before is not None:
        kept &= area >= LEAST_SHARE * before
    ignore = torch.cat([target["ignore"], boxes_of(masks[~kept & (area > 0)])])
    visible = (ignore[:, 2:] - ignore[:, :2] > 0).all(1)
    rows = {k: target[k][kept] for k in PER_OBJECT if k in target}
    return {**target, **rows, "boxes": boxes_of(rows["masks"]), "ignore": ignore[visible]}


def check_sample(sample: Sample, classes: int, name: str) -> None:
    """Refuse what torchvision would train on silently and wrongly.

    Raises:
        UserError: names the image and what is wrong with it.
    """
    image, target = sample
    boxes, labels, masks = target["boxes"], target["labels"], target["masks"]
    faults = {
        "image is not (3, H, W)": image.ndim != 3 or image.shape[0] != 3,
        "image is not float": not image.is_floating_point(),
        "boxes are not (N, 4)": boxes.ndim != 2 or boxes.shape[1:] != (4,),
        "masks are not (N, H, W) of the image's size": masks.ndim != 3 or masks.shape[1:] != image.shape[1:],
        "numbers of boxes, labels and masks differ": not len(boxes) == len(labels) == len(masks),
        "labels are not int64": labels.dtype != torch.int64,
    }
    if not any(faults.values()):
        sides, edges = boxes[:, 2:] - boxes[:, :2], boxes.new_tensor([image.shape[2], image.shape[1]])
        faults = {
            "image is not in 0..1": not bool(((image >= 0) & (image <= 1)).all()),
            f"a label is not in 1..{classes}": bool(((labels < 1) | (labels > classes)).any()),
            "a box is under a pixel": not bool((sides >= 1).all()),
            "a box leaves the image": bool((boxes < 0).any() or (boxes[:, 2:] > edges).any()),
            "masks are not 0 and 1": masks.dtype != torch.uint8 or bool((masks > 1).any()),
            "a mask is empty": not bool(masks.flatten(1).any(1).all()),
        }
    for fault, found in faults.items():
        if found:
            raise UserError(f"{name}: {fault}")
