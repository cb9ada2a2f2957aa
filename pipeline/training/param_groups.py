"""Which parts of a network learn, from when on, and how fast."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from pipeline.config import DETECTING, TrainConfig

BODIES = ("embedded", "imagenet", "body")
"""Kinds of start that know a network's body alone."""


def parts_of(model: Any) -> dict[str, str]:
    """Name the part ("heads", "fpn", "stage4" ... "stage1") of every entry of a model's state dict."""
    backbone = model.backbone
    stages = backbone.stage_names()
    outside = {name: "heads" for name in model.state_dict() if name.startswith(("rpn.", "roi_heads."))}
    levels = {f"backbone.fpn.{name}": "fpn" for name in backbone.fpn.state_dict()}
    return {f"backbone.body.{name}": stage for name, stage in stages.items()} | levels | outside


def learning_parts(config: TrainConfig, epoch: int) -> tuple[str, ...]:
    """The parts that learn in an epoch, counted from 0."""
    return (*config.trainable, *(part for part, first in config.unfreeze.items() if epoch + 1 >= first))


def set_trainable(model: Any, parts: tuple[str, ...]) -> None:
    """Let the parameters of ``parts`` learn and freeze all others.

    The biases of a folded body never learn: they are what is left of its frozen BatchNorm.
    """
    part_of, folded = parts_of(model), model.backbone.has_folded_batch_norm
    for name, parameter in model.named_parameters():
        frozen = folded and name.startswith("backbone.body.") and name.endswith(".bias")
        parameter.requires_grad_(part_of[name] in parts and not frozen)
        if not parameter.requires_grad:
            parameter.grad = None  # or the optimizer would move what was frozen again


def trainable(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the names and parameters that learn."""
    return ((name, p) for name, p in model.named_parameters() if p.requires_grad)


def pretrained(name: str, start: str) -> bool:
    """Does a parameter start from learnt weights, given the kind of start ("coco", "embedded", ...)?"""
    if "_predictor." in name:
        return False
    return start in DETECTING or (start in BODIES and name.startswith("backbone.body."))


def parameter_groups(model: nn.Module, config: TrainConfig, start: str) -> list[dict[str, Any]]:
    """Group what learns for an optimizer: pretrained parts at a lower rate, no decay on norms and biases.

    Args:
        start: the kind of start, which says what is pretrained.

    Returns:
        Groups with ``params``, ``lr``, ``weight_decay`` and ``factor``, the share of ``config.lr``.
    """
    part_of = parts_of(model)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in trainable(model):
        usual = config.pretrained_lr_factor if pretrained(name, start) else 1.0
        factor = config.lr_factors.get(part_of[name], usual)
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": config.lr * factor, "weight_decay": decay, "factor": factor}
        for (factor, decay), parameters in groups.items()
    ]
