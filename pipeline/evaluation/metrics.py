"""Average precision and recall of boxes and masks: COCO's own evaluation, with what it leaves out.

No detections is AP 0 and no ground truth is None (not -1); see ``pipeline.evaluation.matching`` for the rest.
Numbers are rounded to ten decimals, because COCOeval's own 1.0 falls short of it by an epsilon.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import Any

import numpy as np
from pycocotools.cocoeval import COCOeval

from pipeline.evaluation.matching import (
    AREAS,
    IOU_THRESHOLDS,
    IOU_TYPES,
    Curve,
    Floats,
    class_names,
    curves,
    evaluate_coco,
)

HEADLINE = ("AP", "AP50", "AP75")
METRICS = (*HEADLINE, "APs", "APm", "APl", "AR1", "AR10", "AR", "ARs", "ARm", "ARl")
"""COCO's twelve: AP over IoU 0.50:0.95, at 0.50, at 0.75, of small, medium and large objects; AR, the mean
recall over the same IoUs, with one, ten and all (100 or more) detections an image, and by size."""
RECALLS = np.linspace(0, 1, 101)


def coco_metrics(ground_truth: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, Any]:
    """COCO's twelve figures (``METRICS``) of boxes and masks, per class and overall.

    Neither argument is changed. Overall is the mean over the classes that have ground truth.

    Returns:
        ``{"classes": {name: {"bbox": {"AP": ...}, "segm": {...}}}, "overall": {"bbox": {...}, "segm":
        {...}}}``; None where there is no ground truth.
    """
    names = class_names(ground_truth)
    scores: dict[str, Any] = {"classes": {name: {} for name in names}, "overall": {}}
    for iou_type in IOU_TYPES:
        evaluation = evaluate_coco(ground_truth, results, iou_type)
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.accumulate()
        table = np.array([_figures(evaluation, number) for number in range(len(names))])
        for name, row in zip(names, table, strict=True):
            scores["classes"][name][iou_type] = _named(row)
        scores["overall"][iou_type] = _named(_mean(table))
    return scores


def _figures(evaluation: COCOeval, number: int) -> Floats:
    """The twelve figures of one class from COCOeval's tables; NaN: no ground truth."""
    # Precision at [IoU threshold, recall, class, size, maxDets], recall without the second; -1: no truth.
    precision = evaluation.eval["precision"][:, :, number, :, -1].mean(axis=1)
    recall = evaluation.eval["recall"][:, number].mean(axis=0)
    values = [precision[:, 0].mean(), precision[0, 0], precision[5, 0], *precision[:, 1:].mean(axis=0)]
    figures = np.array([*values, *recall[0, :], *recall[1:, -1]])
    return np.where(figures < 0, np.nan, figures)


# ------------------------------------------------------------------------------ bootstrap


def bootstrap_intervals(
    ground_truth: dict[str, Any],
    results: list[dict[str, Any]],
    resamples: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """95 % percentile intervals of ``coco_metrics``, by resampling scenes with replacement.

    Returns:
        As ``coco_metrics``, with ``[low, high]`` for each number; None where there is no ground
        truth, or fewer than two scenes to draw from.
    """
    weights = scene_weights(ground_truth, resamples, rng)
    return intervals(bootstrap_draws(ground_truth, results, weights), class_names(ground_truth))


def scene_weights(ground_truth: dict[str, Any], resamples: int, rng: np.random.Generator) -> Floats:
    """How often each image, by rising id, is counted in each resample (resamples, images).

    Images of one scene (``images[].scene``) are drawn together, an image without one stands alone.
    With fewer than two scenes there is nothing to draw: (0, images).
    """
    images = sorted(ground_truth["images"], key=lambda image: int(image["id"]))
    keys = [scene_of(image) for image in images]
    groups = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    if len(groups) < 2:
        return np.zeros((0, len(images)))
    draws = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=resamples)
    return draws[:, [groups[key] for key in keys]].astype(float)


