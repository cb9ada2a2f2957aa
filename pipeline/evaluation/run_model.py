"""What a network finds in many pictures, as COCO results: in this process, or on a scheduler's workers."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from blender.contract import UserError, sha256_file
from pipeline.common.task_pool import map_tasks
from pipeline.data.images import read_rgb
from pipeline.evaluation.baseline import build_baseline
from pipeline.inference.detections import Detections, round_result, to_coco_results
from pipeline.inference.predictor import predict_array
from pipeline.models.checkpoint import load_model

Found = tuple[list[dict[str, Any]], float, int]
"""One picture's results, the seconds that they took the network, and its threads."""


@dataclass(frozen=True)
class Source:
    """Where a worker gets the network that this process has."""

    checkpoint: Path
    sha256: str
    baseline: str = ""
    """A kind of baseline, which the checkpoint says how to build; "": its own network."""


def find_in_all(
    network: Callable[[np.ndarray], Detections] | Source,
    images: list[dict[str, Any]],
    paths: dict[int, Path],
    label_ids: dict[int, int],
    scheduler: str | None = None,
    title: str = "evaluate",
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """COCO results of all images, and how fast they came.

    Args:
        network: pixels (H, W, 3) uint8 to what is in them; for a scheduler's workers, where to get it.
        images: entries of a COCO file.
        paths: their files, by id.
        label_ids: label (from 1) to category id; others are left out.
        scheduler: the address of a Dask scheduler whose workers are to do it, or None.

    Returns:
        The results, and ``{"median", "p95", "threads"}`` of a picture's seconds, masks included, on
        whatever did it; the first only warms up.

    Raises:
        UserError: an image cannot be read; a worker has another checkpoint, or ``spread``'s.
    """
    results: list[dict[str, Any]] = []
    seconds, threads = [], 0
    pictures = [(i["id"], paths[i["id"]].absolute(), (i["width"], i["height"])) for i in images]
    with click.progressbar(length=len(images), label=title, show_pos=True, file=sys.stderr) as bar:
        for found, took, used in map_tasks(functools.partial(_find, network, label_ids), pictures, scheduler):
            results += found
            seconds.append(took)
            threads = max(threads, used)
            bar.update(1)
    counted = seconds[1:] or seconds
    latency = {
        "median": round(float(np.median(counted)), 4),
        "p95": round(float(np.percentile(counted, 95)), 4),
        "threads": threads,
    }
    return results, latency


def _find(
    network: Callable[[np.ndarray], Detections] | Source,
    label_ids: dict[int, int],
    picture: tuple[int, Path, tuple[int, int]],
) -> Found:
    find = _load(network) if isinstance(network, Source) else network
    image_id, path, size = picture
    pixels = read_rgb(path, size)
    began = time.perf_counter()
    found = find(pixels)
    took = time.perf_counter() - began
    results = [round_result(result) for result in to_coco_results(found, image_id, label_ids)]
    return results, took, torch.get_num_threads()


@functools.lru_cache(maxsize=1)
def _load(source: Source) -> Callable[[np.ndarray], Detections]:
    """In a worker: the network, kept for the next picture."""
    if sha256_file(source.checkpoint) != source.sha256:
        raise UserError(f"{source.checkpoint}: another file at a worker; give all the same folder")
    model, checkpoint = load_model(source.checkpoint)
    if source.baseline:
        model = build_baseline(source.baseline, checkpoint).model
    return functools.partial(predict_array, model)
