"""Compare a model with a baseline on the same images, by a paired bootstrap over scenes."""

from __future__ import annotations

from typing import Any

from pipeline.evaluation.bootstrap import Bootstrap, percentile_intervals
from pipeline.evaluation.metrics import METRICS, compute_metrics


def compare(model: Bootstrap, baseline: Bootstrap) -> dict[str, Any]:
    """Compute how much better a model is than a baseline, per class and overall.

    Scenes that are hard for one model are hard for the other. The difference of the two on each resample
    therefore has a narrower interval than the figures themselves.

    Args:
        model: with the same resamples of the same ground truth as ``baseline``.

    Returns:
        The structure of ``compute_metrics``: for each IoU type the baseline's figures, ``gain`` (the model's
        minus the baseline's) and ``gain_interval``; and ``verdict`` for each class and overall.
    """
    draws = {iou_type: model.draws[iou_type] - baseline.draws[iou_type] for iou_type in model.draws}
    gains = percentile_intervals(draws, model.evaluation.class_names)
    model_metrics, comparison = compute_metrics(model.evaluation), compute_metrics(baseline.evaluation)
    for table, of_model, intervals in zip(
        [*comparison["classes"].values(), comparison["overall"]],
        [*model_metrics["classes"].values(), model_metrics["overall"]],
        [*gains["classes"].values(), gains["overall"]],
        strict=True,
    ):
        _add_gains(table, of_model, intervals)
        table["verdict"] = verdict(intervals[model.evaluation.iou_type]["AP"])
    return comparison


def _add_gains(table: dict[str, Any], model_metrics: dict[str, Any], intervals: dict[str, Any]) -> None:
    """Add the gains to the baseline's figures of one class."""
    for iou_type, interval in intervals.items():
        baseline = table[iou_type]
        table[iou_type] = baseline | {
            "gain": {m: _difference(model_metrics[iou_type][m], baseline[m]) for m in METRICS},
            "gain_interval": interval,
        }


def _difference(model: float | None, baseline: float | None) -> float | None:
    return None if model is None or baseline is None else round(model - baseline, 10)


def verdict(interval: list[float] | None) -> str:
    """Return whether the model is better, by the 95 % interval of the gain in AP.

    Returns:
        "yes" if the interval is above 0, "no" if it is below, "undecided" if it includes 0 or is None.
    """
    if interval is None or interval[0] <= 0 <= interval[1]:
        return "undecided"
    return "yes" if interval[0] > 0 else "no"
