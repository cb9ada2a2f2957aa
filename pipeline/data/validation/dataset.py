"""Rules for a complete COCO file: its JSON, its lists, and all annotations together.

The check of a JSON rule takes a ``ParsedJson``, that of a FILE rule any JSON value, both without a context.
The checks of LISTS and DATASET rules take the parsed file and the ``Context``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.data.coco_io import count_without_mask
from pipeline.data.validation.rules import (
    DATASET,
    FILE,
    JSON,
    LISTS,
    WARNING,
    Change,
    Context,
    Entry,
    Violation,
    rule,
)
from pipeline.data.values import is_int, is_nested_deeper, short_repr, without_non_finite

KEYS = ("images", "annotations", "categories")
"""The lists of a COCO instances file."""
_MOST_LEVELS = 100
_ONLY_THE_OWNER = "only the owner of the file has the missing data"

# ------------------------------------------------------------------------------ JSON


@dataclass(frozen=True)
class ParsedJson:
    """A JSON file as parsed by a lenient reader, with the problems that strict readers refuse."""

    value: Any
    encoding: str = "utf-8"
    error: str = ""
    """Why the file cannot be read as JSON, or ""."""
    non_finite: tuple[str, ...] = ()
    """Values that are NaN, Infinity or -Infinity."""


def parse_json(data: bytes) -> ParsedJson:
    """Parse the content of a JSON file, in any encoding and with NaN and infinity."""
    non_finite: list[str] = []

    def parse_constant(text: str) -> float:
        non_finite.append(text)
        return float(text)

    try:
        value = json.loads(data, parse_constant=parse_constant)
    except (ValueError, RecursionError) as error:
        return ParsedJson(None, error=str(error))
    return ParsedJson(value, json.detect_encoding(data), non_finite=tuple(non_finite))


def replace_non_finite(dataset: Entry, folder: Path | None, changes: list[Change]) -> Entry:
    """Replace the remaining NaN and infinity, which JSON lacks, by null."""
    fixed: Entry = without_non_finite(dataset)
    if fixed is not dataset:
        changes.append(Change("json-nan", "a value that no other rule checks"))
    return fixed


@rule(
    "not-json",
    JSON,
    advice="export it again; is it JSON, UTF-8 and complete?",
    not_fixable="the file cannot be parsed",
)
def _not_json(parsed: ParsedJson, context: None) -> str | None:
    return f"not readable as JSON: {parsed.error}" if parsed.error else None


@rule(
    "json-encoding",
    JSON,
    advice="write it as UTF-8 without a byte order mark",
    not_fixable="the repaired copy is always written as UTF-8",
)
def _json_encoding(parsed: ParsedJson, context: None) -> str | None:
    if parsed.encoding == "utf-8":
        return None
    return f"it is written in {parsed.encoding}, and pycocotools cannot read that"


@rule("json-nan", JSON, severity=WARNING, advice="write numbers, or null", dataset_fix=replace_non_finite)
def _json_nan(parsed: ParsedJson, context: None) -> str | None:
    values = parsed.non_finite
    return f"{len(values)} values are {values[0]} or similar, which strict readers refuse" if values else None


# ------------------------------------------------------------------------------ lists

_INSTANCES = "give an instances file: an object with images, annotations and categories"


@rule("not-an-object", FILE, advice=_INSTANCES, not_fixable="it is not a COCO instances file")
def _not_an_object(dataset: Any, context: None) -> Iterator[Violation]:
    if not isinstance(dataset, dict):
        yield Violation(f"the top level is {type(dataset).__name__}, not an object")


@rule("nested", FILE, advice="export it again", not_fixable="no reader can be sure to go that deep")
def _nested(dataset: Any, context: None) -> Iterator[Violation]:
    if is_nested_deeper(dataset, _MOST_LEVELS):
        yield Violation(f"more than {_MOST_LEVELS} objects and lists are nested in each other")


@rule("list-missing", FILE, advice=_INSTANCES, not_fixable=_ONLY_THE_OWNER)
def _list_missing(dataset: Any, context: None) -> Iterator[Violation]:
    for key in KEYS if isinstance(dataset, dict) else ():
        if key not in dataset:
            yield Violation(f"no list '{key}'")
        elif not isinstance(dataset[key], list):
            yield Violation(f"'{key}' is {short_repr(dataset[key])}, not a list")


@rule("no-images", LISTS, advice="export the images too", not_fixable=_ONLY_THE_OWNER)
def _no_images(dataset: Entry, context: Context) -> Iterator[Violation]:
    if not dataset["images"]:
        yield Violation("the list of images is empty")


@rule("no-categories", LISTS, advice="export the categories too", not_fixable=_ONLY_THE_OWNER)
def _no_categories(dataset: Entry, context: Context) -> Iterator[Violation]:
    if not dataset["categories"]:
        yield Violation("the list of categories is empty")


@rule("no-annotations", LISTS, severity=WARNING, advice="export the annotations", not_fixable=_ONLY_THE_OWNER)
def _no_annotations(dataset: Entry, context: Context) -> Iterator[Violation]:
    if not dataset["annotations"]:
        yield Violation("no image is annotated")


def remove_non_objects(dataset: Entry, folder: Path | None, changes: list[Change]) -> Entry:
    """Remove the entries that are not JSON objects."""
    fixed = dataset
    for key, kind in (("categories", "category"), ("images", "image"), ("annotations", "annotation")):
        wrong = [number for number, entry in enumerate(dataset[key]) if not isinstance(entry, dict)]
        changes += [Change(f"{kind}-type", f"{kind} number {number}", removed=True) for number in wrong]
        fixed = fixed | {key: [entry for entry in dataset[key] if isinstance(entry, dict)]}
    return fixed


def _entry_type(entry: Any, context: None) -> str | None:
    return None if isinstance(entry, dict) else f"an entry is {short_repr(entry)}, not an object"


for _kind in ("category", "image", "annotation"):
    rule(f"{_kind}-type", f"{_kind} type", advice="remove the entry", dataset_fix=remove_non_objects)(
        _entry_type
    )


# ------------------------------------------------------------------------------ all annotations


def remove_copies(dataset: Entry, folder: Path | None, changes: list[Change]) -> Entry:
    """Remove annotations that repeat an earlier annotation."""
    copies = {violation.annotation_id for violation in _annotation_copy(dataset, None)}
    changes += [Change("annotation-copy", f"annotation {number}", removed=True) for number in sorted(copies)]
    return dataset | {"annotations": [a for a in dataset["annotations"] if a["id"] not in copies]}


def clear_iscrowd(dataset: Entry, folder: Path | None, changes: list[Change]) -> Entry:
    """Set iscrowd to 0 in the categories that have only ignore regions."""
    measured = {a["category_id"] for a in dataset["annotations"] if a["iscrowd"] == 0}
    ignored = [a for a in dataset["annotations"] if a["category_id"] not in measured]
    changes += [Change("all-crowd", f"annotation {a['id']}") for a in ignored]
    annotations = [a if a["category_id"] in measured else a | {"iscrowd": 0} for a in dataset["annotations"]]
    return dataset | {"annotations": annotations}


def _with_int_ids(annotations: list[Any]) -> Iterator[Entry]:
    """Yield the annotations whose image_id and category_id are integers."""
    for a in annotations:
        if isinstance(a, dict) and is_int(a.get("category_id")) and is_int(a.get("image_id")):
            yield a


@rule("annotation-copy", DATASET, severity=WARNING, advice="remove one of the two", dataset_fix=remove_copies)
def _annotation_copy(dataset: Entry, context: Context | None) -> Iterator[Violation]:
    first: dict[tuple[Any, ...], Any] = {}
    for a in _with_int_ids(dataset["annotations"]):
        # A hash, because long masks would need much memory.
        key = (a["image_id"], a["category_id"], hash(repr(a.get("segmentation"))), repr(a.get("bbox")))
        if key in first:
            yield Violation(
                f"the same object as annotation {short_repr(first[key])}", a["image_id"], a.get("id")
            )
        first.setdefault(key, a.get("id"))


def _crowd_shares(dataset: Entry, context: Context) -> Iterator[tuple[int, int, str]]:
    """Yield for each category the number of its ignore regions, of its annotations, and its name."""
    total: Counter[int] = Counter()
    ignored: Counter[int] = Counter()
    for a in _with_int_ids(dataset["annotations"]):
        total[a["category_id"]] += 1
        ignored[a["category_id"]] += a.get("iscrowd") == 1
    for category_id, count in total.items():
        yield ignored[category_id], count, short_repr(context.categories.get(category_id, {}).get("name"))


@rule(
    "all-crowd",
    DATASET,
    severity=WARNING,
    advice="iscrowd 1 means 'ignore': write 0",
    dataset_fix=clear_iscrowd,
)
def _all_crowd(dataset: Entry, context: Context) -> Iterator[Violation]:
    for ignored, count, name in _crowd_shares(dataset, context):
        if ignored == count:
            yield Violation(
                f"every annotation of category {name} has iscrowd 1, so no object of it is evaluated"
            )


@rule(
    "mostly-crowd",
    DATASET,
    severity=WARNING,
    advice="write iscrowd 0 for objects: some tools (CVAT's brush) write 1 for every RLE mask",
    not_fixable="only the owner of the file knows which annotations are regions to ignore",
)
def _mostly_crowd(dataset: Entry, context: Context) -> Iterator[Violation]:
    for ignored, count, name in _crowd_shares(dataset, context):
        if ignored > 1 and count / 2 <= ignored < count:
            yield Violation(
                f"{ignored} of {count} annotations of category {name} have iscrowd 1: "
                "they are ignored in training and evaluation"
            )


@rule(
    "over-100-objects",
    DATASET,
    severity=WARNING,
    advice="raise maxDets, as 'transpalette evaluate' does: perfect detections get less than AP 1",
    not_fixable="the file is correct; pycocotools' default is too low",
)
def _over_100_objects(dataset: Entry, context: Context) -> Iterator[Violation]:
    objects: Counter[tuple[int, int]] = Counter()
    for a in _with_int_ids(dataset["annotations"]):
        objects[a["image_id"], a["category_id"]] += a.get("iscrowd") != 1
    for (image_id, category_id), count in objects.items():
        if count > 100:
            yield Violation(
                f"{count} objects of category {category_id}, but pycocotools evaluates 100 per image",
                image_id,
            )


@rule(
    "no-mask",
    DATASET,
    severity=WARNING,
    advice="nothing, or draw the masks",
    not_fixable="a mask is never guessed",
)
def _no_mask(dataset: Entry, context: Context) -> Iterator[Violation]:
    without, objects = count_without_mask([a for a in dataset["annotations"] if isinstance(a, dict)])
    if without:
        yield Violation(
            f"{without} of {objects} objects have no mask: their boxes are measured, but training needs masks"
        )
