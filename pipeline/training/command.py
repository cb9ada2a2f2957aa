"""The command ``train``: check whether the outputs are up to date, else start training.

Importing torch takes seconds, so it is imported only if there is something to train.
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

OUTPUTS = ("model.safetensors", "last.safetensors", "metrics.jsonl")
TRAINER_VERSION = 1
"""Raise it whenever the same profile, data and seed give other weights, so that models are trained again."""


def train(profile: Profile, train_dir: Path, val_dir: Path, out: Path) -> None:
    """Fine-tune Mask R-CNN on ``train_dir``, choosing the best epoch by its mask AP on ``val_dir``.

    Writes to ``out``: model.safetensors (the best epoch), last.safetensors (the last epoch, to resume from),
    metrics.jsonl (a line per epoch), training/ (images of each epoch, and TensorBoard's files if it is
    installed). Does nothing if they are up to date; resumes an interrupted run of the same inputs.

    Raises:
        UserError: annotations, images or weights are missing or wrong, the loss is not finite, or memory is
            short.
    """
    inputs = training_inputs(profile, train_dir, val_dir)
    stamp, outputs = out / ".train.stamp", [out / name for name in OUTPUTS]
    if is_up_to_date(stamp, inputs, outputs):
        click.echo("train: up to date")
        return
    from pipeline.training.launch import launch, process_count  # imports torch

    remove_fragments(out)
    config, inputs_hash = profile.train, sha256_bytes(canonical_json(inputs))
    processes = process_count(config.processes, config.batch_size * config.accumulate)
    if launch(processes, _fit, profile, train_dir, val_dir, out, inputs_hash):
        write_stamp(stamp, inputs, outputs)


def _fit(*arguments: Any) -> None:
    """Call ``fit``, which each process imports by itself: the imports take seconds and so run in parallel."""
    from pipeline.training.fit import fit  # imports torchvision and timm

    fit(*arguments)


def training_inputs(profile: Profile, train_dir: Path, val_dir: Path) -> dict[str, Any]:
    """Return everything that the result depends on, as JSON values.

    "auto" weights are recorded by that name, so that weights downloaded later do not outdate a model.

    Raises:
        UserError: a split has no annotations.
    """
    config = dataclasses.asdict(profile.train)
    for name in ("workers", "processes", "pictures"):  # do not change the weights, but for rounding
        config.pop(name)
    config["extra"] = [{"set": hash_coco_set(extra), "map": extra.map} for extra in profile.train.extra]
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
        UserError: it has no annotations.
    """
    annotations, manifest = split_dir / "annotations.json", split_dir / "manifest.json"
    if not annotations.is_file():
        raise UserError(f"{annotations}: no such annotation file; write it first (make coco)")
    digest = hashlib.sha256(sha256_file(annotations).encode())
    # A rendered split's manifest holds the hash of every frame; other folders have none.
    images = sorted((split_dir / "images").glob("**/*.*"))
    for path in [manifest] if manifest.is_file() else images:
        digest.update(f"{path.name} {sha256_file(path)}\n".encode())
    return digest.hexdigest()
