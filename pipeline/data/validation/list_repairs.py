"""The lists of a COCO file, mended entry by entry: the cure of the first rule broken, until none is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blender.contract import canonical_json
from pipeline.data.validation.annotation_repairs import ANNOTATION_REPAIRS
from pipeline.data.validation.annotations import annotation_faults
from pipeline.data.validation.check import whole_faults
from pipeline.data.validation.entries import CATEGORY_RULES, image_faults
from pipeline.data.validation.entry_repairs import CATEGORY_REPAIRS, IMAGE_REPAIRS
from pipeline.data.validation.rules import Fault, Index, broken, make_index
from pipeline.data.values import is_int, short

Entry = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """One thing that was done to the copy."""

    rule: str
    """The rule that was broken."""
    place: str
    """``image 3``, ``annotation 11``, ... by the id that it had."""
    removed: bool = False


def _mended(
    entry: Entry,
    what: str,
    find: Callable[[Entry], Iterator[Fault]],
    cures: dict[str, Any],
    context: Any,
    changes: list[Change],
) -> Entry | None:
    """Apply cures in the order of ``cures`` until no curable fault is left; None: it has to go."""
    order = list(cures)
    place, tried = f"{what} {short(entry.get('id'))}", set()
    while True:
        found = {fault.rule for fault in find(entry)} & cures.keys()
        if not found:
            return entry
        rule = min(found, key=order.index)
        better = None if rule in tried else cures[rule](entry, context)
        changes.append(Change(rule, place, removed=better is None))
        if better is None:
            return None
        tried.add(rule)
        entry = better


def objects(entries: list[Any], what: str, changes: list[Change]) -> list[Entry]:
    """Leave out what is no JSON object."""
    kept = []
    for number, entry in enumerate(entries):
        if isinstance(entry, dict):
            kept.append(entry)
        else:
            changes.append(Change(f"{what}-type", f"{what} number {number}", removed=True))
    return kept


def with_categories(dataset: Entry, changes: list[Change]) -> Entry:
    """Mend the categories, merge those of one name, and let the annotations follow."""
    index = make_index(dataset)
    moved: dict[Any, int] = {}
    kept: dict[Any, Entry] = {}
    fresh = max([0, *index.categories]) + 1
    for category in dataset["categories"]:
        mended = _mended(
            category,
            "category",
            lambda c: broken(CATEGORY_RULES, c, index),
            CATEGORY_REPAIRS,
            fresh,
            changes,
        )
        if mended is None:
            continue
        fresh += mended["id"] == fresh
        twin = kept.setdefault(mended["name"], mended)
        if twin is not mended:
            changes.append(Change("category-name-duplicate", f"category {short(category.get('id'))}"))
        if isinstance(category.get("id"), (int, str)) and category["id"] != twin["id"]:
            moved[category["id"]] = twin["id"]
    return dataset | {
        "categories": list(kept.values()),
        "annotations": _followed(dataset["annotations"], "category_id", moved),
    }


def with_images(dataset: Entry, images: Path | None, changes: list[Change]) -> Entry:
    """Mend the images, merge the entries of one picture; annotations follow, or go with their image."""
    index = make_index(dataset)

    moved: dict[Any, int] = {}
    kept: list[Entry] = []
    first: dict[str, Entry] = {}
    for image in dataset["images"]:
        mended = _mended(
            image, "image", lambda i: image_faults(i, index, images), IMAGE_REPAIRS, images, changes
        )
        if mended is None:
            continue
        twin = first.setdefault(mended["file_name"], mended)
        if twin is mended:
            kept.append(mended)
            continue
        same = all(twin[key] == mended[key] for key in ("width", "height"))
        changes.append(Change("file-name-duplicate", f"image {short(image['id'])}", removed=not same))
        if same and mended["id"] != twin["id"]:
            moved[mended["id"]] = twin["id"]
    return dataset | {"images": kept, "annotations": _followed(dataset["annotations"], "image_id", moved)}


def _followed(annotations: list[Entry], key: str, moved: dict[Any, int]) -> list[Entry]:
    """Annotations that point where their image or category has gone."""
    return [
        a | {key: moved[a[key]]}
        if isinstance(a.get(key), (int, str)) and not isinstance(a[key], bool) and a[key] in moved
        else a
        for a in annotations
    ]


def numbered(annotations: list[Entry], changes: list[Change]) -> list[Entry]:
    """Give an id to what has none of its own; nothing refers to annotations, so any free one will do."""
    fresh = max([0, *(a["id"] for a in annotations if is_int(a.get("id")))]) + 1
    seen: set[int] = set()
    numbered = []
    for a in annotations:
        number = a.get("id")
        if is_int(number) and number != 0 and number not in seen:
            seen.add(number)
            numbered.append(a)
            continue
        rule = "annotation-id-zero" if is_int(number) and number == 0 else "annotation-id"
        rule = "annotation-id-duplicate" if is_int(number) and number in seen else rule
        changes.append(Change(rule, f"annotation {short(number)}, now {fresh}"))
        numbered.append(a | {"id": fresh})
        fresh += 1
    return numbered


def with_annotations(dataset: Entry, changes: list[Change]) -> Entry:
    """Mend the annotations, whose images and categories are sound by now."""
    index: Index = make_index(dataset)
    mended = (
        _mended(a, "annotation", lambda a: annotation_faults(a, index), ANNOTATION_REPAIRS, index, changes)
        for a in dataset["annotations"]
    )
    return dataset | {"annotations": [a for a in mended if a is not None]}


def without_copies(dataset: Entry, changes: list[Change]) -> Entry:
    """Drop what the check of the whole calls copies, and let classes of nothing but ignore regions count."""
    faults = [f for f in whole_faults(dataset, make_index(dataset)) if f.rule == "annotation-copy"]
    copies = {fault.annotation_id for fault in faults}
    kept = [a for a in dataset["annotations"] if a["id"] not in copies]
    changes += [Change("annotation-copy", f"annotation {number}", removed=True) for number in sorted(copies)]
    measured = {a["category_id"] for a in kept if a["iscrowd"] == 0}
    ignored = [a for a in kept if a["category_id"] not in measured]
    changes += [Change("all-crowd", f"annotation {a['id']}") for a in ignored]
    return dataset | {
        "annotations": [a if a["category_id"] in measured else a | {"iscrowd": 0} for a in kept]
    }


def finite(dataset: Entry, changes: list[Change]) -> Entry:
    """Write null for NaN and infinity, which JSON does not have, wherever they are left."""
    try:
        canonical_json(dataset)
    except ValueError:
        changes.append(Change("json-nan", "a value beyond the rules"))
        return _nulled(dataset)
    return dataset


def _nulled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _nulled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_nulled(item) for item in value]
    return None if isinstance(value, float) and value - value != 0 else value
