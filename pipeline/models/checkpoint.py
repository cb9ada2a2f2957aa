"""Save and load checkpoints: a trained model as a safetensors file with a checksum, without pickle.

The tensors under plain names are the model's state dict, so other tools can load the file. Those of
``ResumeState`` have the prefix ``train/``. Everything else is metadata in the header, each entry as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from blender.contract import from_table, write_atomic
from blender.contract.table_reader import closest
from pipeline.common.processes import reuse_freed_memory
from pipeline.config import ModelConfig, UserError
from pipeline.models import safetensors_file
from pipeline.models.checkpoint_metadata import (
    FORMAT,
    FORMAT_KEY,
    CheckpointMetadata,
    bad_metadata,
    read_checkpoint,
)
from pipeline.models.eight_bit import compress, expand
from pipeline.models.mask_rcnn import TranspaletteMaskRCNN
from pipeline.models.predictors import Labels, reorder_rows
from pipeline.models.registry import CLS_SCORE, build_model

_WEIGHTS, _OPTIMIZER = "train/weights/", "train/optimizer/"
"""Prefixes of the tensors of ``ResumeState``."""


@dataclass(frozen=True)
class ResumeState:
    """The state of training that the next epoch needs beside the EMA weights; only in last.safetensors."""

    inputs_hash: str
    """SHA-256 of all inputs of training; a run with other inputs does not resume."""
    precision: str
    """"fp32", "bf16" or "fp16": chosen once per run, so that another machine resumes with the same format."""
    cached_views: int | None = None
    """Number of augmented views of each image in the feature cache; None before the first epoch."""
    best_ap: float = -1.0
    """The best epoch's mask AP on the validation split."""
    epochs_without_improvement: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)
    """The trainable parameters that the optimizer updates; the EMA weights are their moving average."""
    optimizer: dict[str, Any] = field(default_factory=dict)
    """The optimizer's ``state_dict``; empty before the first epoch."""
    scaler: dict[str, Any] = field(default_factory=dict)
    """The ``state_dict`` of fp16's loss scaler; empty at another precision."""
    background_losses: list[float] = field(default_factory=list)
    """For hard-example mining: each training image's background loss, NaN for one not used yet; empty without
    mining and before the first epoch."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint(CheckpointMetadata):
    """A trained model: its metadata and its tensors."""

    state: dict[str, Tensor]
    """The model's state dict: the EMA weights."""
    resume: ResumeState | None = None
    """None in model.safetensors."""


