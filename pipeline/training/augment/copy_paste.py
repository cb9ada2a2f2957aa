"""Copy-paste augmentation (Ghiasi et al. 2021): paste objects of one image onto another, without blending."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from torch import Tensor

from pipeline.models.samples import (
    MIN_OBJECT_PIXELS,
    OBJECT_FIELDS,
    Sample,
    Target,
    boxes_from_masks,
    clear_outside_keypoints,
    drop_small_objects,
)

PASTE_PROBABILITY = 0.5
"""Of each object of the other image: the paper, too, pastes a random subset."""
HIDDEN, VISIBLE = 1, 2
"""COCO's visibility values of a labelled keypoint."""


def paste_random_objects(sample: Sample, donor: Sample, rng: np.random.Generator) -> Sample:
    """Paste a random subset of the donor's objects onto ``sample``; at least one if there is any."""
    count = len(donor[1]["labels"])
    if not count:
        return sample
    chosen = rng.random(count) < PASTE_PROBABILITY
    chosen[int(rng.integers(count))] = True
    return paste(sample, donor, torch.from_numpy(chosen))


def paste(sample: Sample, donor: Sample, chosen: Tensor) -> Sample:
    """Paste objects of ``donor`` onto ``sample``, at the same place in the image.

    Pasted pixels are removed from the masks below. Objects that are hidden altogether are dropped; an
    object of which too little is left becomes an ignore region (see ``drop_small_objects``). A donor of
    another size is cut or padded at its right and lower edge.

    Args:
        chosen: (N,) bool, which of the donor's objects.
    """
    image, target = sample
    pasted = _fit_objects({k: v[chosen] for k, v in donor[1].items() if k in OBJECT_FIELDS}, image.shape[1:])
    over = (pasted["masks"] > 0).any(0)  # any() of uint8 is uint8
    donor_image = _fit_map(donor[0], image.shape[1:])
    areas = target["masks"].sum((1, 2), dtype=torch.int64)
    below = {**target, "masks": target["masks"] * ~over}
    if "keypoints" in target:
        below["keypoints"] = _hide_keypoints(target["keypoints"], over)
    below = drop_small_objects(below, areas)
    joined = {k: torch.cat([below[k], pasted[k]]) for k in OBJECT_FIELDS if k in below and k in pasted}
    return torch.where(over, donor_image, image), {**below, **joined}


def _fit_map(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    """Cut or pad (..., H, W) at its right and lower edge to a size (height, width)."""
    (height, width), (h, w) = maps.shape[-2:], size
    return F.pad(maps[..., :h, :w], [0, max(0, w - width), 0, max(0, h - height)])


def _fit_objects(objects: Target, size: tuple[int, ...]) -> Target:
    """Cut or pad objects to an image of another size, and drop those of which too little is left."""
    objects = {**objects, "masks": _fit_map(objects["masks"], size)}
    large_enough = objects["masks"].sum((1, 2), dtype=torch.int64) >= MIN_OBJECT_PIXELS
    objects = {k: v[large_enough] for k, v in objects.items()}
    if "keypoints" in objects:
        objects["keypoints"] = clear_outside_keypoints(objects["keypoints"], size)
    return objects | {"boxes": boxes_from_masks(objects["masks"])}


def _hide_keypoints(keypoints: Tensor, over: Tensor) -> Tensor:
    """Mark visible keypoints (N, K, 3) under a mask (H, W) as hidden."""
    x, y, visibility = keypoints.unbind(2)
    column, row = x.long().clamp(0, over.shape[1] - 1), y.long().clamp(0, over.shape[0] - 1)
    hidden = over[row, column] & (visibility == VISIBLE)
    return torch.stack([x, y, torch.where(hidden, HIDDEN, visibility)], 2)
