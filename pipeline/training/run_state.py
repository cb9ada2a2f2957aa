"""A training run's state: new, as last.pt keeps it, and as the objects that learn."""

from __future__ import annotations

import copy
import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch
from torchvision.models.detection import MaskRCNN

from pipeline.config import Profile, TrainConfig, UserError
from pipeline.models.checkpoint import Checkpoint, load_checkpoint, model_of
from pipeline.models.pretrained import initial_model, resolve
from pipeline.models.registry import training_options
from pipeline.training.distributed import rank
from pipeline.training.param_groups import parameter_groups, set_trainable, trainable
from pipeline.training.schedule import choose_precision
from pipeline.training.sharded_step import whole_state

BETAS = (0.9, 0.98)
"""AdamW's. Its usual memory of squared gradients, 0.999, is as long as a short run: the first steps'
gradients, many times as large as the last ones', would keep all later steps small."""


@dataclass(frozen=True)
class Learner:
    """What an epoch changes."""

    model: MaskRCNN
    average: MaskRCNN
    """Its weights' running average, which is validated and kept."""
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    """Keeps fp16's gradients from vanishing; does nothing at another precision."""

    def state(self) -> dict[str, Any]:
        """What last.pt keeps beside the average. All processes must ask; the leader's is whole."""
        return {
            "optimizer": whole_state(self.optimizer),
            "scaler": self.scaler.state_dict(),
            "weights": {name: p.detach().clone() for name, p in trainable(self.model)},
        }


def fresh(profile: Profile, images: int, key: str, device: torch.device) -> Checkpoint:
    """The checkpoint of epoch 0: the start weights, and predictors for the profile's classes."""
    start = resolve(profile.model)
    source, same = start.describe(), start.classes == profile.classes
    if start.classes and not same:
        source["source"] += f", which knew {', '.join(start.classes)}: new predictors"
    model = initial_model(start, profile.classes, profile.model, profile.seed)
    return Checkpoint(
        model=start.model,
        config=dataclasses.asdict(profile.model),
        classes=profile.classes,
        start=source,
        metrics={},
        epoch=0,
        epochs=profile.train.of_start(start.kind).epochs,
        seed=profile.seed,
        seconds=0.0,
        images=images,
        score_threshold=0.5,
        state=model.state_dict(),
        resume={
            "key": key,
            "best": -1.0,
            "precision": choose_precision(profile.train.precision, device),
            "stale": 0,  # epochs without a better one
            "optimizer": {},
            "scaler": {},
            "weights": {},
        },
    )


def resumable(out: Path, key: str) -> Checkpoint | None:
    """The run in ``out``, if it is whole and has these inputs; says so if it has others."""
    try:
        last = load_checkpoint(out / "last.pt")
        load_checkpoint(out / "model.pt")
    except UserError:
        return None
    if last.resume is None or last.resume["key"] != key:
        if rank() == 0:
            classes = ", ".join(last.classes)
            click.echo(f"train: {out / 'last.pt'} is of other settings or data ({classes}): starting over")
        return None
    return last if (out / "metrics.jsonl").is_file() else None


def restore(
    checkpoint: Checkpoint, config: TrainConfig, device: torch.device
) -> tuple[Learner, dict[str, Any]]:
    """Build what learns from a checkpoint; give the rest of its ``resume`` too."""
    resume = dict(checkpoint.resume or {})
    average = model_of(checkpoint, Path("last.pt"), **training_options(config))
    average = average.to(device, memory_format=torch.channels_last).eval()
    set_trainable(average, (*config.trainable, *config.unfreeze))  # all that ever learns
    model = copy.deepcopy(average)
    whole = config.min_size or model.transform.min_size[0]
    model.transform.min_size = (max(32, round(whole * config.crop)),)
    with torch.no_grad():
        for name, parameter in trainable(model):
            if name in resume["weights"]:
                parameter.copy_(resume["weights"][name])
    groups = parameter_groups(model, config, checkpoint.start["kind"])
    optimizer: torch.optim.Optimizer = (
        torch.optim.AdamW(groups, betas=BETAS, fused=True)
        if config.optimizer == "adamw"
        else torch.optim.SGD(groups, momentum=config.momentum, fused=True)
    )
    if resume["optimizer"]:
        saved = resume["optimizer"]
        # Interned, as the optimizer writes these names for parts that thaw later: pickle writes an object it
        # has met as a reference, and last.pt would have the same values in other bytes.
        state = {i: {sys.intern(name): v for name, v in one.items()} for i, one in saved["state"].items()}
        optimizer.load_state_dict(saved | {"state": state})
    scaler = torch.amp.GradScaler(device.type, enabled=resume["precision"] == "fp16")
    if resume["scaler"]:
        scaler.load_state_dict(resume["scaler"])
    if config.compile:
        for one in (model, average):
            one.backbone.body.compile()
    return Learner(model, average, optimizer, scaler), resume
