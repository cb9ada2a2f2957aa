"""The verb ``train``: is the model current? If not, ``pipeline.training.fit`` makes it.

Nothing heavy is imported before that is known.
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

OUTPUTS = ("model.pt", "last.pt", "metrics.jsonl")
TRAINER_VERSION = 1
"""Raise it whenever the same profile, data and seed give other weights, so that models are made anew."""


def train(profile: Profile, train_dir: Path, val_dir: Path, out: Path) -> None:
    """Fine-tune Mask R-CNN on ``train_dir``, picking the best epoch on ``val_dir``.

    Leaves in ``out``: model.pt (best epoch), last.pt (resumable), metrics.jsonl (a line an epoch),
    training/ (pictures of each epoch, and what TensorBoard reads, where that is installed).
    Does nothing if they are current; goes on where an interrupted run of the same inputs stopped.

    Raises:
        UserError: annotations, images or weights are missing or wrong, the loss is not finite, or
            memory is short.
    """
    inputs = training_inputs(profile, train_dir, val_dir)
    stamp, outputs = out / ".train.stamp", [out / name for name in OUTPUTS]
    if is_up_to_date(stamp, inputs, outputs):
        click.echo("train: up to date")
        return
    from pipeline.training.distributed import processes_for, run

    remove_fragments(out)
    recipe, key = profile.train, sha256_bytes(canonical_json(inputs))
    processes = processes_for(recipe.processes, recipe.batch_size * recipe.accumulate)
    if run(processes, _fit, profile, train_dir, val_dir, out, key):
        write_stamp(stamp, inputs, outputs)


def _fit(*arguments: Any) -> None:
    """``training.fit.fit``, whose imports take seconds: so all processes do them at the same time."""
    from pipeline.training.fit import fit

    fit(*arguments)


def training_inputs(profile: Profile, train_dir: Path, val_dir: Path) -> dict[str, Any]:
    """Everything the result depends on, as JSON values.

    "auto" weights go in by that name: a cache that fills later does not make a model stale.

    Raises:
        UserError: a split has no annotations.
    """
    recipe = dataclasses.asdict(profile.train)
    for name in ("workers", "processes", "pictures"):  # change no step, but for rounding
        recipe.pop(name)
    recipe["extra"] = [{"set": hash_coco_set(one), "map": one.map} for one in profile.train.extra]
    weights = Path(profile.model.weights)
    return {
        "trainer": TRAINER_VERSION,
        "model": dataclasses.asdict(profile.model),
        "weights": sha256_file(weights) if weights.is_file() else "",
        "train": recipe,
        "seed": profile.seed,
        "classes": list(profile.classes),
        "splits": [split_hash(train_dir), split_hash(val_dir)],
    }


def split_hash(split_dir: Path) -> str:
    """SHA-256 of a split: its annotations and its pictures, by way of the manifest if it has one.

    Raises:
        UserError: it has no annotations.
    """
    annotations, manifest = split_dir / "annotations.json", split_dir / "manifest.json"
    if not annotations.is_file():
        raise UserError(f"{annotations}: no such annotation file; write it first (make coco)")
    digest = hashlib.sha256(sha256_file(annotations).encode())
    # The manifest holds a hash for every frame; a folder from elsewhere has none.
    images = sorted((split_dir / "images").glob("**/*.*"))
    for path in [manifest] if manifest.is_file() else images:
        digest.update(f"{path.name} {sha256_file(path)}\n".encode())
    return digest.hexdigest()
