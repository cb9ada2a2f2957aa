"""What an epoch looked like: the images it learnt from, as augmented, and what it then found."""

from __future__ import annotations

import io
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from blender.contract import write_atomic
from pipeline.config import Profile
from pipeline.data.rle import encode_mask
from pipeline.models.checkpoint import Checkpoint
from pipeline.models.targets import Sample
from pipeline.training.augment import augmentation
from pipeline.training.dataset import CocoDataset
from pipeline.training.loop import shuffled_round
from pipeline.viz.contact_sheet import grid
from pipeline.viz.overlays import IGNORED, Overlay, class_colour, draw_overlays, readable

WIDTH = 420
"""Of each image, in pixels."""
MARKS = {1: (255, 120, 0), 2: (0, 255, 90)}
"""Colours of hidden and visible keypoints."""


def show_epoch(
    folder: Path,
    after: Checkpoint,
    profile: Profile,
    train_set: CocoDataset,
    val_set: CocoDataset,
    results: list[dict[str, Any]],
) -> None:
    """Write epoch-001-batch.jpg and epoch-001-validation.jpg (above the truth, below what was found)."""
    count, name = profile.train.pictures, f"epoch-{after.epoch:03d}"
    if not count:
        return
    turn, views = (after.epoch - 1) * profile.train.passes, (after.resume or {})["views"]
    seen = train_set.transformed(augmentation(profile.train, profile.seed, turn % views if views else turn))
    batch = list(chain.from_iterable(shuffled_round(train_set, profile, turn)))[:count]
    _write(folder / f"{name}-batch.jpg", [draw_truth(seen[i], profile.classes) for i in batch], len(batch))
    chosen = np.linspace(0, len(val_set) - 1, min(count, len(val_set))).astype(int).tolist()
    samples = [val_set[i] for i in chosen]
    sure = [r for r in results if r["score"] >= after.score_threshold]
    found = [[r for r in sure if r["image_id"] == val_set.records[i]["id"]] for i in chosen]
    cells = [draw_truth(sample, profile.classes) for sample in samples]
    cells += [
        draw_found(s[0], r, val_set.labels, profile.classes) for s, r in zip(samples, found, strict=True)
    ]
    _write(folder / f"{name}-validation.jpg", cells, len(chosen))


def _write(path: Path, cells: list[Image.Image], columns: int) -> None:
    stream = io.BytesIO()
    grid(cells, columns).save(stream, "JPEG", quality=88)
    write_atomic(path, stream.getvalue())


def draw_truth(sample: Sample, classes: tuple[str, ...]) -> Image.Image:
    """A sample with its masks, boxes, ignore regions (grey frames) and keypoints."""
    image, target = sample
    overlays = [
        Overlay(encode_mask(mask.numpy()), class_colour(label - 1), readable(classes[label - 1]))
        for mask, label in zip(target["masks"], target["labels"].tolist(), strict=True)
    ]
    drawn, scale = _drawn(image, overlays)
    canvas = ImageDraw.Draw(drawn)
    for left, top, right, bottom in (target["ignore"] * scale).tolist():
        canvas.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=IGNORED, width=1)
    for x, y, mark in target["keypoints"].reshape(-1, 3).tolist() if "keypoints" in target else ():
        if mark:
            canvas.circle((x * scale, y * scale), 2, fill=MARKS[int(mark)])
    return drawn


def draw_found(
    image: Tensor, results: list[dict[str, Any]], labels: dict[int, int], classes: tuple[str, ...]
) -> Image.Image:
    """An image (3, H, W) with COCO results.

    Args:
        labels: category id to label, from 1.
    """
    overlays = [
        Overlay(
            r["segmentation"],
            class_colour(labels[r["category_id"]] - 1),
            f"{readable(classes[labels[r['category_id']] - 1])} {r['score']:.2f}",
        )
        for r in results
    ]
    return _drawn(image, overlays)[0]


def _drawn(image: Tensor, overlays: list[Overlay]) -> tuple[Image.Image, float]:
    pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    picture = Image.fromarray(pixels)
    scale = WIDTH / picture.width
    size = (WIDTH, max(1, round(picture.height * scale)))
    return draw_overlays(picture.resize(size, Image.Resampling.BILINEAR), overlays, boxes=True), scale


def log_board(folder: Path, after: Checkpoint, losses: dict[str, float]) -> None:
    """Add the epoch's losses and validation figures to what TensorBoard reads, if it is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return
    figures = {f"losses/{name}": value for name, value in losses.items()}
    for name, found in {**after.metrics["classes"], "overall": after.metrics["overall"]}.items():
        figures |= {f"{kind}/{name}/{m}": found[kind][m] for kind in ("bbox", "segm") for m in ("AP", "AP50")}
    with SummaryWriter(str(folder)) as board:
        for name, value in figures.items():
            if value is not None:  # a class absent from the validation split
                board.add_scalar(name, value, after.epoch)
