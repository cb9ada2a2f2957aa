"""Make parameters trainable by part and epoch, and build the optimizer's parameter groups.

The parts of a network, which a profile names, are "heads", "fpn", and the backbone's "stage4" to "stage1".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from pipeline.config import DETECTOR_STARTS, TrainConfig

BACKBONE_STARTS = ("embedded", "imagenet", "body")
"""Kinds of start weights that contain only the backbone's body."""


def parts_of(model: Any) -> dict[str, str]:
    """Map every entry of a model's state dict to its part: "heads", "fpn", "stage4" ... "stage1"."""
    backbone = model.backbone
    stages = backbone.stage_names()
    heads = {name: "heads" for name in model.state_dict() if name.startswith(("rpn.", "roi_heads."))}
    fpn = {f"backbone.fpn.{name}": "fpn" for name in backbone.fpn.state_dict()}
    return {f"backbone.body.{name}": stage for name, stage in stages.items()} | fpn | heads


def trainable_parts(config: TrainConfig, epoch: int) -> tuple[str, ...]:
    """Return the parts that are trainable in an epoch, counted from 0."""
    return (*config.trainable, *(part for part, first in config.unfreeze.items() if epoch + 1 >= first))


def set_trainable(model: Any, parts: tuple[str, ...]) -> None:
    """Make the parameters of ``parts`` trainable and freeze all others.

    The biases of a backbone with folded batch norm stay frozen, because they belong to its frozen batch norm.
    """
    part_of, folded = parts_of(model), model.backbone.has_folded_batch_norm
    for name, parameter in model.named_parameters():
        frozen = folded and name.startswith("backbone.body.") and name.endswith(".bias")
        parameter.requires_grad_(part_of[name] in parts and not frozen)
        if not parameter.requires_grad:
            parameter.grad = None  # otherwise the optimizer would still update it


def trainable_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the names and parameters that are currently trainable."""
    return ((name, p) for name, p in model.named_parameters() if p.requires_grad)


def is_pretrained(name: str, start: str) -> bool:
    """Return whether a parameter starts from pretrained weights.

    Args:
        name: name of the parameter.
        start: kind of the start weights ("coco", "embedded", ...).
    """
    if "_predictor." in name:
        return False
    return start in DETECTOR_STARTS or (start in BACKBONE_STARTS and name.startswith("backbone.body."))


def parameter_groups(model: nn.Module, config: TrainConfig, start: str) -> list[dict[str, Any]]:
    """Build the optimizer's parameter groups from the trainable parameters.

    Pretrained parameters get a lower learning rate; norms and biases get no weight decay.

    Args:
        model: the model.
        config: the recipe.
        start: kind of the start weights, which decides on the pretrained parameters.

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
