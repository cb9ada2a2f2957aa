"""Build the baseline that a model is compared with: COCO's general model, or the network before training.

The general model is torchvision's Mask R-CNN with COCO's weights and torchvision's own settings: 80 classes,
images at 800 pixels. It never detects a class that COCO lacks. If its weights are not available, the start
that the checkpoint records is used instead, with untrained predictors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torchvision.models.detection import MaskRCNN, MaskRCNN_ResNet50_FPN_Weights

from blender.contract import UserError, from_table
from pipeline.config import ModelConfig
from pipeline.models.checkpoint import Checkpoint
from pipeline.models.pretrained import StartWeights, coco_weights, initial_model, resolve
from pipeline.models.registry import COCO, build_model
from pipeline.models.weight_files import WeightsError

COCO_NAMES = {"pedestrian": "person"}
"""Classes with another name in COCO."""
TORCHVISION_CONFIG = ModelConfig(min_size=800, max_size=1333)
"""torchvision's own image sizes and limits."""


@dataclass(frozen=True)
class Baseline:
    """A model to compare with."""

    kind: str
    """"coco" for the general model, or "start" for the network before training."""
    source: str
    """Description of the weights."""
    fallback: str
    """Why the start replaces the general model, or "" if it does not."""
    model: MaskRCNN
    """In eval mode."""
    labels: dict[str, int]
    """Class name to the model's label, without the classes that it does not know."""


def load_baseline_if_available(kind: str, checkpoint: Checkpoint, notes: list[str]) -> Baseline | None:
    """Call ``load_baseline``, or return None and add a note if no baseline is available.

    Raises:
        UserError: ``kind`` is "start", and the start is not available.
    """
    try:
        return load_baseline(kind, checkpoint)
    except UserError as error:
        if kind == "start":
            raise
        notes.append(f"no baseline to compare with: {error}")
        return None


def load_baseline(kind: str, checkpoint: Checkpoint) -> Baseline:
    """Build the baseline of ``checkpoint``; "coco" falls back to the start.

    Raises:
        UserError: the start is not available either.
    """
    try:
        return build_baseline(kind, checkpoint)
    except WeightsError as error:
        reason = str(error)
    return replace(_start_model(checkpoint), fallback=reason)


def build_baseline(kind: str, checkpoint: Checkpoint) -> Baseline:
    """Build the baseline of this kind, "coco" or "start", without a fallback.

    Raises:
        WeightsError: COCO's weights are not available.
        UserError: the start is not available.
    """
    return _start_model(checkpoint) if kind == "start" else _general_model(coco_weights(), checkpoint.classes)


def _general_model(start: StartWeights, classes: tuple[str, ...]) -> Baseline:
    """torchvision's Mask R-CNN with COCO's weights and predictors."""
    coco_classes = MaskRCNN_ResNet50_FPN_Weights.DEFAULT.meta["categories"]
    model = build_model(COCO, len(coco_classes), TORCHVISION_CONFIG, start.state, keep_predictors=True)
    names = {name: COCO_NAMES.get(name, name.replace("_", " ")) for name in classes}
    labels = {name: coco_classes.index(other) for name, other in names.items() if other in coco_classes}
    return Baseline("coco", start.source, "", model.eval(), labels)


def _start_model(checkpoint: Checkpoint) -> Baseline:
    """The network before its first training step. The caller's random state does not change."""
    kind = checkpoint.start["kind"]
    if kind == "checkpoint":
        raise UserError(
            "training started from another checkpoint, which this one does not hold; leave --baseline out"
        )
    table = checkpoint.config | {"name": checkpoint.model, "weights": kind}
    # Predicting mirrored images too takes twice as long and is no use to untrained predictors.
    table["mirror"] = False
    config = from_table(ModelConfig, table, "start")
    with torch.random.fork_rng(devices=[]):
        start = resolve(config)
        model = initial_model(start, checkpoint.classes, config, checkpoint.seed)
    labels = {name: label for label, name in enumerate(checkpoint.classes, start=1)}
    return Baseline("start", start.source, "", model.eval(), labels)
