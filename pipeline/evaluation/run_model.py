"""Run a model on the images of a COCO dataset, in this process or on the workers of a Dask scheduler."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from blender.contract import UserError, sha256_file
from pipeline.common.task_pool import map_tasks
from pipeline.data.images import read_image
from pipeline.evaluation.baseline import build_baseline
from pipeline.inference.detections import Detections, round_result, to_coco_results
from pipeline.inference.predictor import predict_array
from pipeline.inference.segmenter import MAX_PIXELS
from pipeline.models.checkpoint import load_model

Predict = Callable[[np.ndarray], Detections]
"""Detects the objects in an image (H, W, 3) uint8."""


@dataclass(frozen=True)
class ModelSource:
    """The file from which a worker loads the model."""

    checkpoint: Path
    sha256: str
    baseline: str = ""
    """Kind of the baseline to build from the checkpoint; "": the checkpoint's model."""


@dataclass(frozen=True)
class ImageResult:
    """The detections in one image, as COCO results."""

    detections: list[dict[str, Any]]
    seconds: float
    """Time of the model and its masks, without reading the image."""
    threads: int
    """CPU threads of the model."""


def run_model(
    model: Predict | ModelSource,
    images: list[dict[str, Any]],
    paths: dict[int, Path],
    label_ids: dict[int, int],
    scheduler: str | None = None,
    title: str = "evaluate",
    upright: Collection[int] = (),
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Predict all images and measure the latency.

    Args:
        model: the prediction function; with a scheduler, where the workers load the model from.
        images: entries of a COCO file.
        paths: image id to image file.
        label_ids: the model's label (from 1) to category id; other labels are left out.
        scheduler: address of a Dask scheduler whose workers predict, or None.
        title: label of the progress bar.
        upright: ids of the images that are read upright where their size does not decide (``read_image``).

    Returns:
        COCO results, and ``{"median", "p95", "threads"}``: the latency per image in seconds in the process
        that predicts, without the first image, which warms the model up.

    Raises:
        UserError: an image cannot be read, a worker has another checkpoint, or ``map_tasks`` fails.
    """
    detections: list[dict[str, Any]] = []
    seconds, threads = [], 0
    tasks = [
        (i["id"], paths[i["id"]].absolute(), (i["width"], i["height"]), i["id"] in upright) for i in images
    ]
    predict = functools.partial(_predict_image, model, label_ids)
    with click.progressbar(length=len(images), label=title, show_pos=True, file=sys.stderr) as bar:
        for result in map_tasks(predict, tasks, scheduler):
            detections += result.detections
            seconds.append(result.seconds)
            threads = max(threads, result.threads)
            bar.update(1)
    measured = seconds[1:] or seconds
    latency = {
        "median": round(float(np.median(measured)), 4),
        "p95": round(float(np.percentile(measured, 95)), 4),
        "threads": threads,
    }
    return detections, latency


def _predict_image(
    model: Predict | ModelSource, label_ids: dict[int, int], task: tuple[int, Path, tuple[int, int], bool]
) -> ImageResult:
    """Predict one image: its id, file, size (width, height), and whether it is read upright."""
    predict = _load(model) if isinstance(model, ModelSource) else model
    image_id, path, size, upright = task
    image = read_image(path, size, upright, max_pixels=MAX_PIXELS)
    start = time.perf_counter()
    prediction = predict(image.pixels).resize(size)
    seconds = time.perf_counter() - start
    detections = [round_result(result) for result in to_coco_results(prediction, image_id, label_ids)]
    return ImageResult(detections, seconds, torch.get_num_threads())


@functools.lru_cache(maxsize=1)
def _load(source: ModelSource) -> Predict:
    """Load the model in a worker, once for all tasks."""
    if sha256_file(source.checkpoint) != source.sha256:
        raise UserError(
            f"{source.checkpoint}: a worker has another file there; let all workers use the same folder"
        )
    model, checkpoint = load_model(source.checkpoint)
    if source.baseline:
        model = build_baseline(source.baseline, checkpoint).model
    return functools.partial(predict_array, model)
