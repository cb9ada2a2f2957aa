"""Was it worth it? What the general model, or else the start, finds in the same pictures.

The general model is torchvision's Mask R-CNN with COCO's weights, as it comes: 80 classes, pictures at
800 pixels. A class that COCO does not know is one that it never finds. Where its weights can't be had,
the start that the checkpoint records takes its place, its predictors untrained.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torchvision.models.detection import MaskRCNN, MaskRCNN_ResNet50_FPN_Weights

from blender.contract import UserError, from_table
from pipeline.config import ModelConfig
from pipeline.evaluation.matching import IOU_TYPES, class_names
from pipeline.evaluation.metrics import METRICS, bootstrap_draws, coco_metrics, intervals, scene_weights
from pipeline.models.checkpoint import Checkpoint
from pipeline.models.pretrained import StartWeights, coco_weights, initial_model, resolve
from pipeline.models.registry import COCO, build_model
from pipeline.models.weight_files import WeightsError

COCO_NAMES = {"pedestrian": "person"}
"""Classes that COCO knows by another name."""
AS_IT_COMES = ModelConfig(min_size=800, max_size=1333)
"""torchvision's own sizes and limits."""


@dataclass(frozen=True)
class Baseline:
    """A model to compare with."""

    kind: str
    """"coco", the general model, or "start", what training began with."""
    source: str
    fallback: str
    """Why it is not the general model though that was asked for, or ""."""
    model: MaskRCNN
    labels: dict[str, int]
    """Class to the model's label; a class it does not know is missing."""


def find_baseline(kind: str, checkpoint: Checkpoint, notes: list[str]) -> Baseline | None:
    """``load_baseline``; None, and a note, if neither the general model nor the start is to be had.

    Raises:
        UserError: "start" was asked for and can't be had.
    """
    try:
        return load_baseline(kind, checkpoint)
    except UserError as error:
        if kind == "start":
            raise
        notes.append(f"nothing to compare with: {error}")
        return None


def load_baseline(kind: str, checkpoint: Checkpoint) -> Baseline:
    """Build the model to compare ``checkpoint`` with; "coco" falls back to the start.

    Raises:
        UserError: the start can't be had again either.
    """
    try:
        return build_baseline(kind, checkpoint)
    except WeightsError as error:
        reason = str(error)
    return replace(_start(checkpoint), fallback=reason)


def build_baseline(kind: str, checkpoint: Checkpoint) -> Baseline:
    """The model of a kind, without falling back.

    Raises:
        WeightsError: COCO's weights can't be had.
        UserError: the start can't be had again.
    """
    return _start(checkpoint) if kind == "start" else _general(coco_weights(), checkpoint.classes)


def _general(start: StartWeights, classes: tuple[str, ...]) -> Baseline:
    known = MaskRCNN_ResNet50_FPN_Weights.DEFAULT.meta["categories"]
    model = build_model(COCO, len(known), AS_IT_COMES, start.state, keep_predictors=True)
    names = {name: COCO_NAMES.get(name, name.replace("_", " ")) for name in classes}
    labels = {name: known.index(theirs) for name, theirs in names.items() if theirs in known}
    return Baseline("coco", start.source, "", model.eval(), labels)


def _start(checkpoint: Checkpoint) -> Baseline:
    """The network before its first step."""
    kind = checkpoint.start["kind"]
    if kind == "checkpoint":
        raise UserError("the start was a checkpoint, which is not at hand; leave --baseline out")
    table = checkpoint.config | {"name": checkpoint.model, "weights": kind}
    table["mirror"] = False  # untrained predictors see no more in it, and it takes as long again
    config = from_table(ModelConfig, table, "start")
    with torch.random.fork_rng(devices=[]):
        start = resolve(config)
        model = initial_model(start, checkpoint.classes, config, checkpoint.seed)
    labels = {name: label for label, name in enumerate(checkpoint.classes, start=1)}
    return Baseline("start", start.source, "", model.eval(), labels)


def worth(
    other: Baseline,
    ground_truth: dict[str, Any],
    ours: list[dict[str, Any]],
    theirs: list[dict[str, Any]],
    resamples: int,
) -> dict[str, Any]:
    """``compare``, beside what they are compared with: ``kind``, ``source``, ``fallback``, ``knows``."""
    facts = {"kind": other.kind, "source": other.source, "fallback": other.fallback}
    return facts | {"knows": sorted(other.labels)} | compare(ground_truth, ours, theirs, resamples)


def compare(
    ground_truth: dict[str, Any],
    ours: list[dict[str, Any]],
    theirs: list[dict[str, Any]],
    resamples: int,
) -> dict[str, Any]:
    """How much better ``ours`` are, per class and overall, by a paired bootstrap over scenes.

    Returns:
        Laid out as ``coco_metrics``: by IoU type the other's figures, ``gain`` (ours less theirs) and
        ``gain_interval`` for each; and per class ``verdict``: does the 95 % interval of the gain in mask AP
        lie above 0 ("yes"), below it ("no"), or on both sides ("undecided")?
    """
    names = class_names(ground_truth)
    weights = scene_weights(ground_truth, resamples, np.random.default_rng(0))
    mine, other = (bootstrap_draws(ground_truth, results, weights) for results in (ours, theirs))
    gains = intervals({t: mine[t] - other[t] for t in IOU_TYPES}, names)
    good, scores = coco_metrics(ground_truth, ours), coco_metrics(ground_truth, theirs)
    for name in names:
        _add_gains(scores["classes"][name], good["classes"][name], gains["classes"][name])
    _add_gains(scores["overall"], good["overall"], gains["overall"])
    return scores


def _add_gains(table: dict[str, Any], good: dict[str, Any], gains: dict[str, Any]) -> None:
    for iou_type in IOU_TYPES:
        theirs = table[iou_type]
        table[iou_type] = theirs | {
            "gain": {m: _less(good[iou_type][m], theirs[m]) for m in METRICS},
            "gain_interval": gains[iou_type],
        }
    table["verdict"] = verdict(gains["segm"]["AP"])


def _less(mine: float | None, theirs: float | None) -> float | None:
    return None if mine is None or theirs is None else round(mine - theirs, 10)


def verdict(interval: list[float] | None) -> str:
    """Was it worth it? "yes", "no", or "undecided" if the interval of the gain holds 0, or there is none."""
    if interval is None or interval[0] <= 0 <= interval[1]:
        return "undecided"
    return "yes" if interval[0] > 0 else "no"
