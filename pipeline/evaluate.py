"""How good is a model on a COCO file and its images? Tables, intervals, and every prediction.

Coordinates of a file mean the pixels as stored: an EXIF rotation is applied only where the file
gives the size of the turned picture. Classes are matched by name, whatever their ids.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from blender.contract import UserError, canonical_json, sha256_bytes, sha256_file, write_atomic
from pipeline.image_files import check_image, find_image, read_rgb
from pipeline.judge import judge
from pipeline.matching import with_rle
from pipeline.out_dir import claim_out_dir
from pipeline.stamp import is_current, write_stamp
from pipeline.tables import format_table
from pipeline.validate import read_sound_coco

EVALUATOR_VERSION = 2
"""Goes up when the same model and images would be judged differently."""


def evaluate(
    model_path: Path, annotations: Path, images: Path, out: Path | None, bootstrap: int
) -> dict[str, Any]:
    """Judge a model on a COCO file; print AP per class and overall; with ``out``, write all of it.

    ``out`` gets metrics.json and predictions.json (COCO results under the file's own ids, all
    scores). Nothing is computed again if the model, the file and the images are the same.

    Args:
        bootstrap: resamples for the 95 % intervals, over scenes; 0 for none.

    Returns:
        What metrics.json holds.

    Raises:
        UserError: a file is missing or unusable, or model and file share no class.
    """
    if bootstrap < 0:
        raise UserError("--bootstrap must not be negative")
    dataset = _read_sound(annotations)
    if out is not None:
        claim_out_dir(out)
    paths = {image["id"]: find_image(images, image["file_name"]) for image in dataset["images"]}
    inputs = _inputs(model_path, annotations, paths, bootstrap)
    if out is not None and is_current(out / ".evaluate.stamp.json", inputs, _outputs(out)):
        metrics: dict[str, Any] = json.loads((out / "metrics.json").read_bytes())
        click.echo(f"{_heading(metrics)}\n{format_table(metrics)}\nevaluate: up to date ({out})")
        return metrics
    for image in dataset["images"]:
        check_image(paths[image["id"]], (image["width"], image["height"]))
    from pipeline.checkpoint import load_model  # torch: only now is it needed

    model, checkpoint = load_model(model_path)
    shared, notes = _shared_classes(checkpoint.classes, dataset["categories"], annotations)
    results, seconds = _predict(model, dataset["images"], paths, _label_ids(checkpoint.classes, shared))
    metrics = judge(_only(dataset, shared), results, bootstrap, checkpoint.score_threshold)
    metrics |= _facts(checkpoint, inputs, notes) | {"latency": _latency(model, seconds)}
    click.echo(f"{_heading(metrics)}\n{format_table(metrics)}")
    if out is not None:
        write_atomic(out / "predictions.json", canonical_json(results))
        write_atomic(out / "metrics.json", canonical_json(metrics))
        write_stamp(out / ".evaluate.stamp.json", inputs, _outputs(out))
        click.echo(f"evaluate: {out / 'metrics.json'}, {out / 'predictions.json'}")
    return metrics


def _outputs(out: Path) -> list[Path]:
    return [out / "metrics.json", out / "predictions.json"]


def _read_sound(annotations: Path) -> dict[str, Any]:
    """Read a COCO file that can be measured with."""
    dataset = read_sound_coco(annotations)
    if not dataset["annotations"]:
        raise UserError(f"{annotations}: it has no annotations, so there is nothing to measure with")
    return with_rle(dataset)


def _inputs(model: Path, annotations: Path, paths: dict[int, Path], bootstrap: int) -> dict[str, Any]:
    if not model.is_file():
        raise UserError(f"{model}: no such model; train one first (make train)")
    pictures = canonical_json([sha256_file(path) for path in paths.values()])
    return {
        "evaluator": EVALUATOR_VERSION,
        "model": sha256_file(model),
        "annotations": sha256_file(annotations),
        "images": sha256_bytes(pictures),
        "bootstrap": bootstrap,
    }


def _shared_classes(
    classes: tuple[str, ...], categories: list[dict[str, Any]], annotations: Path
) -> tuple[dict[str, int], list[str]]:
    """Classes that both know, with the file's ids, and a note for each that only one knows."""
    ids = {c["name"]: int(c["id"]) for c in categories}
    shared = {name: ids[name] for name in classes if name in ids}
    if not shared:
        raise UserError(
            f"{annotations}: no class in common: the model knows {', '.join(classes)}; the file has "
            f"{', '.join(ids)}; rename the file's categories"
        )
    notes = [f"the file has no category '{name}': not measured" for name in classes if name not in ids]
    notes += [f"the model does not know '{name}': left out" for name in ids if name not in classes]
    return shared, notes


def _label_ids(classes: tuple[str, ...], shared: dict[str, int]) -> dict[int, int]:
    return {label: shared[name] for label, name in enumerate(classes, start=1) if name in shared}


def _only(dataset: dict[str, Any], shared: dict[str, int]) -> dict[str, Any]:
    """The dataset with the shared classes alone."""
    kept = set(shared.values())
    return dataset | {
        "categories": [c for c in dataset["categories"] if c["id"] in kept],
        "annotations": [a for a in dataset["annotations"] if a["category_id"] in kept],
    }


def _predict(
    model: Any, images: list[dict[str, Any]], paths: dict[int, Path], label_ids: dict[int, int]
) -> tuple[list[dict[str, Any]], list[float]]:
    """COCO results of all images, and the seconds that each took the model."""
    from pipeline.inference import predict_array, to_coco

    results: list[dict[str, Any]] = []
    seconds = []
    with click.progressbar(images, label="evaluate", show_pos=True, file=sys.stderr) as bar:
        for image in bar:
            pixels = read_rgb(paths[image["id"]], (image["width"], image["height"]))
            began = time.perf_counter()
            found = predict_array(model, pixels)
            seconds.append(time.perf_counter() - began)
            results += [rounded(result) for result in to_coco(found, image["id"], label_ids)]
    return results, seconds


def rounded(result: dict[str, Any]) -> dict[str, Any]:
    """A COCO result with its box to 1/1000 px and its score to six decimals, as it is written."""
    box = [round(value, 3) for value in result["bbox"]]
    return result | {"bbox": box, "score": round(result["score"], 6)}


def _latency(model: Any, seconds: list[float]) -> dict[str, Any]:
    """Median and 95th percentile of a picture's seconds, masks included; the first only warms up."""
    import torch

    counted = seconds[1:] or seconds
    device = next(model.parameters()).device.type
    return {
        "median": round(float(np.median(counted)), 4),
        "p95": round(float(np.percentile(counted, 95)), 4),
        "device": device,
        "threads": torch.get_num_threads(),
    }


def _facts(checkpoint: Any, inputs: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    return {
        "model": checkpoint.model,
        "model_sha256": inputs["model"],
        "annotations_sha256": inputs["annotations"],
        "start": checkpoint.start,
        "notes": notes,
    }


def _heading(metrics: dict[str, Any]) -> str:
    ignored = sum(table["ignored"] for table in metrics["classes"].values())
    heading = f"{metrics['images']} images, {ignored} ignore regions, {metrics['predictions']} predictions"
    intervals = "; brackets: 95 % interval" if metrics["bootstrap"] else ""
    return "\n".join([f"{heading}{intervals}", *(f"note: {note}" for note in metrics["notes"])])
