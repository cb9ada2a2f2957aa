"""Build the baseline that a model is compared with: COCO's general model, or the network before training.

The general model is torchvision's Mask R-CNN with COCO's weights and torchvision's own settings: 80 classes,
images at 800 pixels. It cannot detect a class that COCO lacks. If its weights are not available, the start
weights that the checkpoint names are used instead, with untrained predictors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torchvision.models.detection import MaskRCNN, MaskRCNN_ResNet50_FPN_Weights

from blender.contract import UserError, from_table
from pipeline.config import ModelConfig
from pipeline.data.coco_io import COCO_NAMES
from pipeline.models.checkpoint import Checkpoint
from pipeline.models.pretrained import StartWeights, coco_weights, initial_model, resolve
from pipeline.models.registry import COCO, build_model
from pipeline.models.weight_files import WeightsError

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
    """Why the start weights replace the general model, or ""."""
    model: MaskRCNN
    """The model, in eval mode."""
    labels: dict[str, int]
    """Class name to the model's label; classes that the model lacks are left out."""


def load_baseline_if_available(kind: str, checkpoint: Checkpoint, notes: list[str]) -> Baseline | None:
    """Call ``load_baseline``; if no baseline is available, append a note to ``notes`` and return None.

    Raises:
        UserError: ``kind`` is "start", and the start weights are not available.
    """
    try:
        return load_baseline(kind, checkpoint)
    except UserError as error:
        if kind == "start":
            raise
        notes.append(f"no baseline to compare with: {error}")
        return None


def load_baseline(kind: str, checkpoint: Checkpoint) -> Baseline:
    """Build the baseline of ``checkpoint``; "coco" falls back to the start weights.

    Raises:
        UserError: the start weights are not available either.
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
        UserError: the start weights are not available.
    """
    return _start_model(checkpoint) if kind == "start" else _general_model(coco_weights(), checkpoint.classes)


def _general_model(start: StartWeights, classes: tuple[str, ...]) -> Baseline:
    """Build torchvision's Mask R-CNN with COCO's weights and predictors."""
    coco_classes = MaskRCNN_ResNet50_FPN_Weights.DEFAULT.meta["categories"]
    model = build_model(COCO, len(coco_classes), TORCHVISION_CONFIG, start.state, keep_predictors=True)
    names = {name: COCO_NAMES.get(name, name.replace("_", " ")) for name in classes}
    labels = {name: coco_classes.index(other) for name, other in names.items() if other in coco_classes}
    return Baseline("coco", start.source, "", model.eval(), labels)


def _start_model(checkpoint: Checkpoint) -> Baseline:
    """Build the network before its first training step. The caller's random state does not change."""
    kind = checkpoint.start["kind"]
    if kind == "checkpoint":
        raise UserError(
            "training started from another checkpoint, whose weights are not available; leave --baseline out"
        )
    table = checkpoint.config | {"name": checkpoint.model, "weights": kind}
    # Mirrored images would take twice the time without effect on untrained predictors.
    table["mirror"] = False
    config = from_table(ModelConfig, table, "start")
    with torch.random.fork_rng(devices=[]):
        start = resolve(config)
        model = initial_model(start, checkpoint.classes, config, checkpoint.seed)
    labels = {name: label for label, name in enumerate(checkpoint.classes, start=1)}
    return Baseline("start", start.source, "", model.eval(), labels)
