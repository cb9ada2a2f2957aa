"""The command ``train``: check whether the outputs are up to date, and start training if they are not.

Imports inside functions are for start-up time: torch takes seconds, and is not needed if the outputs are up
to date.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import click

from blender.contract import UserError, canonical_json, remove_fragments, sha256_bytes, sha256_file
from pipeline.common.stages import is_up_to_date, write_stamp
from pipeline.config import Profile
from pipeline.data.combine import hash_coco_set
from pipeline.training.sampling.negatives import hash_negatives

OUTPUTS = ("model.safetensors", "last.safetensors", "metrics.jsonl")
TRAINER_VERSION = 2
"""Increase it whenever the same profile, data and seed give other weights, so that models are trained
again."""


def train(
    profile: Profile,
    train_dir: Path,
    val_dir: Path,
    out: Path,
    allow_empty_classes: bool = False,
    threshold_dir: Path | None = None,
) -> None:
    """Fine-tune Mask R-CNN on ``train_dir``, and select the best epoch by its mask AP on ``val_dir``.

    Writes to ``out``: model.safetensors (the best epoch), last.safetensors (the last epoch, to resume from),
    metrics.jsonl (a line per epoch), training/ (images of each epoch, and TensorBoard's files if it is
    installed). Does nothing if they are up to date; resumes an interrupted run of the same inputs.

    With ``allow_empty_classes``, a class may have no object in the training images. With ``threshold_dir``,
    the folder of another split, the score threshold is that with the best F1 on it and ``val_dir`` together.

    Raises:
        UserError: annotations, images or weights are missing or wrong, the loss is not finite, or memory is
            exhausted.
    """
    inputs = training_inputs(profile, train_dir, val_dir)
    if threshold_dir is not None:
        inputs["threshold"] = split_hash(threshold_dir)
    stamp, outputs = out / ".train.stamp", [out / name for name in OUTPUTS]
    if is_up_to_date(stamp, inputs, outputs):
        click.echo("train: up to date")
        return
    from pipeline.training.launch import launch, process_count  # imports torch

    remove_fragments(out)
    config, inputs_hash = profile.train, sha256_bytes(canonical_json(inputs))
    processes = process_count(config.processes, config.batch_size * config.accumulate)
    if launch(
        processes, _fit, profile, train_dir, val_dir, out, inputs_hash, allow_empty_classes, threshold_dir
    ):
        write_stamp(stamp, inputs, outputs)


def _fit(*arguments: Any) -> None:
    """Call ``fit``. Each process imports it itself, so that the imports run in parallel."""
    from pipeline.training.fit import fit  # imports torchvision and timm

    fit(*arguments)


def training_inputs(profile: Profile, train_dir: Path, val_dir: Path) -> dict[str, Any]:
    """Return all inputs that the result of training depends on, as JSON values.

    "auto" weights are recorded by that name, so that a model stays up to date if weights are downloaded
    later.

    Raises:
        UserError: a split has no annotations, the file of an extra set is missing or unsafe, or a folder of
            negatives is missing or has no image.
    """
    config = dataclasses.asdict(profile.train)
    for name in ("workers", "processes", "pictures"):  # these change the weights only by rounding
        config.pop(name)
    config["extra"] = [
        {"set": hash_coco_set(extra), "map": extra.map, "exif": extra.exif, "repeat": extra.repeat}
        for extra in profile.train.extra
    ]
    config["negatives"] = hash_negatives(profile.train.negatives)
    weights = Path(profile.model.weights)
    return {
        "trainer": TRAINER_VERSION,
        "model": dataclasses.asdict(profile.model),
        "weights": sha256_file(weights) if weights.is_file() else "",
        "train": config,
        "seed": profile.seed,
        "classes": list(profile.classes),
        "splits": [split_hash(train_dir), split_hash(val_dir)],
    }


def split_hash(split_dir: Path) -> str:
    """Return a SHA-256 of a split's annotations and images.

    Raises:
        UserError: the split has no annotations.
    """
    annotations, manifest = split_dir / "annotations.json", split_dir / "manifest.json"
    if not annotations.is_file():
        raise UserError(f"{annotations}: no such annotation file; write it first (make coco)")
    digest = hashlib.sha256(sha256_file(annotations).encode())
    # The manifest of a rendered split contains the hash of every frame; other folders have no manifest.
    images = sorted((split_dir / "images").glob("**/*.*"))
    for path in [manifest] if manifest.is_file() else images:
        digest.update(f"{path.name} {sha256_file(path)}\n".encode())
    return digest.hexdigest()