def scene_of(image: dict[str, Any]) -> tuple[str, str]:
    """What an image is drawn together with: its scene, or only itself."""
    return ("scene", str(image["scene"])) if image.get("scene") else ("image", str(image["id"]))


def bootstrap_draws(
    ground_truth: dict[str, Any], results: list[dict[str, Any]], weights: Floats
) -> dict[str, Floats]:
    """The figures of each resample: by IoU type (resamples, classes and overall last, ``METRICS``).

    Matching is done once; a resample only weighs the images anew (Efron's bootstrap). The draws of two
    models from the same ``weights`` are pairs.
    """
    draws = {}
    for iou_type in IOU_TYPES:
        evaluation = evaluate_coco(ground_truth, results, iou_type)
        by_area = [curves(evaluation, area) for area in AREAS]
        classes = list(zip(*by_area, strict=True))
        tables = [np.array([_weighted(areas, w) for areas in classes]) for w in weights]
        rows = [np.concatenate([table, [_mean(table)]]) for table in tables]
        draws[iou_type] = np.array(rows).reshape(len(weights), len(classes) + 1, len(METRICS))
    return draws


def intervals(draws: dict[str, Floats], names: list[str]) -> dict[str, Any]:
    """95 % percentile intervals of the draws (or of differences of draws), laid out as ``coco_metrics``."""
    table: dict[str, Any] = {"classes": {name: {} for name in names}, "overall": {}}
    for iou_type, values in draws.items():
        for number, name in enumerate(names):
            table["classes"][name][iou_type] = _interval(values[:, number])
        table["overall"][iou_type] = _interval(values[:, -1])
    return table


def _weighted(areas: tuple[Curve, ...], weights: Floats) -> Floats:
    """The twelve figures of one class (its curves by size class), image i weighing ``weights[i]``."""
    precision, recall = zip(*(_summed(curve, weights) for curve in areas), strict=True)
    whole = precision[0]
    few = [_summed(areas[0], weights, most)[1] for most in (1, 10)]
    sizes = [p.mean() for p in precision[1:]]
    return np.array([whole.mean(), whole[0], whole[5], *sizes, *few, *recall])


def _summed(curve: Curve, weights: Floats, most: int | None = None) -> tuple[Floats, float]:
    """Interpolated precision per IoU threshold and mean recall; NaN: no objects.

    Args:
        most: count only so many detections an image.
    """
    objects = float(weights @ curve.objects)
    if not objects:
        return np.full(len(IOU_THRESHOLDS), np.nan), float("nan")
    weight = weights[curve.image] * (1 if most is None else curve.rank < most)
    true, false = np.cumsum(curve.true * weight, axis=1), np.cumsum(curve.false * weight, axis=1)
    precision = true / (true + false + np.spacing(1))
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    padded = np.concatenate([envelope, np.zeros((len(envelope), 1))], axis=1)
    reached = [np.searchsorted(row / objects, RECALLS) for row in true]
    means = [row[places].mean() for row, places in zip(padded, reached, strict=True)]
    recall = float(true[:, -1].mean() / objects) if true.shape[1] else 0.0
    return np.array(means), recall


# ------------------------------------------------------------------------------ numbers


def _mean(table: Floats) -> Floats:
    """Column means over the classes that have ground truth; NaN if none has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column of nothing but NaN is NaN
        return np.nanmean(table, axis=0) if len(table) else np.full(len(METRICS), np.nan)


def _named(values: Floats) -> dict[str, float | None]:
    return {m: None if np.isnan(v) else round(float(v), 10) for m, v in zip(METRICS, values, strict=True)}


def _interval(draws: Floats) -> dict[str, list[float] | None]:
    return {metric: _percentiles(column) for metric, column in zip(METRICS, draws.T, strict=True)}


def _percentiles(column: Floats) -> list[float] | None:
    known = column[~np.isnan(column)]
    return [round(float(v), 6) for v in np.percentile(known, [2.5, 97.5])] if len(known) else None
