"""The trained model on disk: one file, written whole, sealed with a checksum, loaded without pickle code.

The file is an ordinary ``torch.save`` archive (``torch.load(path, weights_only=True)`` reads it); the
seal is the zip's comment, the SHA-256 of all bytes before it.
"""

from __future__ import annotations

import dataclasses
import io
import pickle
import platform
import struct
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN

from blender.contract import from_table, sha256_bytes, write_atomic
from pipeline.config import ModelConfig, UserError
from pipeline.models.mask_rcnn import CLS_SCORE, build_model

FORMAT = 1
_SEAL = b"transpalette sha256:"
_SEAL_LENGTH = len(_SEAL) + 64


def current_versions() -> dict[str, str]:
    """Versions of what makes a model."""
    names = ("torch", "torchvision", "timm", "transpalette")
    return {"python": platform.python_version(), **{name: _version(name) for name in names}}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


@dataclass(frozen=True)
class Checkpoint:
    """A trained model and everything needed to say what it is."""

    model: str
    """A key of ``pipeline.models.mask_rcnn.MODELS``."""
    config: dict[str, Any]
    """The fields of ``ModelConfig``."""
    classes: tuple[str, ...]
    """Label 1 is the first; 0 is the background."""
    start: dict[str, str]
    """What training started from: ``kind``, ``source``, ``fallback`` (why not COCO, or "")."""
    metrics: dict[str, Any]
    """Validation figures of this epoch, as ``pipeline.evaluation.metrics.compute_metrics`` gives them."""
    epoch: int
    """Epochs done."""
    epochs: int
    """Epochs planned."""
    seed: int
    seconds: float
    """Spent training, validation included."""
    images: int
    """In the training split."""
    score_threshold: float
    """The score that gives the best F1 on the validation split."""
    state: dict[str, Tensor]
    """The model's weights."""
    resume: dict[str, Any] | None = None
    """In last.pt: what the next epoch needs."""
    versions: dict[str, str] = field(default_factory=current_versions)
    format: int = FORMAT


def seal(data: bytes) -> bytes:
    """Put the SHA-256 of a zip archive into its comment."""
    if data[-2:] != b"\0\0":
        raise ValueError("the archive has a comment already")
    body = data[:-2] + struct.pack("<H", _SEAL_LENGTH)
    return body + _SEAL + sha256_bytes(body).encode()


def check_seal(data: bytes, name: str, what: str, cure: str) -> None:
    """Look whether ``seal`` sealed these very bytes.

    Raises:
        UserError: no; ``name`` is not ``what``, or damaged.
    """
    body, found = data[:-_SEAL_LENGTH], data[-_SEAL_LENGTH:]
    if not found.startswith(_SEAL):
        raise UserError(f"{name}: not {what}, or a truncated one; {cure}")
    if found != _SEAL + sha256_bytes(body).encode():
        raise UserError(f"{name}: damaged (its checksum is wrong); copy it again or make it again")


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write ``checkpoint`` whole or not at all.

    Raises:
        OSError: the disk is full, the folder is not writable; the file is as it was before.
    """
    table = {f.name: getattr(checkpoint, f.name) for f in dataclasses.fields(checkpoint)}
    buffer = io.BytesIO()
    torch.save(table | {"classes": list(checkpoint.classes)}, buffer)
    write_atomic(path, seal(buffer.getvalue()))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, checking its seal before anything else looks at it.

    Raises:
        UserError: missing, not ours, damaged, or of another format.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint; train one first (make train)") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    check_seal(data, str(path), "a Transpalette checkpoint", "give a model.pt of 'train'")
    return _parse(path, data)


def _parse(path: Path, data: bytes) -> Checkpoint:
    try:
        table = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{path}: not a Transpalette checkpoint: {reason}") from None
    names = {f.name for f in dataclasses.fields(Checkpoint)}
    if not isinstance(table, dict) or table.get("format") != FORMAT or set(table) != names:
        raise UserError(f"{path}: not a checkpoint of format {FORMAT}; train again with this version")
    return Checkpoint(**(table | {"classes": tuple(table["classes"])}))


def model_of(checkpoint: Checkpoint, path: Path, **options: Any) -> MaskRCNN:
    """Build the network of a checkpoint, with its weights.

    Raises:
        UserError: the weights do not fit the network.
    """
    config = from_table(ModelConfig, checkpoint.config, f"{path}: config")
    names, classes = ", ".join(checkpoint.classes), len(checkpoint.classes) + 1
    try:
        known = len(checkpoint.state[CLS_SCORE])
        if known != classes:
            raise UserError(
                f"{path}: its weights do not fit its classes: they know {known - 1}, and it names {names}; "
                "train again"
            )
        return build_model(
            checkpoint.model, classes, config, checkpoint.state, keep_predictors=True, **options
        )
    except (KeyError, RuntimeError):
        raise UserError(
            f"{path}: its weights do not fit {checkpoint.model} with the classes {names}; train again"
        ) from None


def load_model(path: Path, device: str = "cpu") -> tuple[MaskRCNN, Checkpoint]:
    """Load a trained model, ready to predict: bit for bit the one that was saved.

    Raises:
        UserError: as ``load_checkpoint``, or the weights do not fit the network.
    """
    checkpoint = load_checkpoint(path)
    model = model_of(checkpoint, path).to(device, memory_format=torch.channels_last)
    return model.eval(), checkpoint
