"""Inference: time per image from file to masks, for the model, its ONNX export and torchvision's model."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from typing import Any

from blender.contract import UserError
from pipeline.bench.measurement import clocks, measure_in_subprocess
from pipeline.bench.options import BenchOptions
from pipeline.bench.parts.rendered_split import render_split
from pipeline.config import read_profile

# Functions that run in a measured process import torch and the model code themselves, for start-up time and
# because the memory of the measuring process must stay small.

WARM_UP_IMAGES = 2
"""Images that are predicted first and not counted."""
REPEATS = 2
"""Runs of each model, in new processes and in turns, so that other load affects all models alike."""


def measure(options: BenchOptions) -> dict[str, Any]:
    """Time all models on the same images; if ONNX cannot be exported, the reason is listed."""
    images = render_split(options, "train", options.images).image_paths()
    with tempfile.TemporaryDirectory(prefix="transpalette-bench-") as name:
        model = options.model or Path(name) / "model.safetensors"
        if options.model is None:
            measure_in_subprocess("initial model", write_initial_model, options.profile, model)
        tasks: dict[str, tuple[Callable[..., dict[str, Any]], tuple[Any, ...]]] = {
            "eager": (predict_with_segmenter, (model, images))
        }
        unavailable = {}
        try:
            onnx = Path(name) / "model.onnx"
            measure_in_subprocess("export to ONNX", export, model, onnx)
            tasks["ONNX"] = (predict_with_segmenter, (onnx, images))
        except UserError as error:
            unavailable["ONNX"] = str(error)
        # torchvision's model once limited to as many detections as the model has, so that both paste as many
        # masks, and once with its default limit.
        first = measure_in_subprocess(
            "inference, eager, to count objects", predict_with_segmenter, model, images
        )
        count = max(1, round(first["objects"]))
        tasks["torchvision"] = (predict_with_torchvision, (images, count))
        tasks["torchvision, 100 objects"] = (predict_with_torchvision, (images, 100))
        runs: dict[str, list[dict[str, Any]]] = {title: [] for title in tasks}
        for repeat in range(REPEATS):
            for title, (work, arguments) in tasks.items():
                step = f"inference, {title}, {repeat + 1} of {REPEATS}"
                runs[title].append(measure_in_subprocess(step, work, *arguments))
    models = {title: _summary(rows) for title, rows in runs.items()}
    return {
        "trained": options.model is not None,
        "images": len(images),
        "models": models,
        "unavailable": unavailable,
        "speedup": models["torchvision"]["milliseconds"] / models["eager"]["milliseconds"],
        "speedup_cpu": models["torchvision"]["cpu_milliseconds"] / models["eager"]["cpu_milliseconds"],
    }


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Combine the runs of a model: medians over all images of all runs, and the largest memory."""
    milliseconds = [value for run in runs for value in run["milliseconds"]]
    return {
        "milliseconds": median(milliseconds),
        "cpu_milliseconds": median(value for run in runs for value in run["cpu_milliseconds"]),
        "images_per_second": 1000 / mean(milliseconds),
        "peak_mb": max(run["peak_mb"] for run in runs),
        "objects": mean(run["objects"] for run in runs),
        "load_seconds": min(run["load_seconds"] for run in runs),
        "runs": [median(run["milliseconds"]) for run in runs],
    }


def write_initial_model(profile_path: Path, path: Path) -> dict[str, Any]:
    """Write a checkpoint of the embedded initial model, before the first training step."""
    import torch

    from pipeline.models.checkpoint import save_checkpoint
    from pipeline.training.train_state import initial_checkpoint

    profile = read_profile(profile_path)
    profile = replace(profile, model=replace(profile.model, name="auto", weights="embedded"))
    start = initial_checkpoint(profile, 0, "bench", torch.device("cpu"))
    save_checkpoint(path, replace(start, resume=None))
    return {}


def export(model: Path, out: Path) -> dict[str, Any]:
    """Export the model to ONNX.

    Raises:
        UserError: a package is missing, or the exported file does not agree with the model.
    """
    from pipeline.export.command import export_model

    export_model(model, out)
    return {}


def predict_with_segmenter(model: Path, images: list[Path]) -> dict[str, Any]:
    """Time ``pipeline.load_model(model).predict(image)``, everything included."""
    from pipeline import load_model

    start = time.perf_counter()
    segmenter = load_model(model)
    loaded = time.perf_counter() - start
    return {
        **_time_images(lambda image: len(segmenter.predict(image, 0.0).scores), images),
        "load_seconds": loaded,
    }


def predict_with_torchvision(images: list[Path], detections_per_image: int) -> dict[str, Any]:
    """Time torchvision's plain ``maskrcnn_resnet50_fpn`` with three classes and random weights.

    Args:
        images: the image files.
        detections_per_image: limit for the detections in an image; with random weights, each image reaches
            it.
    """
    import numpy as np
    import torch
    from PIL import Image
    from torchvision.models.detection import maskrcnn_resnet50_fpn

    torch.manual_seed(0)
    start = time.perf_counter()
    model = maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=3, box_detections_per_img=detections_per_image
    ).eval()
    loaded = time.perf_counter() - start

    def predict(path: Path) -> int:
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))
        with torch.inference_mode():
            (detections,) = model([torch.from_numpy(pixels).permute(2, 0, 1).float() / 255])
            return len((detections["masks"][:, 0] >= 0.5).numpy())

    return {**_time_images(predict, images), "load_seconds": loaded}


def _time_images(predict: Callable[[Path], int], images: list[Path]) -> dict[str, Any]:
    """Time a prediction for each image; ``predict`` returns the number of detections."""
    for image in images[:WARM_UP_IMAGES]:
        predict(image)
    milliseconds, cpu_milliseconds, objects = [], [], []
    for image in images:
        wall, cpu = clocks()
        objects.append(predict(image))
        wall_end, cpu_end = clocks()
        milliseconds.append(1000 * (wall_end - wall))
        cpu_milliseconds.append(1000 * (cpu_end - cpu))
    return {"milliseconds": milliseconds, "cpu_milliseconds": cpu_milliseconds, "objects": mean(objects)}