def save_checkpoint(path: Path, checkpoint: Checkpoint, *, eight_bit: bool = False) -> None:
    """Write a checkpoint atomically, with ``eight_bit`` its weights in 8 bits.

    Raises:
        OSError: the disk is full or the folder is not writable; an earlier file is not changed.
    """
    tensors, resume = dict(checkpoint.state), checkpoint.resume
    if eight_bit:
        tensors = compress(tensors)
    fields = {name: value for name, value in vars(checkpoint).items() if name not in ("state", "resume")}
    metadata = {name: json.dumps(value) for name, value in fields.items()}
    metadata |= {"format": "pt", FORMAT_KEY: str(FORMAT)}  # other tools require "format"
    if resume is not None:
        tensors |= {f"{_WEIGHTS}{name}": tensor for name, tensor in resume.weights.items()}
        for index, values in resume.optimizer.get("state", {}).items():
            tensors |= {f"{_OPTIMIZER}{index}/{name}": tensor for name, tensor in values.items()}
        plain = {**vars(resume), "optimizer": resume.optimizer.get("param_groups")}
        del plain["weights"]
        metadata["resume"] = json.dumps(plain)
    write_atomic(path, safetensors_file.encode(tensors, metadata))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, after a check of its SHA-256.

    Raises:
        UserError: the file is missing, not a Transpalette checkpoint, damaged, or of another format.
    """
    data, fields = read_checkpoint(path)
    try:
        return _from_tensors(safetensors_file.decode(data), fields)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UserError(bad_metadata(path)) from None


def _from_tensors(tensors: dict[str, Tensor], fields: dict[str, Any]) -> Checkpoint:
    resume = fields.pop("resume", None)
    if resume is not None:
        groups = resume.pop("optimizer")
        state: dict[int, dict[str, Tensor]] = {}
        for name in [name for name in tensors if name.startswith(_OPTIMIZER)]:
            index, _, entry = name.removeprefix(_OPTIMIZER).partition("/")
            state.setdefault(int(index), {})[entry] = tensors.pop(name)
        names = [name for name in tensors if name.startswith(_WEIGHTS)]
        resume = ResumeState(
            weights={name.removeprefix(_WEIGHTS): tensors.pop(name) for name in names},
            optimizer={"state": state, "param_groups": groups} if groups else {},
            **resume,
        )
    return Checkpoint(**{**fields, "classes": tuple(fields["classes"])}, state=expand(tensors), resume=resume)


def select_classes(checkpoint: Checkpoint, classes: tuple[str, ...], path: Path) -> Checkpoint:
    """Return a checkpoint that detects some of its classes; the others become auxiliary classes.

    Args:
        checkpoint: the checkpoint.
        classes: the classes to detect, in the order of the labels.
        path: its file, for messages.

    Raises:
        UserError: a class is named twice, or the checkpoint does not have it.
    """
    for number, name in enumerate(classes):
        if name in classes[:number]:
            raise UserError(f"class '{name}' is named twice")
        if name not in checkpoint.classes:
            known = ", ".join(checkpoint.classes)
            raise UserError(
                f"{path}: has no class '{name}'; it has: {known}{closest(name, checkpoint.classes)}"
            )
    before = Labels(checkpoint.classes, checkpoint.auxiliary)
    others = tuple(name for name in checkpoint.classes if name not in classes)
    after = Labels(classes, (*others, *checkpoint.auxiliary))
    config = {**checkpoint.config, "auxiliary": list(after.auxiliary)}
    state = reorder_rows(checkpoint.state, before, after)
    return replace(checkpoint, classes=classes, config=config, state=state, resume=None)


def model_from_checkpoint(checkpoint: Checkpoint, path: Path, **options: Any) -> TranspaletteMaskRCNN:
    """Build the network of a checkpoint and load its weights.

    Args:
        checkpoint: the checkpoint.
        path: its file, for messages.
        options: fields of ``MaskRCNNOptions``, in place of those of the checkpoint's configuration.

    Raises:
        UserError: the weights do not fit the network.
    """
    config = from_table(ModelConfig, checkpoint.config, f"{path}: config")
    names, classes = ", ".join(checkpoint.classes), len(checkpoint.classes) + 1
    try:
        stored = len(checkpoint.state[CLS_SCORE]) - len(config.auxiliary)
        if stored != classes:
            raise UserError(
                f"{path}: its weights do not fit its classes: they are for {stored - 1} classes, and the "
                f"file names {names}; train again"
            )
        return build_model(
            checkpoint.model, classes, config, checkpoint.state, keep_predictors=True, **options
        )
    except (KeyError, RuntimeError):
        raise UserError(
            f"{path}: its weights do not fit {checkpoint.model} with the classes {names}; train again"
        ) from None


def load_model(
    path: Path, device: str = "cpu", classes: Sequence[str] = ()
) -> tuple[TranspaletteMaskRCNN, Checkpoint]:
    """Load a trained model in eval mode, with exactly the weights that were saved.

    Args:
        path: the checkpoint.
        device: a device of torch.
        classes: the classes to detect, in the order of the labels; empty: all of the checkpoint.

    Raises:
        UserError: as ``load_checkpoint``; the weights do not fit the network; or the model has no such class.
    """
    reuse_freed_memory()
    checkpoint = load_checkpoint(path)
    if classes:
        checkpoint = select_classes(checkpoint, tuple(classes), path)
    model = model_from_checkpoint(checkpoint, path).to(device, memory_format=torch.channels_last)
    return model.eval(), checkpoint
