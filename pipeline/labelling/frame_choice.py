"""Which frames of a video are worth correcting: the least certain ones, without near duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.inference.detections import Detections
from pipeline.labelling.review import assess
from pipeline.tracking.trackers import box_iou

THUMBNAIL = 32
"""Width and height of thumbnails in pixels."""
ALIKE_GREY = 6.0
"""Mean difference of two thumbnails, of 255, up to which they show the same."""
ALIKE_IOU = 0.7
"""IoU of two boxes from which they are of the same object in the same place."""


@dataclass(frozen=True)
class Candidate:
    """A frame that may be kept."""

    detections: Detections
    """Those with a score from ``threshold - NEAR`` on (see ``assess``)."""
    thumbnail: npt.NDArray[np.uint8]
    """See ``to_thumbnail``."""


def to_thumbnail(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Reduce an image (H, W, 3) to (THUMBNAIL, THUMBNAIL) grey values, each the mean of its pixels."""
    grey = Image.fromarray(pixels).convert("L")
    return np.asarray(grey.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))


def choose_frames(candidates: Sequence[Candidate], threshold: float, limit: int) -> list[int]:
    """Choose the frames that are worth correcting.

    Frames that there is a reason to look at (see ``review``) are taken in the order of ``prelabel``, the
    least certain first; one that resembles a chosen frame is left out. Without such a frame, the least
    certain one is chosen.

    Args:
        candidates: frames of one video.
        threshold: the lowest score of an object.
        limit: the largest number of frames.

    Returns:
        The positions of at most ``limit`` candidates, in the order of time.
    """
    doubts = [assess(candidate.detections, threshold) for candidate in candidates]
    order = sorted(range(len(candidates)), key=lambda index: doubts[index].order)
    doubtful = [index for index in order if doubts[index].reasons] or order[:1]
    chosen: list[int] = []
    for index in doubtful:
        if len(chosen) == limit:
            break
        if not any(_alike(candidates[index], candidates[other], threshold) for other in chosen):
            chosen.append(index)
    return sorted(chosen)


def _alike(one: Candidate, other: Candidate, threshold: float) -> bool:
    """Return whether two frames show the same picture with the same objects in the same places."""
    difference = np.abs(one.thumbnail.astype(float) - other.thumbnail)
    if difference.mean() > ALIKE_GREY:
        return False
    first, second = one.detections.filter(threshold), other.detections.filter(threshold)
    if sorted(first.labels.tolist()) != sorted(second.labels.tolist()):
        return False
    iou = box_iou(first.boxes, second.boxes) * (first.labels[:, None] == second.labels)
    return bool((iou.max(1, initial=0.0) >= ALIKE_IOU).all() and (iou.max(0, initial=0.0) >= ALIKE_IOU).all())
