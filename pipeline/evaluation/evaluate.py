"""The command ``evaluate``: evaluate a model, or COCO results, on any COCO dataset.

Coordinates of an annotation file refer to the pixels as stored, unless only the upright image (turned by its
EXIF orientation) has the annotated size, or no size decides and the user chose "upright". Classes and
categories are matched by name, not by id.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from blender.contract import UserError, canonical_json, sha256_file, write_atomic
from pipeline.common.stages import is_up_to_date, prepare_output_dir, write_stamp
from pipeline.data.combine import NamedSet, select_categories
from pipeline.evaluation.bootstrap import Bootstrap, run_bootstrap
from pipeline.evaluation.comparison import compare
from pipeline.evaluation.diagnosis import best_threshold
from pipeline.evaluation.masks import describe_missing_masks, with_rle
from pipeline.evaluation.matching import EvaluationResult, evaluate_detections
from pipeline.evaluation.results.load import load_results
from pipeline.evaluation.results.no_match import explain_no_match
from pipeline.evaluation.sets.figures import set_figures
from pipeline.evaluation.sets.read import (
    EvaluationSet,
    combine_files,
    hash_sets,
    label_ids,
    match_classes,
    read_sets,
)
from pipeline.evaluation.summary import summarize
from pipeline.evaluation.terminal import format_evaluation

if TYPE_CHECKING:
    from pipeline.evaluation.baseline import Baseline

EVALUATOR_VERSION = 8
"""Increased whenever the same model and images give other figures or another layout of metrics.json."""

FALSE_ALARMS = "false_alarms.json"


def evaluate(
    model_path: Path,
    sets: Sequence[NamedSet],
    out: Path | None,
    bootstrap: int,
    baseline: str | None = None,
    scheduler: str | None = None,
) -> dict[str, Any]:
    """Evaluate a model on COCO datasets: print the figures, and write them to ``out``.

    The figures at the model's score threshold are of each set. All others, and the comparison with a
    baseline, are of the first set.

    ``out`` gets metrics.json, predictions.json (COCO results of the first set under the files' own ids, with
    all scores), predictions-NAME.json for each other set, and false_alarms.json. If the first set has several
    files, ``out`` also gets annotations.json, the combined files; the id of an image does not change unless
    an earlier file uses it. Nothing is computed again if the model, the files and the images are the same.

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
    data = read_sets(sets)
    if out is not None:
        prepare_output_dir(out)
    if not model_path.is_file():
        raise UserError(f"{model_path}: no such model; train it first (make train)")
    inputs = {
        "evaluator": EVALUATOR_VERSION,
        "model": sha256_file(model_path),
        "sets": hash_sets(data),
        "bootstrap": bootstrap,
        "baseline": baseline,
    }
    outputs = [] if out is None else [out / "metrics.json", out / FALSE_ALARMS, *_prediction_files(out, sets)]
    if out is not None and is_up_to_date(out / ".evaluate.stamp.json", inputs, outputs):
        metrics: dict[str, Any] = json.loads((out / "metrics.json").read_bytes())
        click.echo(f"{format_evaluation(metrics)}\nevaluate: up to date ({out})")
        return metrics
    for one in data:
        one.combined.notes.extend(one.combined.check_images())
    metrics = _evaluate_model(model_path, data, inputs, scheduler, out)
    metrics |= {
        "evaluator_version": EVALUATOR_VERSION,
        "model_sha256": inputs["model"],
        "annotations_sha256": sha256_file(Path(data[0].sets[0].annotations)),
    }
    click.echo(format_evaluation(metrics))
    if out is not None:
        write_atomic(out / "metrics.json", canonical_json(metrics))
        write_stamp(out / ".evaluate.stamp.json", inputs, outputs)
        click.echo(f"evaluate: {out / 'metrics.json'}")
    return metrics


def _prediction_files(out: Path, sets: Sequence[NamedSet | EvaluationSet]) -> list[Path]:
    """Return the file of the COCO results of each set."""
    others = [out / f"predictions-{named.name}.json" for named in sets[1:]]
    return [out / "predictions.json", *others]


def _write_predictions(out: Path, data: list[EvaluationSet], detections: list[list[dict[str, Any]]]) -> None:
    """Write the COCO results, which may have taken minutes, before anything is computed from them.

    Metrics of an earlier evaluation are removed, so that the folder never has those of other predictions.
    """
    for name in ("metrics.json", FALSE_ALARMS, ".evaluate.stamp.json"):
        (out / name).unlink(missing_ok=True)
    if len(data[0].sets) > 1:
        write_atomic(out / "annotations.json", canonical_json(data[0].dataset))
    for path, of_set in zip(_prediction_files(out, data), detections, strict=True):
        write_atomic(path, canonical_json(of_set))
        click.echo(f"evaluate: {path}")


