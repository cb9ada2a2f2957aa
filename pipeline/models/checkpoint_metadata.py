"""Read and check the file of a checkpoint and its metadata. This module does not use torch."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blender.contract import UserError
from pipeline.common.versions import package_version
from pipeline.models import safetensors_file

FORMAT = 2
"""Version of the file format. Format 1 was a pickle of ``torch.save``; it is no longer read."""
FORMAT_KEY = "transpalette_format"
"""Name of the metadata entry that only Transpalette's checkpoints have."""
_ZIP, _FORMAT_1_SEAL = b"PK\x03\x04", b"transpalette sha256:"
"""First bytes of a file of ``torch.save``; bytes near the end of a checkpoint of format 1."""


def current_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that training depends on."""
    names = ("torch", "torchvision", "timm", "transpalette")
    return {"python": platform.python_version(), **{name: package_version(name) for name in names}}


@dataclass(frozen=True, kw_only=True)
class CheckpointMetadata:
    """The metadata of a trained model: all fields of a checkpoint except its tensors."""

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
    """The score threshold with the best F1 on the validation split (and on that of ``--threshold-set``)."""
    versions: dict[str, str] = field(default_factory=current_versions)

    @property
    def auxiliary(self) -> tuple[str, ...]:
        """The auxiliary classes, whose labels follow those of the classes."""
        return tuple(self.config.get("auxiliary", ()))


def is_checkpoint(data: bytes) -> bool:
    """Return whether the content of a file is that of a Transpalette checkpoint, of any format."""
    return _is_format_1(data) or FORMAT_KEY in (safetensors_file.read_metadata(data) or {})


def _is_format_1(data: bytes) -> bool:
    return data.startswith(_ZIP) and _FORMAT_1_SEAL in data[-128:]


def read_checkpoint(path: Path) -> tuple[bytes, dict[str, Any]]:
    """Read the file of a checkpoint, and check its SHA-256.

    Returns:
        The bytes of the file, and the fields of ``CheckpointMetadata``; for last.safetensors also the fields
        of ``ResumeState``, as "resume".

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
    if data.startswith(_ZIP) or (metadata is not None and FORMAT_KEY not in metadata):
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
        metadata = safetensors_file.verify(data)
    except ValueError:
        raise UserError(
            f"{path}: damaged or truncated (its SHA-256 is wrong); copy it again, or train again"
        ) from None
    if metadata[FORMAT_KEY] != str(FORMAT):
        raise UserError(
            f"{path}: a checkpoint of format {metadata[FORMAT_KEY]}; this version reads format {FORMAT}: "
            "train again with this version"
        )
    texts = {name: text for name, text in metadata.items() if name not in ("format", FORMAT_KEY)}
    try:
        return data, {name: json.loads(text) for name, text in texts.items()}
    except ValueError:
        raise UserError(bad_metadata(path)) from None


def read_checkpoint_metadata(path: Path) -> CheckpointMetadata:
    """Read the metadata of a checkpoint, after a check of its SHA-256.

    Raises:
        UserError: as in ``read_checkpoint``, or the metadata are wrong.
    """
    _, fields = read_checkpoint(path)
    fields.pop("resume", None)
    try:
        return CheckpointMetadata(**{**fields, "classes": tuple(fields["classes"])})
    except (TypeError, KeyError):
        raise UserError(bad_metadata(path)) from None


def bad_metadata(path: Path) -> str:
    """Return the message about a checkpoint whose metadata are wrong."""
    return f"{path}: its metadata are not those of a checkpoint; train again"
