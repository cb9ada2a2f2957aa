"""Read the named sets that are evaluated: annotations, image files, and the hashes of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from blender.contract import UserError, canonical_json, sha256_bytes, sha256_file
from pipeline.config import ExtraSet
from pipeline.data.combine import (
    CombinedSets,
    NamedSet,
    check_class_mapping,
    combine_sets,
    describe_extra_sets,
)
from pipeline.data.images import read_rgb


@dataclass(frozen=True)
class EvaluationSet:
    """The images and annotations of one named set."""

    name: str
    sets: tuple[ExtraSet, ...]
    """Its COCO files: annotation file, image folder and mapping of categories."""
    combined: CombinedSets
    """All files as one dataset."""
    paths: dict[int, Path]
    """Image id to image file."""

    @property
    def dataset(self) -> dict[str, Any]:
        """The combined COCO dataset."""
        return self.combined.dataset

    def read(self, image: dict[str, Any]) -> npt.NDArray[np.uint8]:
        """Read an image of the dataset: (H, W, 3), in the size that the annotations have."""
        size, upright = (image["width"], image["height"]), image["id"] in self.combined.upright
        return read_rgb(self.paths[image["id"]], size, upright)


def combine_files(named: NamedSet) -> CombinedSets:
    """Read and combine the COCO files of the main set.

    Raises:
        UserError: a file is missing or invalid, or there is nothing to evaluate on.
    """
    combined = combine_sets(named.sets)
    if not combined.dataset["annotations"]:
        raise UserError(f"{named.sets[0].annotations}: no annotations to evaluate on; annotate objects first")
    return combined


def read_sets(sets: Sequence[NamedSet]) -> list[EvaluationSet]:
    """Read the COCO files and find their image files.

    The first set needs objects. Any other set may be of images without objects, for its false alarms.

    Raises:
        UserError: a file is missing or invalid, or the first set has no annotation.
    """
    data = []
    for number, named in enumerate(sets):
        combined = combine_sets(named.sets) if number else combine_files(named)
        paths = {image["id"]: combined.path_of(image) for image in combined.dataset["images"]}
        data.append(EvaluationSet(named.name, named.sets, combined, paths))
    return data


def match_classes(
    data: Sequence[EvaluationSet], classes: tuple[str, ...], auxiliary: tuple[str, ...] = ()
) -> tuple[list[dict[str, int]], list[str]]:
    """Match the model's classes to the categories of each set by name.

    Args:
        data: the sets.
        classes: the model's classes.
        auxiliary: the model's auxiliary classes, which are left out without a note.

    Returns:
        For each set: class name to category id, for the classes that the set has; and all notes on the sets.
        Those on another set than the first start with its name.

    Raises:
        UserError: a set has no class in common with the model, or maps a category to an unknown class.
    """
    shared, notes = [], []
    for number, one in enumerate(data):
        check_class_mapping(one.sets, classes)
        ids, more = shared_classes(classes, one.dataset["categories"], one.sets[0].annotations, auxiliary)
        lines = [*one.combined.notes, *describe_extra_sets(one.combined, one.sets, classes), *more]
        notes += [f"{one.name}: {line}" if number else line for line in lines]
        shared.append(ids)
    return shared, notes


def shared_classes(
    classes: tuple[str, ...],
    categories: list[dict[str, Any]],
    annotations: str,
    auxiliary: tuple[str, ...] = (),
) -> tuple[dict[str, int], list[str]]:
    """Match the model's classes to a file's categories by name.

    Args:
        classes: the model's classes.
        categories: the file's categories.
        annotations: the file's name, for the message.
        auxiliary: the model's auxiliary classes, which are left out without a note.

    Returns:
        Class name to category id for the classes that both have, and a note for each other class.

    Raises:
        UserError: they have no class in common.
    """
    ids = {c["name"]: int(c["id"]) for c in categories}
    shared = {name: ids[name] for name in classes if name in ids}
    if not shared:
        raise UserError(
            f"{annotations}: no class in common: the model has {', '.join(classes)}; the file has "
            f"{', '.join(ids)}; rename the file's categories, or map them with --map"
        )
    notes = [f"the file has no category '{name}': not measured" for name in classes if name not in ids]
    notes += [
        f"the model has no class '{name}': left out" for name in ids if name not in (*classes, *auxiliary)
    ]
    return shared, notes


def label_ids(classes: tuple[str, ...], shared: dict[str, int]) -> dict[int, int]:
    """Map the model's labels, from 1, to the file's category ids.

    Args:
        classes: the model's classes, in the order of its labels.
        shared: class name to category id.
    """
    return {label: shared[name] for label, name in enumerate(classes, start=1) if name in shared}


def hash_sets(data: Sequence[EvaluationSet]) -> list[dict[str, Any]]:
    """Return the name and the hashes of each set, for the stamp file."""
    return [
        {
            "name": one.name,
            "files": [
                {"annotations": sha256_file(Path(s.annotations)), "map": s.map, "exif": s.exif}
                for s in one.sets
            ],
            "images": sha256_bytes(canonical_json([sha256_file(path) for path in one.paths.values()])),
        }
        for one in data
    ]
