"""Match results to images: by ``file_name``, by id, or by an id that is the stem of a file name.

Tools number images in their own ways. ``transpalette predict`` counts from 1 and writes ``file_name``.
Ultralytics' ``save_json`` writes the stem of the file name as ``image_id``, as a number if it is one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from blender.contract import UserError, list_names
from pipeline.data.coco_io import group_by_image
from pipeline.data.validation.file_search import match_names
from pipeline.data.values import read_box, short_repr, to_int
from pipeline.evaluation.results.overlap import count_hit_objects

Ids = list[int | None]
"""The id of each result's image in the dataset; None: leave the result out."""


def match_images(table: list[dict[str, Any]], dataset: dict[str, Any], path: Path) -> tuple[Ids, list[str]]:
    """Find the image of each result.

    Args:
        table: the results.
        dataset: the COCO dataset.
        path: the results file, for messages.

    Returns:
        The ids, and notes for the user.

    Raises:
        UserError: an image is unknown or ambiguous, or no name is that of an image.
    """
    images = dataset["images"]
    ids: Ids = [None] * len(table)
    named = {n: name for n, result in enumerate(table) if (name := _image_name(result)) is not None}
    notes = _match_names(named, table, images, path, ids)
    numbered = [n for n in range(len(table)) if n not in named]
    if numbered:
        notes += _match_numbers(numbered, table, dataset, path, ids)
    return ids, notes


def _image_name(result: dict[str, Any]) -> str | None:
    """Return the file name or the stem that a result gives; None if it gives a number alone."""
    name, image_id = result.get("file_name"), result.get("image_id")
    if isinstance(name, str) and name:
        return name
    return image_id if isinstance(image_id, str) and to_int(image_id) is None else None


# ------------------------------------------------------------------------------ names


def _match_names(
    named: dict[int, str], table: list[dict[str, Any]], images: list[dict[str, Any]], path: Path, ids: Ids
) -> list[str]:
    """Fill in ``ids`` of the results that name their image; return notes."""
    ids_of: defaultdict[str, list[int]] = defaultdict(list)
    for image in images:
        ids_of[image["file_name"]].append(image["id"])
    matches = match_names(dict.fromkeys(named.values()), ids_of, any_folder=True)
    found = {
        name: [] if match.shared else [image_id for file in match.files for image_id in ids_of[file]]
        for name, match in matches.items()
    }
    if named and not any(found.values()):
        raise UserError(
            f"{path}: the results are for {list_names(found, 3)}, but the annotation file has "
            f"{list_names((i['file_name'] for i in images), 3)}; give results for its images"
        )
    disagree = 0
    for number, name in named.items():
        image_id = to_int(table[number].get("image_id"))
        candidates = found[name]
        if len(candidates) > 1:
            if image_id not in candidates:
                raise UserError(
                    f"{path}: result {number}: file_name {short_repr(name)} fits {len(candidates)} images, "
                    f"and image_id {short_repr(table[number].get('image_id'))} is none of them"
                )
            candidates = [image_id]
        ids[number] = candidates[0] if candidates else None
        disagree += bool(candidates) and image_id is not None and image_id != candidates[0]
    notes = []
    if disagree:
        notes.append(f"file_name and image_id of {disagree} results name different images: file_name is used")
    if unknown := [name for name, candidates in found.items() if not candidates]:
        count = sum(not found[name] for name in named.values())
        notes.append(
            f"{count} results are left out: the annotation file lacks their images, {list_names(unknown, 3)}"
        )
    return notes


# ------------------------------------------------------------------------------ numbers


def _match_numbers(
    numbered: Sequence[int], table: list[dict[str, Any]], dataset: dict[str, Any], path: Path, ids: Ids
) -> list[str]:
    """Fill in ``ids`` of the results with a numeric ``image_id``; return notes.

    The number is the id of the image or, if that does not fit, the stem of its file name.
    """
    known = {image["id"]: image["id"] for image in dataset["images"]}
    stems = {
        int(stem): image["id"]
        for image in dataset["images"]
        if (stem := PurePosixPath(image["file_name"]).stem).isdecimal()
    }
    numbers = [to_int(table[n].get("image_id")) for n in numbered]
    readings = [[reading.get(n) if n is not None else None for n in numbers] for reading in (known, stems)]
    by_id, by_stem = readings
    if None in by_id and None in by_stem:
        first = next(i for i, image_id in enumerate(by_id) if image_id is None)
        value = short_repr(table[numbered[first]].get("image_id"))
        raise UserError(
            f"{path}: result {numbered[first]}: image_id {value} is not in the annotation file, "
            "neither as an id nor as a file name"
        )
    use_stems = None in by_id or (
        None not in by_stem
        and by_stem != by_id
        and _count_hits(numbered, by_stem, table, dataset) > _count_hits(numbered, by_id, table, dataset)
    )
    for number, image_id in zip(numbered, by_stem if use_stems else by_id, strict=True):
        ids[number] = image_id
    return ["image_id is read as the number in the file name, not as the image's id"] if use_stems else []


def _count_hits(
    numbered: Sequence[int], image_ids: Ids, table: list[dict[str, Any]], dataset: dict[str, Any]
) -> int:
    """Count the objects on which a result's box lies if the results are of these images."""
    boxes = [
        {"image_id": image_id, "bbox": box}
        for n, image_id in zip(numbered, image_ids, strict=True)
        if (box := read_box(table[n])) is not None
    ]
    return count_hit_objects(group_by_image(boxes), dataset["annotations"])
