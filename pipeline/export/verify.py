"""Does an exported model find what its checkpoint finds?"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from pycocotools import mask as mask_utils
from torchvision.models.detection import MaskRCNN

from blender.contract import UserError
from pipeline.data.images import read_rgb
from pipeline.inference.exported import Exported, Pixels, Raw
from pipeline.inference.predictions import Prediction, pasted
from pipeline.inference.sources import find_pictures
from pipeline.models.detector import Detector

BOX, SCORE, IOU = 0.1, 1e-3, 0.99
"""How far an exported model may be from its checkpoint: pixels, score, IoU of masks."""
MOST_PICTURES = 20
"""Of those given, spread evenly."""


@dataclass
class Parity:
    """The greatest differences so far."""

    pictures: int = 0
    objects: int = 0
    lost: int = 0
    """Objects that only one of the two finds, though their score is not at the edge."""
    box: float = 0.0
    score: float = 0.0
    iou: float = 1.0

    def holds(self) -> bool:
        """Whether all differences are small enough."""
        return not self.lost and self.box <= BOX and self.score <= SCORE and self.iou >= IOU

    def __str__(self) -> str:
        only = f"{self.lost} found by one of them alone, " if self.lost else ""
        return (
            f"{self.objects} objects in {self.pictures} pictures: {only}boxes within {self.box:.4f} px, "
            f"scores within {self.score:.1e}, mask IoU at least {self.iou:.4f}"
        )


def check_parity(
    model: MaskRCNN, exported: Exported, at: Callable[[float], Exported], images: tuple[Path, ...] = ()
) -> Parity:
    """Compare an exported model with its checkpoint's, on pictures of several sizes and on ``images``.

    Where nothing is found in any of them, boxes of any score are compared. Pictures without an object must
    have an answer too, and so must one of a single colour: there a network sees the same everywhere, and
    rounding decides between equal boxes, and neither set is wrong.

    Args:
        at: the same exported model with another least score of a box.
        images: files, and folders of them.

    Raises:
        UserError: they differ, and by how much; or an image can't be read.
    """
    facts, parity = exported.facts, Parity()
    *made_up, plain = sample_pictures(facts.min_size)
    given = find_pictures(images) if images else []
    count = min(len(given), MOST_PICTURES)
    pictures: list[Pixels | Path] = [*made_up, *(given[len(given) * k // count] for k in range(count))]
    detector = Detector(model)
    with click.progressbar(pictures, label="check", show_pos=True, file=sys.stderr) as bar:
        for picture in bar:
            pixels = read_rgb(picture, upright=True) if isinstance(picture, Path) else picture
            _compare(parity, detector, exported, pixels, facts.min_box_score)
    if not parity.objects:
        everything = at(0.0)
        for pixels in made_up:
            _compare(parity, detector, everything, pixels, 0.0)
    if not parity.objects:
        raise UserError(f"{exported.name}: nothing is found to compare; give --images with photographs")
    if not parity.holds():
        raise UserError(
            f"{exported.name}: not as its checkpoint: {parity}; {BOX} px, {SCORE} and {IOU} are wanted; "
            "nothing is kept"
        )
    nothing = at(2.0)
    for pixels in [*made_up, plain]:
        empty = nothing.raw(pixels)
        if [len(part) for part in empty] != [0] * 4 or empty[0].shape != (0, 4) or empty[3].ndim != 3:
            shapes = [part.shape for part in empty]
            raise UserError(f"{exported.name}: a picture without objects gives {shapes}; nothing is kept")
    return parity


def sample_pictures(side: int) -> Iterator[Pixels]:
    """Coloured clouds and noise, of several sizes around ``side`` pixels, lying and upright; last, black."""
    rng = np.random.default_rng(0)
    for height, width in (
        (side, side),
        (side * 3 // 4, side),
        (side, side // 2 + 1),
        (side * 2 + 1, side + 13),
        (33, 97),
    ):
        clouds = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8)).resize((width, height))
        noise = rng.integers(-20, 21, (height, width, 3))
        yield np.clip(np.asarray(clouds, np.int64) + noise, 0, 255).astype(np.uint8)
    yield np.zeros((side, side, 3), np.uint8)


def _eager(detector: Detector, pixels: Pixels, least: float) -> Raw:
    """What ``Exported.raw`` gives, of the checkpoint's own network."""
    before = detector.roi_heads.score_thresh
    try:
        detector.roi_heads.score_thresh = least
        with torch.inference_mode():
            found = detector(torch.from_numpy(pixels).permute(2, 0, 1).float() / 255)
    finally:
        detector.roi_heads.score_thresh = before
    return tuple(part.numpy() for part in found)


def _compare(parity: Parity, detector: Detector, exported: Exported, pixels: Pixels, least: float) -> None:
    """Pair the objects of both, nearest boxes of one class, and note how far they are apart."""
    ours, theirs = _eager(detector, pixels, least), exported.raw(pixels)
    most = detector.roi_heads.detections_per_img
    free = np.ones(len(theirs[1]), bool)
    alone = []
    for number, (box, label, score, _) in enumerate(zip(*ours, strict=True)):
        far = np.abs(theirs[0] - box).max(axis=1, initial=0) if len(free) else np.zeros(0)
        far = np.where(free & (theirs[1] == label), far, np.inf)
        best = int(far.argmin()) if len(far) else -1
        if best < 0 or far[best] > max(10 * BOX, 1):
            alone.append(score)
            continue
        free[best] = False
        parity.objects += 1
        parity.box = max(parity.box, float(far[best]))
        one, other = (_object(found, n, pixels, exported) for found, n in ((ours, number), (theirs, best)))
        parity.score = max(parity.score, abs(float(one.scores[0] - other.scores[0])))
        parity.iou = min(parity.iou, _iou(one, other))
    # Which objects come last is a matter of rounding, and so may be left out by one of the two.
    for scores, unpaired in ((ours[2], np.array(alone)), (theirs[2], theirs[2][free])):
        edge = max(least, scores.min() if len(scores) == most else 0) + SCORE
        parity.lost += int((unpaired > edge).sum())
    parity.pictures += 1


def _object(found: Raw, number: int, pixels: Pixels, exported: Exported) -> Prediction:
    """One of the objects found, in its picture."""
    boxes, labels, scores, masks = (part[number : number + 1] for part in found)
    size = (pixels.shape[0], pixels.shape[1])
    return pasted(
        boxes, labels, scores, masks, size, exported.facts.mask_threshold, exported.facts.mask_margin
    )


def _iou(one: Prediction, other: Prediction) -> float:
    """IoU of the masks of two single objects; a pixel more or less is rounding, however small they are."""
    both = float(mask_utils.area(mask_utils.merge([*one.rles, *other.rles], intersect=True)))
    either = float(mask_utils.area(mask_utils.merge([*one.rles, *other.rles])))
    return 1.0 if either - both <= 1 else both / either
