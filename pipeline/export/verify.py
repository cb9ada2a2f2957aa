"""The parity check: compare the detections of an exported model with those of its checkpoint."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image

from blender.contract import UserError
from pipeline.data.images import read_rgb
from pipeline.inference.detections import Detections
from pipeline.inference.exported import ExportedModel, Pixels, RawDetections
from pipeline.inference.mask_pasting import paste_masks
from pipeline.inference.pairing import mask_iou, pair_boxes
from pipeline.inference.sources import find_images
from pipeline.models.detector import Detector
from pipeline.models.mask_rcnn import TranspaletteMaskRCNN

MAX_BOX_DIFFERENCE, MAX_SCORE_DIFFERENCE, MIN_MASK_IOU = 0.1, 1e-3, 0.99
"""Tolerances: pixels of a box's edge, score, and IoU of masks."""
MAX_PAIR_DISTANCE = 1.0
"""Largest distance in pixels between the edges of two boxes that are compared as the same object."""
MAX_IMAGES = 20
"""Largest number of given images that are compared; they are spread evenly over all given images."""
IMPOSSIBLE_SCORE = 2.0
"""A lowest box score that no detection reaches."""


@dataclass
class Parity:
    """The largest differences in the compared images."""

    images: int = 0
    objects: int = 0
    unmatched: int = 0
    """Objects that only one of the two models detects, without those whose score is near the threshold."""
    box: float = 0.0
    """Largest distance between box edges, in pixels."""
    score: float = 0.0
    """Largest difference of scores."""
    mask_iou: float = 1.0
    """Smallest IoU of masks."""

    def is_within_tolerances(self) -> bool:
        """Return whether all differences are within the tolerances."""
        return (
            not self.unmatched
            and self.box <= MAX_BOX_DIFFERENCE
            and self.score <= MAX_SCORE_DIFFERENCE
            and self.mask_iou >= MIN_MASK_IOU
        )

    def __str__(self) -> str:
        unmatched = f"{self.unmatched} detected by only one model, " if self.unmatched else ""
        return (
            f"{self.objects} objects in {self.images} images: {unmatched}boxes within {self.box:.4f} px, "
            f"scores within {self.score:.1e}, mask IoU at least {self.mask_iou:.4f}"
        )


def check_parity(
    model: TranspaletteMaskRCNN,
    exported: ExportedModel,
    with_min_score: Callable[[float], ExportedModel],
    images: tuple[Path, ...] = (),
) -> Parity:
    """Compare an exported model with its checkpoint, on generated images of several sizes and on ``images``.

    If nothing is detected in any of them, boxes of any score are compared. The exported model must also work
    on images without detections. This is also checked on a black image, which is not compared: the network's
    outputs are the same everywhere in it, so rounding decides which of many equal boxes are returned.

    Args:
        model: the checkpoint's model.
        exported: the exported model.
        with_min_score: builds the same exported model with another lowest box score.
        images: files and folders.

    Returns:
        The differences.

    Raises:
        UserError: the detections differ (the message says by how much), or an image cannot be read.
    """
    min_score, parity = exported.metadata.min_box_score, Parity()
    *generated, black = generate_images(exported.metadata.min_size)
    paths = find_images(images) if images else []
    count = min(len(paths), MAX_IMAGES)
    compared: list[Pixels | Path] = [*generated, *(paths[len(paths) * k // count] for k in range(count))]
    detector = Detector(model)
    with click.progressbar(compared, label="check", show_pos=True, file=sys.stderr) as bar:
        for image in bar:
            pixels = read_rgb(image, upright=True) if isinstance(image, Path) else image
            _compare(parity, detector, exported, pixels, min_score)
    if not parity.objects:
        unlimited = with_min_score(0.0)
        for pixels in generated:
            _compare(parity, detector, unlimited, pixels, 0.0)
    if not parity.objects:
        raise UserError(f"{exported.name}: no detections to compare; give --images with photographs")
    if not parity.is_within_tolerances():
        raise UserError(
            f"{exported.name}: differs from its checkpoint: {parity}; allowed are {MAX_BOX_DIFFERENCE} px, "
            f"{MAX_SCORE_DIFFERENCE} and {MIN_MASK_IOU}; nothing is written"
        )
    _check_no_objects(with_min_score(IMPOSSIBLE_SCORE), [*generated, black])
    return parity


def _check_no_objects(exported: ExportedModel, images: list[Pixels]) -> None:
    """Check the shapes of the outputs for images without detections.

    Raises:
        UserError: a shape is wrong.
    """
    for pixels in images:
        outputs = exported.run(pixels)
        if [len(x) for x in outputs] != [0] * 4 or outputs[0].shape != (0, 4) or outputs[3].ndim != 3:
            shapes = [x.shape for x in outputs]
            raise UserError(f"{exported.name}: an image without objects gives {shapes}; nothing is written")


def generate_images(side: int) -> Iterator[Pixels]:
    """Generate images of coloured clouds and noise, of several sizes around ``side`` pixels, and a black
    image."""
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


def _run_checkpoint(detector: Detector, pixels: Pixels, min_score: float) -> RawDetections:
    """Run the checkpoint's network; return the same arrays as ``ExportedModel.run``."""
    before = detector.roi_heads.score_thresh
    try:
        detector.roi_heads.score_thresh = min_score
        with torch.inference_mode():
            outputs = detector(torch.from_numpy(pixels).permute(2, 0, 1).float() / 255)
    finally:
        detector.roi_heads.score_thresh = before
    return tuple(x.numpy() for x in outputs)


def _compare(
    parity: Parity, detector: Detector, exported: ExportedModel, pixels: Pixels, min_score: float
) -> None:
    """Pair the nearest boxes of a class from both models, and update ``parity``."""
    expected, actual = _run_checkpoint(detector, pixels, min_score), exported.run(pixels)
    pairs = pair_boxes((expected[0], expected[1]), (actual[0], actual[1]), MAX_PAIR_DISTANCE)
    for number, partner in pairs:
        first = _paste_object(expected, number, pixels, exported)
        second = _paste_object(actual, partner, pixels, exported)
        parity.objects += 1
        parity.box = max(parity.box, float(np.abs(expected[0][number] - actual[0][partner]).max()))
        parity.score = max(parity.score, abs(float(first.scores[0] - second.scores[0])))
        parity.mask_iou = min(parity.mask_iou, mask_iou(first.rles[0], second.rles[0]))
    limit = detector.roi_heads.detections_per_img
    # Rounding decides on objects just above the threshold, and on the last object if their number is limited.
    for side, scores in enumerate((expected[2], actual[2])):
        alone = np.delete(scores, [pair[side] for pair in pairs])
        edge = max(min_score, scores.min() if len(scores) == limit else 0) + MAX_SCORE_DIFFERENCE
        parity.unmatched += int((alone > edge).sum())
    parity.images += 1


def _paste_object(
    detections: RawDetections, number: int, pixels: Pixels, exported: ExportedModel
) -> Detections:
    """Paste the mask of the detection with index ``number`` into its image."""
    boxes, labels, scores, masks = (x[number : number + 1] for x in detections)
    size, metadata = (pixels.shape[0], pixels.shape[1]), exported.metadata
    return paste_masks(boxes, labels, scores, masks, size, metadata.mask_threshold, metadata.mask_margin)
