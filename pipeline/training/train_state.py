"""The state of training: create a run's first checkpoint, find a checkpoint to resume, and restore it."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from pathlib import Path

import click
import torch

from pipeline.config import Profile, TrainConfig, UserError
from pipeline.models.checkpoint import Checkpoint, ResumeState, load_checkpoint, model_from_checkpoint
from pipeline.models.mask_rcnn import TranspaletteMaskRCNN
from pipeline.models.pretrained import initial_model, resolve
from pipeline.models.registry import training_options
from pipeline.training.device import choose_precision
from pipeline.training.distributed import rank
from pipeline.training.param_groups import parameter_groups, set_trainable, trainable_parameters

BETAS = (0.9, 0.98)
"""AdamW's betas. The usual second value, 0.999, averages squared gradients over as many steps as a short run
has: the large gradients of the first steps would make all later updates small."""
MIN_IMAGE_SIDE = 32
"""Shortest side of a training image in pixels: the largest stride of the feature maps."""


@dataclass(frozen=True)
class TrainState:
    """The models, optimizer and scaler of a run."""

    model: TranspaletteMaskRCNN
    ema_model: TranspaletteMaskRCNN
    """The model whose weights are the exponential moving average (EMA); it is validated and saved."""
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    """Scales the loss in fp16, so that gradients do not vanish; disabled at another precision."""


def initial_checkpoint(profile: Profile, images: int, inputs_hash: str, device: torch.device) -> Checkpoint:
    """Return the checkpoint of epoch 0: the start weights, with new predictors for new classes.

    Args:
        profile: the run's profile.
        images: number of training images, which the checkpoint records.
        inputs_hash: SHA-256 of all inputs of training.
        device: the device to train on.

    Raises:
        UserError: the start weights are missing or do not fit, or the device does not support the precision.
    """
    start = resolve(profile.model)
    description = start.describe()
    if start.classes and start.classes != profile.classes:
        description["source"] += f", trained on {', '.join(start.classes)}"
        if new := [name for name in profile.classes if name not in start.classes]:
            description["source"] += f": new predictors for {', '.join(new)}"
    model = initial_model(start, profile.classes, profile.model, profile.seed)
    return Checkpoint(
        model=start.model,
        config={**dataclasses.asdict(profile.model), "auxiliary": list(profile.model.auxiliary)},
        classes=profile.classes,
        start=description,
        metrics={},
        epoch=0,
        epochs=profile.train.of_start(start.kind).epochs,
        seed=profile.seed,
        seconds=0.0,
        images=images,
        score_threshold=0.5,
        state=model.state_dict(),
        resume=ResumeState(inputs_hash, choose_precision(profile.train.precision, device)),
    )


def find_resumable(out: Path, inputs_hash: str) -> Checkpoint | None:
    """Return the last checkpoint in ``out``; None if it is missing, damaged or from other inputs."""
    path = out / "last.safetensors"
    try:
        last = load_checkpoint(path)
        load_checkpoint(out / "model.safetensors")
    except UserError:
        return None
    if last.resume is None or last.resume.inputs_hash != inputs_hash:
        if rank() == 0:
            classes = ", ".join(last.classes)
            click.echo(f"train: {path} is from other settings or data (classes {classes}); starting over")
        return None
    return last if (out / "metrics.jsonl").is_file() else None


def restore(checkpoint: Checkpoint, config: TrainConfig, device: torch.device) -> TrainState:
    """Build model, EMA model, optimizer and scaler from a checkpoint that has a ``ResumeState``.

    Args:
        checkpoint: the checkpoint.
        config: the recipe for the checkpoint's start weights (``TrainConfig.of_start``).
        device: the device to train on.

    Raises:
        UserError: the weights do not fit the network.
        ValueError: the checkpoint has no ``ResumeState``.
    """
    resume = checkpoint.resume
    if resume is None:
        raise ValueError("a checkpoint without ResumeState cannot be resumed")
    ema_model = model_from_checkpoint(checkpoint, Path("last.safetensors"), **training_options(config))
    ema_model = ema_model.to(device, memory_format=torch.channels_last).eval()
    set_trainable(ema_model, (*config.trainable, *config.unfreeze))  # the parts of all epochs
    model = copy.deepcopy(ema_model)
    shorter_side = config.min_size or model.transform.min_size[0]
    model.transform.min_size = (max(MIN_IMAGE_SIDE, round(shorter_side * config.crop)),)
    with torch.no_grad():
        for name, parameter in trainable_parameters(model):
            if name in resume.weights:
                parameter.copy_(resume.weights[name])
    optimizer = _restore_optimizer(model, resume, config, checkpoint.start["kind"])
    scaler = torch.amp.GradScaler(device.type, enabled=resume.precision == "fp16")
    if resume.scaler:
        scaler.load_state_dict(resume.scaler)
    if config.compile:
        for network in (model, ema_model):
            network.backbone.body.compile()
    return TrainState(model, ema_model, optimizer, scaler)


def _restore_optimizer(
    model: TranspaletteMaskRCNN, resume: ResumeState, config: TrainConfig, start: str
) -> torch.optim.Optimizer:
    groups = parameter_groups(model, config, start)
    optimizer: torch.optim.Optimizer = (
        torch.optim.AdamW(groups, betas=BETAS, fused=True)
        if config.optimizer == "adamw"
        else torch.optim.SGD(groups, momentum=config.momentum, fused=True)
    )
    if resume.optimizer:
        optimizer.load_state_dict(resume.optimizer)
        for parameter, values in optimizer.state.items():
            for name, value in values.items():
                if value.shape == parameter.shape:
                    # Files contain contiguous tensors, but fused optimizers need the parameter's format.
                    values[name] = torch.empty_like(parameter).copy_(value)
    return optimizer
