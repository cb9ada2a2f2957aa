"""Draw images of each epoch: augmented training images, and detections in validation images."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from blender.contract import write_atomic
from pipeline.config import Profile
from pipeline.data.rle import encode_mask
from pipeline.models.checkpoint import Checkpoint
from pipeline.models.samples import Sample
from pipeline.training.augment.augmentation import augmentation
from pipeline.training.dataset import CocoDataset
from pipeline.training.feature_cache import FeatureCache
from pipeline.viz.contact_sheet import grid
from pipeline.viz.overlays import IGNORED, Overlay, class_colour, draw_overlays, readable

IMAGE_WIDTH = 420
"""Width of each image in pixels: four of them fit on a screen."""
KEYPOINT_COLOURS = {1: (255, 120, 0), 2: (0, 255, 90)}
"""RGB of hidden (1) and visible (2) keypoints."""
KEYPOINT_RADIUS = 2
"""Radius of a keypoint's dot in pixels."""
JPEG_QUALITY = 88


def write_epoch_images(
    folder: Path,
    checkpoint: Checkpoint,
    profile: Profile,
    feature_cache: FeatureCache,
    train_set: CocoDataset,
    val_set: CocoDataset,
    results: list[dict[str, Any]],
    first: list[int],
) -> None:
    """Write epoch-001-batch.jpg and epoch-001-validation.jpg, with ``profile.train.pictures`` images each.

    The first file shows augmented training images; the second shows the ground truth above the detections.

    Args:
        folder: folder of the files.
        checkpoint: the checkpoint after the epoch.
        profile: the run's profile.
        feature_cache: decides on the augmented view.
        train_set: the training images.
        val_set: the validation images.
        results: COCO results on the validation split; those below the score threshold are left out.
        first: indices of the images at the start of the epoch.
    """
    count, name = profile.train.pictures, f"epoch-{checkpoint.epoch:03d}"
    if not count:
        return
    view = feature_cache.view_of((checkpoint.epoch - 1) * profile.train.passes)
    main_classes = profile.train.main_classes or len(profile.classes)
    augmented = train_set.transformed(augmentation(profile.train, profile.seed, view, main_classes))
    first = first[:count]
    names = (*profile.classes, *profile.model.auxiliary)
    cells = [draw_ground_truth(augmented[i], names) for i in first]
    _write_grid(folder / f"{name}-batch.jpg", cells, len(first))

    chosen = np.linspace(0, len(val_set) - 1, min(count, len(val_set))).astype(int).tolist()
    samples = [val_set[i] for i in chosen]
    confident = [r for r in results if r["score"] >= checkpoint.score_threshold]
    cells = [draw_ground_truth(sample, profile.classes) for sample in samples]
    for i, (image, _) in zip(chosen, samples, strict=True):
        of_image = [r for r in confident if r["image_id"] == val_set.records[i]["id"]]
        cells.append(draw_detections(image, of_image, val_set.labels, profile.classes))
    _write_grid(folder / f"{name}-validation.jpg", cells, len(chosen))


def _write_grid(path: Path, cells: list[Image.Image], columns: int) -> None:
    stream = io.BytesIO()
    grid(cells, columns).save(stream, "JPEG", quality=JPEG_QUALITY)
    write_atomic(path, stream.getvalue())


def draw_ground_truth(sample: Sample, classes: tuple[str, ...]) -> Image.Image:
    """Draw a sample with its masks, boxes, keypoints and ignore regions (grey frames)."""
    image, target = sample
    overlays = [
        Overlay(encode_mask(mask.numpy()), class_colour(label - 1), readable(classes[label - 1]))
        for mask, label in zip(target["masks"], target["labels"].tolist(), strict=True)
    ]
    drawn, scale = _draw(image, overlays)
    canvas = ImageDraw.Draw(drawn)
    for left, top, right, bottom in (target["ignore"] * scale).tolist():
        canvas.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=IGNORED, width=1)
    for x, y, visibility in target["keypoints"].reshape(-1, 3).tolist() if "keypoints" in target else ():
        if visibility:
            colour = KEYPOINT_COLOURS[int(visibility)]
            canvas.circle((x * scale, y * scale), KEYPOINT_RADIUS, fill=colour)
    return drawn


def draw_detections(
    image: Tensor, results: list[dict[str, Any]], labels: dict[int, int], classes: tuple[str, ...]
) -> Image.Image:
    """Draw an image (3, H, W) with the COCO results on it.

    Args:
        image: the image.
        results: its COCO results.
        labels: category id to label, from 1.
        classes: names of labels 1, 2, ...
    """
    overlays = [
        Overlay(
            r["segmentation"],
            class_colour(labels[r["category_id"]] - 1),
            f"{readable(classes[labels[r['category_id']] - 1])} {r['score']:.2f}",
        )
        for r in results
    ]
    return _draw(image, overlays)[0]


def _draw(image: Tensor, overlays: list[Overlay]) -> tuple[Image.Image, float]:
    """Return the image (3, H, W) at ``IMAGE_WIDTH`` with overlays, and the scale factor."""
    pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    full = Image.fromarray(pixels)
    scale = IMAGE_WIDTH / full.width
    size = (IMAGE_WIDTH, max(1, round(full.height * scale)))
    return draw_overlays(full.resize(size, Image.Resampling.BILINEAR), overlays, boxes=True), scale
