"""Save and load checkpoints: a trained model as a safetensors file with a checksum, without pickle.

The tensors under plain names are the model's state dict, so other tools can load the file. Those of
``ResumeState`` have the prefix ``train/``. Everything else is metadata in the header, each entry as JSON.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from blender.contract import from_table, write_atomic
from pipeline.config import ModelConfig, UserError
from pipeline.models import safetensors_file
from pipeline.models.mask_rcnn import TranspaletteMaskRCNN
from pipeline.models.registry import CLS_SCORE, build_model

FORMAT = 2
"""Version of the file format. Format 1 was a pickle of ``torch.save``; it is no longer read."""
_FORMAT_KEY = "transpalette_format"
"""Name of the metadata entry that only Transpalette's checkpoints have."""
_WEIGHTS, _OPTIMIZER = "train/weights/", "train/optimizer/"
"""Prefixes of the tensors of ``ResumeState``."""
_ZIP, _FORMAT_1_SEAL = b"PK\x03\x04", b"transpalette sha256:"
"""First bytes of a file of ``torch.save``; bytes near the end of a checkpoint of format 1."""


def current_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that training depends on."""
    names = ("torch", "torchvision", "timm", "transpalette")
    return {"python": platform.python_version(), **{name: _version(name) for name in names}}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


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


@dataclass(frozen=True)
class Checkpoint:
    """A trained model, its configuration and its metrics."""

    model: str
    """A key of ``pipeline.models.registry.MODELS``."""
    config: dict[str, Any]
    """The fields of ``ModelConfig``."""
    classes: tuple[str, ...]
    """Class names; label 1 is the first, and 0 is the background."""
    start: dict[str, str]
    """The start weights: ``kind``, ``source``, and ``fallback`` (why COCO's were not available, or "")."""
    metrics: dict[str, Any]
    """Validation metrics of this epoch, from ``pipeline.evaluation.metrics``."""
    epoch: int
    """Number of completed epochs."""
    epochs: int
    """Number of planned epochs."""
    seed: int
    seconds: float
    """Training time, validation included."""
    images: int
    """Number of training images."""
    score_threshold: float
    """The score threshold with the best F1 on the validation split."""
    state: dict[str, Tensor]
    """The model's state dict: the EMA weights."""
    resume: ResumeState | None = None
    """None in model.safetensors."""
    versions: dict[str, str] = field(default_factory=current_versions)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically.

    Raises:
        OSError: the disk is full or the folder is not writable; an earlier file is not changed.
    """
    tensors, resume = dict(checkpoint.state), checkpoint.resume
    fields = {name: value for name, value in vars(checkpoint).items() if name not in ("state", "resume")}
    metadata = {name: json.dumps(value) for name, value in fields.items()}
    metadata |= {"format": "pt", _FORMAT_KEY: str(FORMAT)}  # other tools require "format"
    if resume is not None:
        tensors |= {f"{_WEIGHTS}{name}": tensor for name, tensor in resume.weights.items()}
        for index, values in resume.optimizer.get("state", {}).items():
            tensors |= {f"{_OPTIMIZER}{index}/{name}": tensor for name, tensor in values.items()}
        plain = {**vars(resume), "optimizer": resume.optimizer.get("param_groups")}
        del plain["weights"]
        metadata["resume"] = json.dumps(plain)
    write_atomic(path, safetensors_file.encode(tensors, metadata))


def is_checkpoint(data: bytes) -> bool:
    """Return whether the content of a file is that of a Transpalette checkpoint, of any format."""
    return _is_format_1(data) or _FORMAT_KEY in (safetensors_file.read_metadata(data) or {})


def _is_format_1(data: bytes) -> bool:
    return data.startswith(_ZIP) and _FORMAT_1_SEAL in data[-128:]


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, after a check of its SHA-256.

    Raises:
        UserError: the file is missing, not a Transpalette checkpoint, damaged, or of another format.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint; train a model first (make train)") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    metadata = safetensors_file.read_metadata(data)
    if _is_format_1(data):
        raise UserError(
            f"{path}: a checkpoint of an earlier version, which is no longer supported; train again"
        )
    if data.startswith(_ZIP) or (metadata is not None and _FORMAT_KEY not in metadata):
        raise UserError(
            f"{path}: not a Transpalette checkpoint; give a model.safetensors of 'transpalette train' "
            "(a state dict of another tool can be [model] weights of a profile)"
        )
    if metadata is None:
        raise UserError(
            f"{path}: not a Transpalette checkpoint, or damaged or truncated; give a model.safetensors "
            "of 'transpalette train', or copy the file again"
        )
    try:
        tensors, metadata = safetensors_file.decode(data)
    except ValueError:
        raise UserError(
            f"{path}: damaged or truncated (its SHA-256 is wrong); copy it again, or train again"
        ) from None
    if metadata[_FORMAT_KEY] != str(FORMAT):
        raise UserError(
            f"{path}: a checkpoint of format {metadata[_FORMAT_KEY]}; this version reads format {FORMAT}: "
            "train again with this version"
        )
    texts = {name: text for name, text in metadata.items() if name not in ("format", _FORMAT_KEY)}
    try:
        return _from_tensors(tensors, {name: json.loads(text) for name, text in texts.items()})
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UserError(f"{path}: its metadata are not those of a checkpoint; train again") from None


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
    return Checkpoint(**{**fields, "classes": tuple(fields["classes"])}, state=tensors, resume=resume)


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
        stored = len(checkpoint.state[CLS_SCORE])
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


def load_model(path: Path, device: str = "cpu") -> tuple[TranspaletteMaskRCNN, Checkpoint]:
    """Load a trained model in eval mode, with exactly the weights that were saved.

    Raises:
        UserError: as ``load_checkpoint``, or the weights do not fit the network.
    """
    checkpoint = load_checkpoint(path)
    model = model_from_checkpoint(checkpoint, path).to(device, memory_format=torch.channels_last)
    return model.eval(), checkpoint
