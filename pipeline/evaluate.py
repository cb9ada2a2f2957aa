"""How good is a model on a COCO file and its images? Tables, intervals, and every prediction.

Coordinates of a file mean the pixels as stored: an EXIF rotation is applied only where the file
gives the size of the turned picture. Classes are matched by name, whatever their ids.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import click
import numpy as np

from blender.contract import UserError, canonical_json, sha256_bytes, sha256_file, write_atomic
from pipeline.config import ExtraSet
from pipeline.image_files import check_image, find_image, read_rgb
from pipeline.metrics import IOU_TYPES, METRICS, bootstrap_intervals, coco_metrics
from pipeline.mixing import Mix, check_targets, describe_extra, mix
from pipeline.out_dir import claim_out_dir
from pipeline.stamp import is_current, write_stamp
from pipeline.tables import format_table

EVALUATOR_VERSION = 2
"""Goes up when the same model and images would be judged differently."""


def evaluate(
    model_path: Path,
    annotations: Path,
    images: Path,
    out: Path | None,
    bootstrap: int,
    sets: tuple[ExtraSet, ...] = (),
) -> dict[str, Any]:
    """Print box and mask AP of a model, per class and overall; with ``out``, write them too.

    ``out`` gets metrics.json and predictions.json (COCO results under the file's own ids, all
    scores). Nothing is computed again if the model, the file and the images are the same.

    Args:
        bootstrap: resamples for the 95 % intervals, over scenes; 0 for none.
        sets: what to measure on if it is more than ``annotations`` as they are: that file first, with
            its mapping, then others. ``out`` gets annotations.json, all of them in one table: an image
            keeps its id unless an earlier set has it.

    Returns:
        What metrics.json holds.

    Raises:
        UserError: a file is missing or unusable, or model and file share no class.
    """
    if bootstrap < 0:
        raise UserError("--bootstrap must not be negative")
    sets = sets or (ExtraSet(str(annotations), str(images)),)
    mixed = _mix(sets)
    dataset = mixed.dataset
    if out is not None:
        claim_out_dir(out)
    paths = {i["id"]: find_image(mixed.folders[i["id"]], i["file_name"]) for i in dataset["images"]}
    inputs = _inputs(model_path, sets, paths, bootstrap)
    if out is not None and is_current(out / ".evaluate.stamp.json", inputs, _outputs(out)):
        metrics: dict[str, Any] = json.loads((out / "metrics.json").read_bytes())
        click.echo(f"{_heading(metrics)}\n{format_table(metrics)}\nevaluate: up to date ({out})")
        return metrics
    for image in dataset["images"]:
        check_image(paths[image["id"]], (image["width"], image["height"]))
    from pipeline.checkpoint import load_model  # torch: only now is it needed

    model, checkpoint = load_model(model_path)
    check_targets(sets, checkpoint.classes)
    shared, notes = _shared_classes(checkpoint.classes, dataset["categories"], annotations)
    notes = describe_extra(mixed, sets, checkpoint.classes) + notes
    began = time.monotonic()
    results = _predict(model, dataset["images"], paths, _label_ids(checkpoint.classes, shared))
    seconds = time.monotonic() - began
    metrics = _judge(_only(dataset, shared), results, bootstrap) | _facts(checkpoint, inputs, notes)
    metrics["seconds_per_image"] = round(seconds / len(paths), 4)
    click.echo(f"{_heading(metrics)}\n{format_table(metrics)}")
    if out is not None:
        if len(sets) > 1:
            write_atomic(out / "annotations.json", canonical_json(dataset))
        write_atomic(out / "predictions.json", canonical_json(results))
        write_atomic(out / "metrics.json", canonical_json(metrics))
        write_stamp(out / ".evaluate.stamp.json", inputs, _outputs(out))
        click.echo(f"evaluate: {out / 'metrics.json'}, {out / 'predictions.json'}")
    return metrics


def _outputs(out: Path) -> list[Path]:
    return [out / "metrics.json", out / "predictions.json"]


def _mix(sets: tuple[ExtraSet, ...]) -> Mix:
    """Read what to measure with: one COCO file, or several as one."""
    mixed = mix(sets)
    if not mixed.dataset["annotations"]:
        raise UserError(f"{sets[0].annotations}: it has no annotations, so there is nothing to measure with")
    return mixed


def _inputs(
    model: Path, sets: tuple[ExtraSet, ...], paths: dict[int, Path], bootstrap: int
) -> dict[str, Any]:
    if not model.is_file():
        raise UserError(f"{model}: no such model; train one first (make train)")
    pictures = canonical_json([sha256_file(path) for path in paths.values()])
    return {
        "evaluator": EVALUATOR_VERSION,
        "model": sha256_file(model),
        "annotations": sha256_file(Path(sets[0].annotations)),
        "sets": [{"annotations": sha256_file(Path(s.annotations)), "map": s.map} for s in sets],
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
) -> list[dict[str, Any]]:
    from pipeline.inference import predict_array, to_coco

    results: list[dict[str, Any]] = []
    with click.progressbar(images, label="evaluate", show_pos=True, file=sys.stderr) as bar:
        for image in bar:
            pixels = read_rgb(paths[image["id"]], (image["width"], image["height"]))
            found = to_coco(predict_array(model, pixels), image["id"], label_ids)
            results += [rounded(result) for result in found]
    return results


def rounded(result: dict[str, Any]) -> dict[str, Any]:
    """A COCO result with its box to 1/1000 px and its score to six decimals, as it is written."""
    box = [round(value, 3) for value in result["bbox"]]
    return result | {"bbox": box, "score": round(result["score"], 6)}


def _judge(ground_truth: dict[str, Any], results: list[dict[str, Any]], bootstrap: int) -> dict[str, Any]:
    """AP per class and overall with intervals, and how many objects they rest on."""
    scores = coco_metrics(ground_truth, results)
    if bootstrap:
        intervals = bootstrap_intervals(ground_truth, results, bootstrap, np.random.default_rng(0))
        for name, table in scores["classes"].items():
            _add_intervals(table, intervals["classes"][name])
        _add_intervals(scores["overall"], intervals["overall"])
    names = {c["id"]: c["name"] for c in ground_truth["categories"]}
    counts = Counter((names[a["category_id"]], a["iscrowd"]) for a in ground_truth["annotations"])
    for name, table in scores["classes"].items():
        table |= {"objects": counts[name, 0], "ignored": counts[name, 1]}
    return scores | {
        "class_names": list(scores["classes"]),
        "images": len(ground_truth["images"]),
        "predictions": len(results),
        "bootstrap": bootstrap,
    }


def _add_intervals(table: dict[str, Any], intervals: dict[str, Any]) -> None:
    for iou_type in IOU_TYPES:
        table[iou_type] |= {f"{m}_interval": intervals[iou_type][m] for m in METRICS}


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
