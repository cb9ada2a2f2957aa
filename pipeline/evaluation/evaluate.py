"""The command ``evaluate``: evaluate a model, or COCO results, on any COCO dataset.

Coordinates of an annotation file refer to the pixels as stored, unless only the upright image (turned by its
EXIF orientation) has the annotated size, or no size decides and the user chose "upright". Classes and
categories are matched by name, not by id.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
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
from pipeline.evaluation.bootstrap import run_bootstrap
from pipeline.evaluation.comparison import compare
from pipeline.evaluation.diagnosis import best_threshold
from pipeline.evaluation.masks import describe_missing_masks, with_rle
from pipeline.evaluation.matching import evaluate_detections
from pipeline.evaluation.results.load import load_results
from pipeline.evaluation.results.no_match import explain_no_match
from pipeline.evaluation.summary import summarize
from pipeline.evaluation.terminal import format_evaluation

EVALUATOR_VERSION = 7
"""Increased whenever the same model and images give other figures or another layout of metrics.json."""


@dataclass(frozen=True)
class EvaluationSet:
    """The images and annotations to evaluate on."""

    sets: tuple[ExtraSet, ...]
    """The COCO sets: annotation file, image folder and mapping of categories."""
    combined: CombinedSets
    """All sets as one dataset."""
    paths: dict[int, Path]
    """Image id to image file."""

    @property
    def dataset(self) -> dict[str, Any]:
        """The combined COCO dataset."""
        return self.combined.dataset


def evaluate(
    model_path: Path,
    sets: tuple[ExtraSet, ...],
    out: Path | None,
    bootstrap: int,
    baseline: str | None = None,
    scheduler: str | None = None,
) -> dict[str, Any]:
    """Evaluate a model on COCO datasets: print AP per class and overall, and write all figures to ``out``.

    ``out`` gets metrics.json and predictions.json (COCO results under the files' own ids, with all scores).
    With several sets it also gets annotations.json, the combined sets; the id of an image does not change
    unless an earlier set uses it. Nothing is computed again if the model, the files and the images are the
    same.

    Args:
        model_path: the checkpoint.
        sets: COCO files with their image folders and mappings of categories to classes.
        out: folder for the results; None: only print.
        bootstrap: number of resamples of the scenes for the 95 % intervals; 0: no intervals.
        baseline: "coco" (compare with the general model or, with a note, with the start weights), "start"
            (compare with the start weights), or None.
        scheduler: address of a Dask scheduler whose workers predict, or None. The latency is that of the
            workers.

    Returns:
        The content of metrics.json.

    Raises:
        UserError: a file is missing or invalid, or model and files have no class in common.
    """
    data = _read_sets(sets)
    if out is not None:
        prepare_output_dir(out)
    inputs = _inputs(model_path, data, bootstrap, baseline)
    if out is not None and is_up_to_date(out / ".evaluate.stamp.json", inputs, _outputs(out)):
        metrics: dict[str, Any] = json.loads((out / "metrics.json").read_bytes())
        click.echo(f"{format_evaluation(metrics)}\nevaluate: up to date ({out})")
        return metrics
    data.combined.notes.extend(data.combined.check_images())
    metrics = _evaluate_model(model_path, data, inputs, scheduler, out)
    metrics |= {
        "evaluator_version": EVALUATOR_VERSION,
        "model_sha256": inputs["model"],
        "annotations_sha256": inputs["annotations"],
    }
    click.echo(format_evaluation(metrics))
    if out is not None:
        write_atomic(out / "metrics.json", canonical_json(metrics))
        write_stamp(out / ".evaluate.stamp.json", inputs, _outputs(out))
        click.echo(f"evaluate: {out / 'metrics.json'}")
    return metrics


def _write_predictions(out: Path, data: EvaluationSet, detections: list[dict[str, Any]]) -> None:
    """Write the COCO results, which may have taken minutes, before anything is computed from them.

    Metrics of an earlier evaluation are removed, so that the folder never has those of other predictions.
    """
    for name in ("metrics.json", ".evaluate.stamp.json"):
        (out / name).unlink(missing_ok=True)
    if len(data.sets) > 1:
        write_atomic(out / "annotations.json", canonical_json(data.dataset))
    write_atomic(out / "predictions.json", canonical_json(detections))
    click.echo(f"evaluate: {out / 'predictions.json'}")


def evaluate_results(
    results_path: Path, sets: tuple[ExtraSet, ...], out: Path | None, bootstrap: int
) -> dict[str, Any]:
    """Evaluate a COCO results file of any model. Neither the model nor the images are needed.

    The score threshold is that with the best F1. ``out`` gets metrics.json.

    Args:
        results_path: a JSON list of COCO results, for images and categories of the annotation files.
        sets, out, bootstrap: as for ``evaluate``.

    Returns:
        The content of metrics.json.

    Raises:
        UserError: a file is missing or invalid, or the ids of the results are those of other images or
            categories.
    """
    combined = _combine(sets)
    dataset = with_rle(combined.dataset)
    renamed = {source: name for coco_set in sets for source, name in coco_set.map.items()}
    results = load_results(results_path, dataset, renamed)
    evaluation = evaluate_detections(dataset, results.detections)
    notes = combined.notes + results.notes + describe_missing_masks(dataset, results.detections)
    notes += explain_no_match(evaluation, results_path)
    if out is not None:
        prepare_output_dir(out)
    metrics = summarize(evaluation, best_threshold(evaluation), run_bootstrap(evaluation, bootstrap))
    metrics |= {
        "evaluator_version": EVALUATOR_VERSION,
        "notes": notes,
        "baseline": None,
        "predictions_sha256": sha256_file(results_path),
    }
    click.echo(format_evaluation(metrics))
    if out is not None:
        write_atomic(out / "metrics.json", canonical_json(metrics))
        click.echo(f"evaluate: {out / 'metrics.json'}")
    return metrics


def _evaluate_model(
    model_path: Path, data: EvaluationSet, inputs: dict[str, Any], scheduler: str | None, out: Path | None
) -> dict[str, Any]:
    """Predict, write the COCO results to ``out``, evaluate, and return the figures."""
    # Imported here for start-up time: torch takes seconds, and evaluate_results does not need it.
    from pipeline.evaluation.baseline import load_baseline_if_available
    from pipeline.evaluation.run_model import ModelSource, label_ids, run_model, shared_classes
    from pipeline.inference.predictor import predict_array
    from pipeline.models.checkpoint import load_model

    model, checkpoint = load_model(model_path)
    check_class_mapping(data.sets, checkpoint.classes)
    images = data.dataset["images"]
    shared, notes = shared_classes(checkpoint.classes, data.dataset["categories"], data.sets[0].annotations)
    notes = data.combined.notes + describe_extra_sets(data.combined, data.sets, checkpoint.classes) + notes
    kind = inputs["baseline"]
    baseline = load_baseline_if_available(kind, checkpoint, notes) if kind else None
    source = ModelSource(model_path.absolute(), inputs["model"])
    network = source if scheduler else partial(predict_array, model)
    labels = label_ids(checkpoint.classes, shared)
    upright = data.combined.upright
    detections, latency = run_model(network, images, data.paths, labels, scheduler, upright=upright)
    if out is not None:
        _write_predictions(out, data, detections)
    dataset = with_rle(select_categories(data.dataset, shared.values()))
    evaluation = evaluate_detections(dataset, detections)
    bootstrap = run_bootstrap(evaluation, inputs["bootstrap"])
    metrics = summarize(evaluation, checkpoint.score_threshold, bootstrap)
    comparison = None
    if baseline is not None:
        labels = {label: shared[name] for name, label in baseline.labels.items() if name in shared}
        network = (
            replace(source, baseline=baseline.kind) if scheduler else partial(predict_array, baseline.model)
        )
        others, _ = run_model(network, images, data.paths, labels, scheduler, "baseline", upright)
        other = run_bootstrap(evaluate_detections(dataset, others), inputs["bootstrap"])
        comparison = compare(bootstrap, other) | {
            "kind": baseline.kind,
            "source": baseline.source,
            "fallback": baseline.fallback,
            "known_classes": sorted(baseline.labels),
        }
    metrics |= {
        "model": checkpoint.model,
        "start": checkpoint.start,
        "training": {"seconds": checkpoint.seconds, "images": checkpoint.images},
        "notes": notes + describe_missing_masks(dataset, detections),
        "latency": latency | {"device": next(model.parameters()).device.type},
        "baseline": comparison,
    }
    return metrics


def _outputs(out: Path) -> list[Path]:
    return [out / "metrics.json", out / "predictions.json"]


def _combine(sets: tuple[ExtraSet, ...]) -> CombinedSets:
    """Read the COCO files and combine them."""
    combined = combine_sets(sets)
    if not combined.dataset["annotations"]:
        raise UserError(f"{sets[0].annotations}: no annotations to evaluate on; annotate objects first")
    return combined


def _read_sets(sets: tuple[ExtraSet, ...]) -> EvaluationSet:
    """Read the COCO files and find their image files."""
    combined = _combine(sets)
    paths = {image["id"]: combined.path_of(image) for image in combined.dataset["images"]}
    return EvaluationSet(sets, combined, paths)


def _inputs(model_path: Path, data: EvaluationSet, bootstrap: int, baseline: str | None) -> dict[str, Any]:
    """Return all inputs that the figures depend on, for the stamp file."""
    if not model_path.is_file():
        raise UserError(f"{model_path}: no such model; train it first (make train)")
    image_hashes = canonical_json([sha256_file(path) for path in data.paths.values()])
    return {
        "evaluator": EVALUATOR_VERSION,
        "model": sha256_file(model_path),
        "annotations": sha256_file(Path(data.sets[0].annotations)),
        "sets": [
            {"annotations": sha256_file(Path(s.annotations)), "map": s.map, "exif": s.exif} for s in data.sets
        ],
        "images": sha256_bytes(image_hashes),
        "bootstrap": bootstrap,
        "baseline": baseline,
    }
