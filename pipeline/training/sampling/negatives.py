"""Negatives: photographs without any object of the classes, from folders without annotations.

This module does not import torch (see ``training/command.py``).
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blender.contract import UserError, sha256_file
from pipeline.config import TrainConfig
from pipeline.data.images import read_image
from pipeline.inference.sources import Sources, find_sources

if TYPE_CHECKING:
    from pipeline.training.dataset import CocoDataset

CHECK_SIZE = (64, 64)
"""Size to which an image is shrunk when it is checked; much of the decoding of a JPEG file is left out."""


def find_negatives(folders: Sequence[str]) -> Sources:
    """List the images directly in each folder, sorted by name; each once.

    Raises:
        UserError: a folder is missing or has no image.
    """
    for folder in folders:
        if not folder or not Path(folder).is_dir():
            raise UserError(f"{folder or repr(folder)}: no such folder; negatives are folders of photographs")
    return find_sources(tuple(map(Path, folders))) if folders else Sources([])


def hash_negatives(folders: Sequence[str]) -> list[str]:
    """Return the SHA-256 of each image in folders of negatives.

    Raises:
        UserError: a folder is missing or has no image.
    """
    return [sha256_file(source.path) for source in find_negatives(folders).sources]


def add_negatives(dataset: CocoDataset, config: TrainConfig) -> CocoDataset:
    """Return the dataset with the images of ``config.negatives``, which have the indices after the others.

    If a pass uses more negatives than there are, each has several indices, so that it comes in several
    augmented views. Every image is decoded once, so that a damaged one is reported before training starts.

    Raises:
        UserError: a folder is missing or has no image, or an image cannot be read.
    """
    found = find_negatives(config.negatives)
    paths = [source.path for source in found.sources]
    if not paths:
        return dataset
    first_id = 1 + max((record["id"] for record in dataset.records), default=0)
    records = [_read_record(path, image_id) for image_id, path in enumerate(paths, start=first_id)]
    used = negatives_per_pass(len(dataset), config)
    copies = max(1, math.ceil(used / len(paths)))
    other, ids = copy.copy(dataset), [record["id"] for record in records]
    other.negatives = copies * len(records)
    other.records = [*dataset.records, *(copies * records)]
    other.annotations = dataset.annotations | {image_id: [] for image_id in ids}
    # Each image has its own folder, so that links to images elsewhere are accepted.
    folders = {image_id: path.resolve().parent for image_id, path in zip(ids, paths, strict=True)}
    other.combined = dataclasses.replace(
        dataset.combined,
        folders=dataset.combined.folders | folders,
        upright=dataset.combined.upright | set(ids),
    )
    images = f"{len(paths)} image{'s' if len(paths) > 1 else ''} without objects"
    other.notes = [*dataset.notes, f"negatives: {images}, {used} of the {len(dataset)} views of a pass"]
    if found.left_out:
        other.notes.append(f"negatives: left out: {found.describe_left_out()}")
    return other


def negatives_per_pass(images: int, config: TrainConfig) -> int:
    """Return how many of the views of a pass through ``images`` labelled images are of negatives."""
    return round(config.negatives_share * images) if config.negatives else 0


def _read_record(path: Path, image_id: int) -> dict[str, Any]:
    """Decode an image; return its record as in a COCO file, with the size of the upright image."""
    width, height = read_image(path, upright=True, shrink_to=CHECK_SIZE).size
    return {"id": image_id, "file_name": path.resolve().name, "width": width, "height": height}
