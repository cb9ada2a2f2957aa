"""Copy-paste of instances between training images (Ghiasi et al. 2021), without blending, as they advise."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from torch import Tensor

from pipeline.models.targets import (
    MIN_OBJECT_PIXELS,
    OBJECT_FIELDS,
    Sample,
    Target,
    boxes_from_masks,
    clear_outside_keypoints,
    drop_small_objects,
)

HIDDEN, VISIBLE = 1, 2
"""COCO's marks of a keypoint."""


def paste_some(sample: Sample, donor: Sample, rng: np.random.Generator) -> Sample:
    """Paste each of the donor's objects with probability one half; at least one, if it has any."""
    count = len(donor[1]["labels"])
    if not count:
        return sample
    chosen = rng.random(count) < 0.5
    chosen[int(rng.integers(count))] = True
    return paste(sample, donor, torch.from_numpy(chosen))


def paste(sample: Sample, donor: Sample, chosen: Tensor) -> Sample:
    """Paste the chosen (N,) bool of the donor's objects at their places onto ``sample``.

    What they cover leaves the masks below; objects hidden altogether are dropped, of those all but hidden
    the rest becomes an ignore region. Of a donor of another size the upper left part is taken.
    """
    image, target = sample
    pasted = _fitted({k: v[chosen] for k, v in donor[1].items() if k in OBJECT_FIELDS}, image.shape[1:])
    over = (pasted["masks"] > 0).any(0)  # any() of uint8 is uint8
    picture = _fit(donor[0], image.shape[1:])
    before = target["masks"].sum((1, 2), dtype=torch.int64)
    below = {**target, "masks": target["masks"] * ~over}
    if "keypoints" in target:
        below["keypoints"] = _cover(target["keypoints"], over)
    below = drop_small_objects(below, before)
    together = {k: torch.cat([below[k], pasted[k]]) for k in OBJECT_FIELDS if k in below and k in pasted}
    return torch.where(over, picture, image), {**below, **together}


def _fit(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    """Cut or pad (..., H, W), behind, to a size."""
    (height, width), (h, w) = maps.shape[-2:], size
    return F.pad(maps[..., :h, :w], [0, max(0, w - width), 0, max(0, h - height)])


def _fitted(objects: Target, size: tuple[int, ...]) -> Target:
    """The objects as an image of another size shows them."""
    objects = {**objects, "masks": _fit(objects["masks"], size)}
    kept = objects["masks"].sum((1, 2), dtype=torch.int64) >= MIN_OBJECT_PIXELS
    objects = {k: v[kept] for k, v in objects.items()}
    if "keypoints" in objects:
        objects["keypoints"] = clear_outside_keypoints(objects["keypoints"], size)
    return objects | {"boxes": boxes_from_masks(objects["masks"])}


def _cover(keypoints: Tensor, over: Tensor) -> Tensor:
    """Mark visible keypoints (N, K, 3) under a mask (H, W) as hidden."""
    x, y, mark = keypoints.unbind(2)
    column, row = x.long().clamp(0, over.shape[1] - 1), y.long().clamp(0, over.shape[0] - 1)
    hidden = over[row, column] & (mark == VISIBLE)
    return torch.stack([x, y, torch.where(hidden, HIDDEN, mark)], 2)