def evaluate_results(results_path: Path, named: NamedSet, out: Path | None, bootstrap: int) -> dict[str, Any]:
    """Evaluate a COCO results file of any model. Neither the model nor the images are needed.

    The score threshold is that with the best F1. ``out`` gets metrics.json.

    Args:
        results_path: a JSON list of COCO results, for images and categories of the set's annotation files.
        named: the set.
        out, bootstrap: as for ``evaluate``.

    Returns:
        The content of metrics.json.

    Raises:
        UserError: a file is missing or invalid, or the ids of the results are those of other images or
            categories.
    """
    combined = combine_files(named)
    dataset = with_rle(combined.dataset)
    renamed = {source: name for coco_set in named.sets for source, name in coco_set.map.items()}
    results = load_results(results_path, dataset, renamed)
    evaluation = evaluate_detections(dataset, results.detections)
    notes = combined.notes + results.notes + describe_missing_masks(dataset, results.detections)
    notes += explain_no_match(evaluation, results_path)
    if out is not None:
        prepare_output_dir(out)
    threshold, resamples = best_threshold(evaluation), run_bootstrap(evaluation, bootstrap)
    metrics = summarize(evaluation, threshold, resamples)
    metrics |= {
        "sets": [set_figures(named.name, evaluation, threshold, resamples)],
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
    model_path: Path,
    data: list[EvaluationSet],
    inputs: dict[str, Any],
    scheduler: str | None,
    out: Path | None,
) -> dict[str, Any]:
    """Predict, write the COCO results to ``out``, evaluate, write the false alarms; return the figures."""
    # Imported here for start-up time: torch takes seconds, and evaluate_results does not need it.
    from pipeline.evaluation.baseline import load_baseline_if_available
    from pipeline.evaluation.run_model import ModelSource, run_model
    from pipeline.evaluation.sets.false_alarms import group_false_alarms
    from pipeline.inference.predictor import predict_array
    from pipeline.models.checkpoint import load_model

    model, checkpoint = load_model(model_path)
    shared, notes = match_classes(data, checkpoint.classes, checkpoint.auxiliary)
    kind = inputs["baseline"]
    baseline = load_baseline_if_available(kind, checkpoint, notes) if kind else None
    source = ModelSource(model_path.absolute(), inputs["model"])

    def predict(network: Any, one: EvaluationSet, labels: dict[int, int], title: str) -> Any:
        images, upright = one.dataset["images"], one.combined.upright
        return run_model(network, images, one.paths, labels, scheduler, title, upright)

    network = source if scheduler else partial(predict_array, model)
    predicted = [
        predict(network, one, label_ids(checkpoint.classes, ids), f"evaluate {one.name}")
        for one, ids in zip(data, shared, strict=True)
    ]
    if out is not None:
        _write_predictions(out, data, [detections for detections, _ in predicted])
    metrics: dict[str, Any] = {}
    figures, alarms, threshold = [], {}, checkpoint.score_threshold
    for one, ids, (detections, latency) in zip(data, shared, predicted, strict=True):
        dataset = with_rle(select_categories(one.dataset, ids.values()))
        evaluation = evaluate_detections(dataset, detections)
        bootstrap = run_bootstrap(evaluation, inputs["bootstrap"])
        figures.append(set_figures(one.name, evaluation, threshold, bootstrap))
        lines = describe_missing_masks(dataset, detections)
        notes += lines if one is data[0] else [f"{one.name}: {line}" for line in lines]
        if out is not None:
            alarms[one.name] = group_false_alarms(model, evaluation, threshold, one.read)
        if one is data[0]:
            metrics = summarize(evaluation, threshold, bootstrap) | {"latency": latency, "baseline": None}
            if baseline is not None:
                labels = {label: ids[name] for name, label in baseline.labels.items() if name in ids}
                other = replace(source, baseline=baseline.kind) if scheduler else None
                others, _ = predict(other or partial(predict_array, baseline.model), one, labels, "baseline")
                metrics["baseline"] = _compare(bootstrap, evaluate_detections(dataset, others), baseline)
    if out is not None:
        write_atomic(out / FALSE_ALARMS, canonical_json(alarms))
    metrics["latency"] |= {"device": next(model.parameters()).device.type}
    return metrics | {
        "model": checkpoint.model,
        "start": checkpoint.start,
        "training": {"seconds": checkpoint.seconds, "images": checkpoint.images},
        "notes": notes,
        "sets": figures,
    }


def _compare(bootstrap: Bootstrap, other: EvaluationResult, baseline: Baseline) -> dict[str, Any]:
    """Compare with the baseline on the same resamples."""
    return compare(bootstrap, run_bootstrap(other, bootstrap.resamples)) | {
        "kind": baseline.kind,
        "source": baseline.source,
        "fallback": baseline.fallback,
        "known_classes": sorted(baseline.labels),
    }
