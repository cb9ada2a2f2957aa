"""Which parameters are trainable in which epoch, and the optimizer's parameter groups.

A network has the parts "heads", "fpn" and "stage4" to "stage1" (of the backbone), which a profile names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from pipeline.config import DETECTOR_STARTS, TrainConfig

BACKBONE_STARTS = ("embedded", "imagenet", "body")
"""Kinds of start weights that hold the backbone alone."""


def parts_of(model: Any) -> dict[str, str]:
    """Map every entry of a model's state dict to its part: "heads", "fpn", "stage4" ... "stage1"."""
    backbone = model.backbone
    stages = backbone.stage_names()
    heads = {name: "heads" for name in model.state_dict() if name.startswith(("rpn.", "roi_heads."))}
    fpn = {f"backbone.fpn.{name}": "fpn" for name in backbone.fpn.state_dict()}
    return {f"backbone.body.{name}": stage for name, stage in stages.items()} | fpn | heads


def trainable_parts(config: TrainConfig, epoch: int) -> tuple[str, ...]:
    """Return the parts that are trained in an epoch, counted from 0."""
    return (*config.trainable, *(part for part, first in config.unfreeze.items() if epoch + 1 >= first))


def set_trainable(model: Any, parts: tuple[str, ...]) -> None:
    """Make the parameters of ``parts`` trainable and freeze all others.

    The biases of a backbone with folded BatchNorm stay frozen: they stand for the frozen BatchNorm.
    """
    part_of, folded = parts_of(model), model.backbone.has_folded_batch_norm
    for name, parameter in model.named_parameters():
        frozen = folded and name.startswith("backbone.body.") and name.endswith(".bias")
        parameter.requires_grad_(part_of[name] in parts and not frozen)
        if not parameter.requires_grad:
            parameter.grad = None  # else the optimizer would still update it


def trainable_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the names and parameters that are trainable now."""
    return ((name, p) for name, p in model.named_parameters() if p.requires_grad)


def is_pretrained(name: str, start: str) -> bool:
    """Does a parameter start from pretrained weights?

    Args:
        name: of the parameter.
        start: the kind of start weights ("coco", "embedded", ...).
    """
    if "_predictor." in name:
        return False
    return start in DETECTOR_STARTS or (start in BACKBONE_STARTS and name.startswith("backbone.body."))


def parameter_groups(model: nn.Module, config: TrainConfig, start: str) -> list[dict[str, Any]]:
    """Return the optimizer's parameter groups of the trainable parameters.

    Pretrained parts get a lower learning rate; norms and biases get no weight decay.

    Args:
        start: the kind of start weights, which says what is pretrained.

    Returns:
        Groups with ``params``, ``lr``, ``weight_decay`` and ``lr_factor``, the share of ``config.lr``.
    """
    part_of = parts_of(model)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in trainable_parameters(model):
        default = config.pretrained_lr_factor if is_pretrained(name, start) else 1.0
        factor = config.lr_factors.get(part_of[name], default)
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": config.lr * factor, "weight_decay": decay, "lr_factor": factor}
        for (factor, decay), parameters in groups.items()
    ]
