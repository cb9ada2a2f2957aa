"""Measure a round: figures on the choosing split and on photographs, the gain, and what is surely weak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.config import ExtraSet, Profile
from pipeline.data.combine import NamedSet, combine_sets, select_categories
from pipeline.evaluation.bootstrap import run_bootstrap
from pipeline.evaluation.comparison import compare
from pipeline.evaluation.masks import with_rle
from pipeline.evaluation.matching import EvaluationResult, evaluate_detections
from pipeline.evaluation.slices import metrics_by_factor
from pipeline.improving.decision import RoundResult
from pipeline.improving.settings import CHOOSE, Loop, read_json
from pipeline.improving.stages import run_stage
from pipeline.improving.weakness import OF_ANY_COCO_FILE, Mistaken, WeakCell, mistaken_kinds, weak_cells

RESAMPLES = 400
"""Resamples of the scenes for the interval of a gain."""
_EXACT = ("classes", "overall", "class_names", "iou_type", "images", "threshold", "factors", "sets")
"""Keys of the metrics that depend on the model and the images alone, not on the time that it took."""
Metrics = dict[str, Any]


def evaluate_round(loop: Loop, number: int, bootstrap: int) -> Path:
    """Evaluate the checkpoint of a round on the choosing split and the photographs; return the folder."""
    out, chosen = loop.round(number) / "evaluation", loop.out / CHOOSE
    sets = [f"--set={named.name}={s.annotations}:{s.images}" for named in loop.sets for s in named.sets]
    names = dict(pair for named in loop.sets for s in named.sets for pair in s.map.items())
    maps = [f"--map={source}={target}" for source, target in names.items()]
    run_stage(
        "pipeline", "evaluate", loop.model(number), "--annotations", chosen / "annotations.json",
        "--images", chosen / "images", "--out", out, "--bootstrap", bootstrap, *sets, *maps,
    )  # fmt: skip
    return out


def measure_round(loop: Loop, number: int, profile: Profile, scenes: Sequence[Metrics], best: int) -> Metrics:
    """Collect the figures of a round that its decision needs, and that the report shows.

    Args:
        loop: the loop.
        number: number of the round, whose checkpoint is evaluated.
        profile: the run's profile.
        scenes: descriptions of the scenes of the choosing split.
        best: the best round so far, which the gain is over.

    Returns:
        The figures of ``evaluate`` without times, ``gain`` over the best round (None for round 0),
        ``weak`` (``WeakCell``) and ``mistaken`` (``Mistaken``).
    """
    metrics = read_json(loop.round(number) / "evaluation" / "metrics.json")
    evaluation = _evaluation(_choosing_set(loop), loop.round(number), profile.classes, "predictions.json")
    threshold = metrics["threshold"]
    cells = weak_cells(metrics["factors"], CHOOSE)
    for named in loop.sets:
        of_set = _evaluation(named, loop.round(number), profile.classes, f"predictions-{named.name}.json")
        cells += weak_cells(metrics_by_factor(of_set, threshold), named.name, OF_ANY_COCO_FILE)
    gain = None
    if number:
        before = _evaluation(_choosing_set(loop), loop.round(best), profile.classes, "predictions.json")
        draws = [run_bootstrap(e, RESAMPLES) for e in (evaluation, before)]
        gain = {"over": best, "overall": compare(*draws)["overall"]}
    mistaken = mistaken_kinds(evaluation, threshold, {int(scene["frame"]): scene for scene in scenes})
    return {key: metrics[key] for key in _EXACT} | {
        "gain": gain,
        "weak": [asdict(cell) for cell in cells],
        "mistaken": [asdict(entry) for entry in mistaken],
    }


def result_of(metrics: Metrics) -> RoundResult:
    """Return what the decision needs of a round's figures."""
    iou_type, gain = metrics["iou_type"], metrics["gain"]
    interval = gain["overall"][iou_type]["gain_interval"]["AP50"] if gain else None
    return RoundResult(
        ap50=metrics["overall"][iou_type]["AP50"],
        gain_interval=None if interval is None else (interval[0], interval[1]),
        weak=len(metrics["weak"]) + len(metrics["mistaken"]),
    )


def weakness_of(metrics: Metrics) -> tuple[list[WeakCell], list[Mistaken]]:
    """Return what a round's checkpoint is surely weak at."""
    return [WeakCell(**cell) for cell in metrics["weak"]], [
        Mistaken(**entry) for entry in metrics["mistaken"]
    ]


def _choosing_set(loop: Loop) -> NamedSet:
    folder = loop.out / CHOOSE
    return NamedSet(CHOOSE, (ExtraSet(str(folder / "annotations.json"), str(folder / "images")),))


def _evaluation(named: NamedSet, round_dir: Path, classes: Sequence[str], file: str) -> EvaluationResult:
    """Match a round's saved detections in a set again."""
    dataset = combine_sets(named.sets).dataset
    dataset = select_categories(dataset, [c["id"] for c in dataset["categories"] if c["name"] in classes])
    return evaluate_detections(with_rle(dataset), read_json(round_dir / "evaluation" / file))
