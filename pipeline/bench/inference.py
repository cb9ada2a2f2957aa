"""A picture's milliseconds, from its file to masks: ours in each format, and torchvision's plain model."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from typing import Any

from blender.contract import UserError
from pipeline.bench.child import measured
from pipeline.bench.data import split
from pipeline.bench.plan import Plan
from pipeline.config import read_profile

FORMATS = {"onnx": "ONNX"}
"""What ``transpalette export`` writes, and what a table calls it."""
WARM = 2
"""Pictures that are not counted."""
TURNS = 2
"""Every way is timed so often, in processes of its own, in turns: what else runs falls on all of them."""


def measure(plan: Plan) -> dict[str, Any]:
    """Time all ways on the same pictures; a format that can't be had is named with the reason."""
    pictures = split(plan, "train", plan.images).pictures()
    with tempfile.TemporaryDirectory(prefix="transpalette-bench-") as name:
        model = plan.model or Path(name) / "model.safetensors"
        if plan.model is None:
            measured("an untrained model", write_start, plan.profile, model)
        ways: dict[str, tuple[Callable[..., dict[str, Any]], tuple[Any, ...]]] = {
            "eager": (segmenter, (model, pictures))
        }
        missing = {}
        for to, title in FORMATS.items():
            file = Path(name) / f"model.{to}"
            try:
                measured(f"export to {title}", export, model, to, file)
                ways[title] = (segmenter, (file, pictures))
            except UserError as error:
                missing[title] = str(error)
        # As many objects as ours finds, so that neither has more masks to paste; then as it comes.
        first = measured("inference, eager, to count objects", segmenter, model, pictures)
        found = max(1, round(first["objects"]))
        ways["torchvision"] = (torchvision, (pictures, found))
        ways["torchvision, 100 objects"] = (torchvision, (pictures, 100))
        runs: dict[str, list[dict[str, Any]]] = {title: [] for title in ways}
        for turn in range(TURNS):
            for title, (work, arguments) in ways.items():
                runs[title].append(measured(f"inference, {title}, {turn + 1} of {TURNS}", work, *arguments))
    table = {title: _summed(rows) for title, rows in runs.items()}
    return {
        "trained": plan.model is not None,
        "pictures": len(pictures),
        "ways": table,
        "missing": missing,
        "speedup": table["torchvision"]["milliseconds"] / table["eager"]["milliseconds"],
        "speedup_cpu": table["torchvision"]["cpu_milliseconds"] / table["eager"]["cpu_milliseconds"],
    }


def _summed(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Median over all pictures of all turns; the largest memory."""
    times = [one for run in runs for one in run["milliseconds"]]
    return {
        "milliseconds": median(times),
        "cpu_milliseconds": median(one for run in runs for one in run["cpu_milliseconds"]),
        "images_per_second": 1000 / mean(times),
        "peak_mb": max(run["peak_mb"] for run in runs),
        "objects": mean(run["objects"] for run in runs),
        "load_seconds": min(run["load_seconds"] for run in runs),
        "runs": [median(run["milliseconds"]) for run in runs],
    }


def write_start(profile_path: Path, path: Path) -> dict[str, Any]:
    """Write a checkpoint of the embedded start before its first step."""
    import torch

    from pipeline.models.checkpoint import save_checkpoint
    from pipeline.training.train_state import initial_checkpoint

    profile = read_profile(profile_path)
    profile = replace(profile, model=replace(profile.model, name="auto", weights="embedded"))
    start = initial_checkpoint(profile, 0, "bench", torch.device("cpu"))
    save_checkpoint(path, replace(start, resume=None))
    return {}


def export(model: Path, to: str, out: Path) -> dict[str, Any]:
    """Write the model in another format.

    Raises:
        UserError: a package is missing, or the file does not agree with the model.
    """
    from pipeline.export.export import export_model

    export_model(model, out)
    return {}


def segmenter(model: Path, pictures: list[Path]) -> dict[str, Any]:
    """``pipeline.load_model(model).predict(picture)``, everything included."""
    from pipeline import load_model

    began = time.perf_counter()
    ours = load_model(model)
    loaded = time.perf_counter() - began
    return {
        **_timed(lambda picture: len(ours.predict(picture, 0.0).scores), pictures),
        "load_seconds": loaded,
    }


def torchvision(pictures: list[Path], objects: int) -> dict[str, Any]:
    """torchvision's ``maskrcnn_resnet50_fpn`` as it comes, with three classes and random weights.

    Args:
        objects: it finds at most so many in a picture; untrained as it is, it finds that many in each.
    """
    import numpy as np
    import torch
    from PIL import Image
    from torchvision.models.detection import maskrcnn_resnet50_fpn

    torch.manual_seed(0)
    began = time.perf_counter()
    model = maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=3, box_detections_per_img=objects
    ).eval()
    loaded = time.perf_counter() - began

    def predict(picture: Path) -> int:
        with Image.open(picture) as image:
            pixels = np.array(image.convert("RGB"))
        with torch.inference_mode():
            (found,) = model([torch.from_numpy(pixels).permute(2, 0, 1).float() / 255])
            return len((found["masks"][:, 0] >= 0.5).numpy())

    return {**_timed(predict, pictures), "load_seconds": loaded}


def _timed(predict: Callable[[Path], int], pictures: list[Path]) -> dict[str, Any]:
    for picture in pictures[:WARM]:
        predict(picture)
    milliseconds, cpu, objects = [], [], []
    for picture in pictures:
        began, computed = time.perf_counter(), time.process_time()
        objects.append(predict(picture))
        milliseconds.append(1000 * (time.perf_counter() - began))
        cpu.append(1000 * (time.process_time() - computed))
    return {"milliseconds": milliseconds, "cpu_milliseconds": cpu, "objects": mean(objects)}
