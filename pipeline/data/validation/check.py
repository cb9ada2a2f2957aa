"""Check a COCO instances file, anybody's: every fault with its place, its rule and its cure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from blender.contract import UserError
from pipeline.data.coco_io import read_coco
from pipeline.data.validation.annotations import annotation_faults
from pipeline.data.validation.entries import CATEGORY_RULES, image_faults
from pipeline.data.validation.rules import ERROR, WARNING, Fault, Index, broken, make_index
from pipeline.data.values import is_int, short

LISTS = ("images", "annotations", "categories")
"""What a COCO instances file consists of."""


def find_faults(dataset: Any, images: Path | None = None) -> Iterator[Fault]:
    """Yield every fault of a parsed COCO file, which is not changed.

    Args:
        dataset: any JSON value.
        images: check the image files in this folder too.
    """
    missing = list(list_faults(dataset))
    yield from missing
    if missing:
        return
    index = make_index(dataset)
    yield from _emptiness(dataset)
    for category in dataset["categories"]:
        yield from _entry_faults("category", category) or broken(CATEGORY_RULES, category, index)
    for image in dataset["images"]:
        yield from _entry_faults("image", image) or image_faults(image, index, images)
    for annotation in dataset["annotations"]:
        yield from _entry_faults("annotation", annotation) or annotation_faults(annotation, index)
    yield from whole_faults(dataset, index)


def _is_list(dataset: dict[str, Any], key: str) -> bool:
    return isinstance(dataset.get(key), list)


# ------------------------------------------------------------------------------ the whole


def list_faults(dataset: Any) -> Iterator[Fault]:
    """Yield what keeps a JSON value from being a COCO file at all."""
    cure = "give an instances file: an object with images, annotations and categories"
    if not isinstance(dataset, dict):
        yield Fault("not-an-object", f"the top level is {type(dataset).__name__}, not an object", cure=cure)
        return
    for key in LISTS:
        if not _is_list(dataset, key):
            what = f"'{key}' is {short(dataset[key])}, not a list" if key in dataset else f"no list '{key}'"
            yield Fault("list-missing", what, cure=cure)


def _emptiness(dataset: dict[str, Any]) -> Iterator[Fault]:
    if not dataset["images"]:
        yield Fault("no-images", "the list of images is empty", cure="export the images too")
    if not dataset["categories"]:
        yield Fault("no-categories", "the list of categories is empty", cure="export the categories too")
    if not dataset["annotations"]:
        yield Fault(
            "no-annotations", "no image is annotated", cure="export the annotations", severity=WARNING
        )


def _entry_faults(kind: str, entry: Any) -> list[Fault]:
    if isinstance(entry, dict):
        return []
    return [Fault(f"{kind}-type", f"an entry is {short(entry)}, not an object", cure="remove the entry")]


def whole_faults(dataset: dict[str, Any], index: Index) -> Iterator[Fault]:
    """Yield what only shows over all annotations: copies, classes that are all ignored, crowded images."""
    objects: Counter[tuple[int, int]] = Counter()
    seen: dict[tuple[Any, ...], Any] = {}
    crowds: defaultdict[int, set[Any]] = defaultdict(set)
    for a in dataset["annotations"]:
        if not isinstance(a, dict) or not is_int(a.get("category_id")) or not is_int(a.get("image_id")):
            continue
        crowds[a["category_id"]].add(a.get("iscrowd") == 1)
        objects[a["image_id"], a["category_id"]] += a.get("iscrowd") != 1
        key = (a["image_id"], a["category_id"], hash(repr(a.get("segmentation"))), repr(a.get("bbox")))
        if key in seen:
            text = f"the same object as annotation {short(seen[key])}"
            place = (a["image_id"], a.get("id"))
            yield Fault("annotation-copy", text, *place, cure="remove one of the two", severity=WARNING)
        seen.setdefault(key, a.get("id"))
    for category_id, values in crowds.items():
        if values == {True}:
            name = short(index.categories.get(category_id, {}).get("name"))
            text = f"every annotation of category {name} has iscrowd 1, so that nothing is measured"
            yield Fault("all-crowd", text, cure="iscrowd 1 means 'ignore': write 0", severity=WARNING)
    for (image_id, category_id), count in objects.items():
        if count > 100:
            text = (
                f"{count} objects of category {category_id}, but pycocotools counts 100 detections an image"
            )
            cure = "raise maxDets, as 'transpalette evaluate' does: perfect detections get less than AP 1"
            yield Fault("over-100-objects", text, image_id, cure=cure, severity=WARNING)


def read_sound_coco(path: Path) -> dict[str, Any]:
    """Read a COCO instances file in which nothing is wrong that would spoil training or make figures lie.

    Raises:
        UserError: missing, no COCO file, without images, or faulty; names the first fault.
    """
    table = read_coco(path)
    faults = [fault for fault in find_faults(table) if fault.severity == ERROR]
    if faults:
        raise UserError(
            f"{path}: {len(faults)} errors, the first: {faults[0].rule}: {faults[0].message}; "
            f"see all with 'transpalette validate {path}'"
        )
    if not table["images"]:
        raise UserError(f"{path}: has no images")
    return table
