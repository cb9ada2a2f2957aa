"""95 % intervals of AP and AR by the bootstrap over scenes (Efron 1979).

Detections are not matched again for a resample, which only changes the weights of the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.evaluation.matching import (
    AREAS,
    IOU_THRESHOLDS,
    EvaluationResult,
    Floats,
    RankedDetections,
)
from pipeline.evaluation.metrics import METRICS, mean_over_classes

RECALLS = np.linspace(0, 1, 101)
"""Recalls at which COCO evaluates the interpolated precision."""
SEED = 0
"""Seed of the resamples, so that all models evaluated on a dataset get the same resamples."""


@dataclass(frozen=True)
class Bootstrap:
    """The figures of an evaluation on resampled scenes."""

    evaluation: EvaluationResult
    resamples: int
    """Number of resamples; 0: no intervals."""
    draws: dict[str, Floats]
    """IoU type to figures (resamples, classes + 1, ``METRICS``), the last row overall; no resamples if there
    are fewer than two scenes."""

    def intervals(self) -> dict[str, Any]:
        """Compute the 95 % intervals; see ``percentile_intervals``."""
        return percentile_intervals(self.draws, self.evaluation.class_names)


def run_bootstrap(evaluation: EvaluationResult, resamples: int, seed: int = SEED) -> Bootstrap:
    """Compute COCO's figures on ``resamples`` resamples of the scenes, drawn with replacement.

    Two evaluations on the same ground truth get the same resamples, so that their draws are paired.
    """
    weights = scene_weights(evaluation.ground_truth, resamples, np.random.default_rng(seed))
    draws = {}
    for iou_type, result in evaluation.iou_types.items():
        classes = list(zip(*(result.ranked[area] for area in AREAS), strict=True))
        tables = [np.array([_weighted_figures(by_area, w) for by_area in classes]) for w in weights]
        rows = [np.concatenate([table, [mean_over_classes(table)]]) for table in tables]
        draws[iou_type] = np.array(rows).reshape(len(weights), len(classes) + 1, len(METRICS))
    return Bootstrap(evaluation, resamples, draws)


def scene_weights(ground_truth: dict[str, Any], resamples: int, rng: np.random.Generator) -> Floats:
    """Draw how often each image counts in each resample.

    Images of one scene (``images[].scene``) are drawn together; an image without a scene is drawn alone.

    Returns:
        Counts (resamples, images in ascending order of id); (0, images) if there are fewer than two scenes.
    """
    images = sorted(ground_truth["images"], key=lambda image: int(image["id"]))
    keys = [scene_of(image) for image in images]
    groups = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    if len(groups) < 2:
        return np.zeros((0, len(images)))
    draws = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=resamples)
    return draws[:, [groups[key] for key in keys]].astype(float)


def scene_of(image: dict[str, Any]) -> tuple[str, str]:
    """Return the cluster of an image: its scene, or the image itself if it has no scene."""
    return ("scene", str(image["scene"])) if "scene" in image else ("image", str(image["id"]))


def percentile_intervals(draws: dict[str, Floats], class_names: Sequence[str]) -> dict[str, Any]:
    """Compute the 95 % percentile intervals of draws, or of differences between the draws of two models.

    Args:
        draws: as in ``Bootstrap``.
        class_names: names of the classes, in the order of the draws.

    Returns:
        The structure of ``compute_metrics`` with ``[low, high]`` for each figure; None if no resample has
        ground truth.
    """
    table: dict[str, Any] = {"classes": {name: {} for name in class_names}, "overall": {}}
    for iou_type, values in draws.items():
        for number, name in enumerate(class_names):
            table["classes"][name][iou_type] = _interval_of_each_metric(values[:, number])
        table["overall"][iou_type] = _interval_of_each_metric(values[:, -1])
    return table


def _weighted_figures(by_area: tuple[RankedDetections, ...], weights: Floats) -> Floats:
    """Compute the twelve figures (12,) of one class if image i counts ``weights[i]`` times."""
    precision, recall = zip(*(_precision_and_recall(ranked, weights) for ranked in by_area), strict=True)
    all_sizes = precision[0]
    limited = [_precision_and_recall(by_area[0], weights, limit)[1] for limit in (1, 10)]
    sizes = [p.mean() for p in precision[1:]]
    return np.array([all_sizes.mean(), all_sizes[0], all_sizes[5], *sizes, *limited, *recall])


def _precision_and_recall(
    ranked: RankedDetections, weights: Floats, limit: int | None = None
) -> tuple[Floats, float]:
    """Compute the mean interpolated precision per IoU threshold, and the recall averaged over them.

    Args:
        ranked: the detections of one class and size class.
        weights: how often each image counts.
        limit: largest number of detections per image; None: all.

    Returns:
        Precision (T,) and recall; NaN without objects.
    """
    objects = float(weights @ ranked.objects)
    if not objects:
        return np.full(len(IOU_THRESHOLDS), np.nan), float("nan")
    weight = weights[ranked.image] * (1 if limit is None else ranked.rank < limit)
    true = np.cumsum(ranked.true_positive * weight, axis=1)
    false = np.cumsum(ranked.false_positive * weight, axis=1)
    precision = true / (true + false + np.spacing(1))
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    padded = np.concatenate([envelope, np.zeros((len(envelope), 1))], axis=1)
    places = [np.searchsorted(row / objects, RECALLS) for row in true]
    means = [row[place].mean() for row, place in zip(padded, places, strict=True)]
    recall = float(true[:, -1].mean() / objects) if true.shape[1] else 0.0
    return np.array(means), recall


def _interval_of_each_metric(draws: Floats) -> dict[str, list[float] | None]:
    return {metric: percentiles(column) for metric, column in zip(METRICS, draws.T, strict=True)}


def percentiles(column: Floats) -> list[float] | None:
    """Compute the 95 % percentile interval of the draws that are not NaN; None if all are."""
    known = column[~np.isnan(column)]
    return [round(float(v), 6) for v in np.percentile(known, [2.5, 97.5])] if len(known) else None
