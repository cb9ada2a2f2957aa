"""Rules for the ids of images, and the fix that numbers the images anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.data.validation.rules import (
    IMAGE,
    Change,
    Context,
    Entry,
    int_ids,
    is_reference,
    make_context,
    move_references,
    rule,
)
from pipeline.data.values import free_ids, is_id, short_repr, to_int


def number_images(dataset: Entry, folder: Path | None, changes: list[Change]) -> Entry:
    """Number the images whose ids are not integers of 64 bits, and let the annotations follow.

    An id is only a name: 7.0 and "7" become 7 if no other image has it; words get numbers that are free. An
    id that two images share stays, because it does not tell which of the two an annotation belongs to.
    """
    counts = make_context(dataset).image_ids
    used = int_ids(dataset["images"], "id")
    # An annotation of an unknown image must not become one of a renumbered image.
    free = free_ids(used | int_ids(dataset["annotations"], "image_id"))
    moved: dict[Any, int] = {}
    images = []
    for image in dataset["images"]:
        old = image.get("id")
        if is_id(old) or (is_reference(old) and counts[old] > 1):
            images.append(image)
            continue
        number = to_int(old)
        if not is_id(number) or number in used:
            number = next(n for n in free if n not in used)
        used.add(number)
        changes.append(Change("image-id", f"image {short_repr(old)}, now {number}"))
        images.append(image | {"id": number})
        if is_reference(old):
            moved[old] = number
    ids = {i["id"] for i in dataset["images"] if is_reference(i.get("id"))}
    for old, number in list(moved.items()):
        for alias in {str(old), to_int(old)} - ids:
            moved.setdefault(alias, number)
    annotations = move_references(dataset["annotations"], "image_id", moved)
    return dataset | {"images": images, "annotations": annotations}


@rule(
    "image-id",
    IMAGE,
    advice="number the images from 1, and the annotations likewise",
    dataset_fix=number_images,
)
def _image_id(i: Entry, context: Context) -> str | None:
    if is_id(i.get("id")):
        return None
    return f"image {short_repr(i.get('file_name'))} has the id {short_repr(i.get('id'))}"


@rule(
    "image-id-duplicate",
    IMAGE,
    advice="give every image an id of its own",
    not_fixable="only the owner of the file can decide which image an annotation belongs to",
)
def _image_id_duplicate(i: Entry, context: Context) -> str | None:
    number = i.get("id")
    if not is_reference(number) or context.image_ids[number] < 2:
        return None
    return f"{context.image_ids[number]} images have the id {short_repr(number)}"
