"""How good is a model on a COCO file and its images? Tables, intervals, and every prediction.

Coordinates of a file mean the pixels as stored: an EXIF rotation is applied only where the file
gives the size of the turned picture. Classes are matched by name, whatever their ids.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from blender.contract import UserError, canonical_json, sha256_bytes, sha256_file, write_atomic
from pipeline.common.stages import is_up_to_date, prepare_output_dir, write_stamp
from pipeline.config import ExtraSet
from pipeline.data.combine import (
    CombinedSets,
    check_class_mapping,
    combine_sets,
    describe_extra_sets,
    select_categories,
)
from pipeline.data.images import check_image, find_image
from pipeline.evaluation.diagnosis import best_threshold
from pipeline.evaluation.load_results import read_results
from pipeline.evaluation.matching import with_rle
from pipeline.evaluation.summary import judge
from pipeline.evaluation.tables import format_evaluation

EVALUATOR_VERSION = 4
"""Goes up when the same model and images would be judged differently."""


def evaluate(
    model_path: Path,
    annotations: Path,
    images: Path,
    out: Path | None,
    bootstrap: int,
    sets: tuple[ExtraSet, ...] = (),
    baseline: str | None = None,
    scheduler: str | None = None,
) -> dict[str, Any]:
    """Judge a model on a COCO file; print AP per class and overall; with ``out``, write all of it.

    ``out`` gets metrics.json and predictions.json (COCO results under the file's own ids, all
    scores). Nothing is computed again if the model, the file and the images are the same.

    Args:
        bootstrap: resamples for the 95 % intervals, over scenes; 0 for none.
        sets: what to measure on if it is more than ``annotations`` as they are: that file first, with
            its mapping, then others. ``out`` gets annotations.json, all of them in one table: an image
            keeps its id unless an earlier set has it.
        baseline: compare with "coco", the general model (or, aloud, the start), or with "start".
        scheduler: the address of a Dask scheduler whose workers predict, or None. The latency is theirs.

    Returns:
        What metrics.json holds.

    Raises:
        UserError: a file is missing or unusable, or model and file share no class.
    """
    sets = sets or (ExtraSet(str(annotations), str(images)),)
    mixed = _mix(sets)
    dataset = mixed.dataset
    if out is not None:
        prepare_output_dir(out)
    paths = {i["id"]: find_image(mixed.folders[i["id"]], i["file_name"]) for i in dataset["images"]}
    inputs = _inputs(model_path, sets, paths, bootstrap, baseline)
    if out is not None and is_up_to_date(out / ".evaluate.stamp.json", inputs, _outputs(out)):
        metrics: dict[str, Any] = json.loads((out / "metrics.json").read_bytes())
        click.echo(f"{format_evaluation(metrics)}\nevaluate: up to date ({out})")
        return metrics
    for image in dataset["images"]:
        check_image(paths[image["id"]], (image["width"], image["height"]))
    metrics, results = _measure(model_path, mixed, sets, paths, inputs, scheduler)
    metrics |= {"model_sha256": inputs["model"], "annotations_sha256": inputs["annotations"]}
    click.echo(format_evaluation(metrics))
    if out is not None:
        if len(sets) > 1:
            write_atomic(out / "annotations.json", canonical_json(dataset))
        write_atomic(out / "predictions.json", canonical_json(results))
        write_atomic(out / "metrics.json", canonical_json(metrics))
        write_stamp(out / ".evaluate.stamp.json", inputs, _outputs(out))
        click.echo(f"evaluate: {out / 'metrics.json'}, {out / 'predictions.json'}")
    return metrics


def evaluate_predictions(
    predictions: Path, out: Path | None, bootstrap: int, sets: tuple[ExtraSet, ...]
) -> dict[str, Any]:
    """Judge a COCO results file, of whatever model; print what ``evaluate`` does, and write its metrics.json.

    Neither a network nor a picture is needed. Where one threshold must be chosen, it's that of the best F1.

    Args:
        predictions: a list of results under the ids of the first annotation file.

    Raises:
        UserError: a file is missing or faulty.
    """
    mixed = _mix(sets)
    dataset = with_rle(mixed.dataset)
    results = read_results(predictions, dataset)
    if out is not None:
        prepare_output_dir(out)
    threshold = best_threshold(dataset, results)
    metrics = judge(dataset, results, bootstrap, threshold)
    metrics |= {"notes": [], "baseline": None, "predictions_sha256": sha256_file(predictions)}
    click.echo(format_evaluation(metrics))
    if out is not None:
        write_atomic(out / "metrics.json", canonical_json(metrics))
        click.echo(f"evaluate: {out / 'metrics.json'}")
    return metrics


def _measure(
    model_path: Path,
    mixed: CombinedSets,
    sets: tuple[ExtraSet, ...],
    paths: dict[int, Path],
    inputs: dict[str, Any],
    scheduler: str | None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Predict and judge: the figures, and the COCO results they rest on."""
    from pipeline.evaluation.baseline import find_baseline, worth  # torch: only now is it needed
    from pipeline.evaluation.run_model import Source, find_in_all
    from pipeline.inference.predictor import predict_array
    from pipeline.models.checkpoint import load_model

    model, checkpoint = load_model(model_path)
    check_class_mapping(sets, checkpoint.classes)
    dataset = mixed.dataset
    shared, notes = shared_classes(checkpoint.classes, dataset["categories"], sets[0].annotations)
    notes = describe_extra_sets(mixed, sets, checkpoint.classes) + notes
    other = find_baseline(inputs["baseline"], checkpoint, notes) if inputs["baseline"] else None
    labels, images = label_ids(checkpoint.classes, shared), dataset["images"]
    source = Source(model_path.absolute(), inputs["model"])
    network = source if scheduler else partial(predict_array, model)
    results, latency = find_in_all(network, images, paths, labels, scheduler)
    dataset = with_rle(select_categories(dataset, shared.values()))
    metrics = judge(dataset, results, inputs["bootstrap"], checkpoint.score_threshold)
    comparison = None
    if other is not None:
        labels = {label: shared[name] for name, label in other.labels.items() if name in shared}
        network = replace(source, baseline=other.kind) if scheduler else partial(predict_array, other.model)
        theirs, _ = find_in_all(network, images, paths, labels, scheduler, "baseline")
        comparison = worth(other, dataset, results, theirs, inputs["bootstrap"])
    metrics |= {
        "model": checkpoint.model,
        "start": checkpoint.start,
        "training": {"seconds": checkpoint.seconds, "images": checkpoint.images},
        "notes": notes,
        "latency": latency | {"device": next(model.parameters()).device.type},
        "baseline": comparison,
    }
    return metrics, results


def _outputs(out: Path) -> list[Path]:
    return [out / "metrics.json", out / "predictions.json"]


def _mix(sets: tuple[ExtraSet, ...]) -> CombinedSets:
    """Read what to measure with: one COCO file, or several as one."""
    mixed = combine_sets(sets)
    if not mixed.dataset["annotations"]:
        raise UserError(f"{sets[0].annotations}: it has no annotations, so there is nothing to measure with")
    return mixed


def _inputs(
    model: Path,
    sets: tuple[ExtraSet, ...],
    paths: dict[int, Path],
    bootstrap: int,
    baseline: str | None,
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
        "baseline": baseline,
    }


def shared_classes(
    classes: tuple[str, ...], categories: list[dict[str, Any]], annotations: str
) -> tuple[dict[str, int], list[str]]:
    """Classes that both know, with the file's ids, and a note for each that only one knows.

    Raises:
        UserError: there is none; ``annotations`` names the file.
    """
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


def label_ids(classes: tuple[str, ...], shared: dict[str, int]) -> dict[int, int]:
    """The model's labels, from 1, to the file's category ids."""
    return {label: shared[name] for label, name in enumerate(classes, start=1) if name in shared}
