"""Match results to categories: by ``category_name``, or by what the numbers in ``category_id`` mean.

They are the ids of the annotation file, positions in its list of categories from 0 (YOLO, SAHI), COCO's ids
from 1 to 90, or the numbers of COCO's 80 classes from 0. The first of these that fits all results is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from blender.contract import UserError, list_names
from pipeline.data.coco_io import COCO_NAMES
from pipeline.data.values import short_repr, to_int

Ids = list[int | None]
"""The id of each result's category in the dataset; None: leave the result out."""


def match_categories(
    table: list[dict[str, Any]], dataset: dict[str, Any], class_of: Mapping[str, str], path: Path
) -> tuple[Ids, list[str]]:
    """Find the category of each result.

    Args:
        table: the results.
        dataset: the COCO dataset.
        class_of: names that are renamed: old to new name.
        path: the results file, for messages.

    Returns:
        The ids, and notes for the user.

    Raises:
        UserError: a category is unknown, or no name is that of a category.
    """
    categories = dataset["categories"]
    ids: Ids = [None] * len(table)
    named = {n: name for n, result in enumerate(table) if (name := _category_name(result)) is not None}
    notes = _match_names(named, table, categories, class_of, path, ids)
    numbers = {n: to_int(r.get("category_id")) for n, r in enumerate(table) if n not in named}
    if numbers:
        notes += _match_numbers(numbers, table, categories, path, ids)
    return ids, notes


def _category_name(result: dict[str, Any]) -> str | None:
    """Return the name of the category that a result gives; None if it gives a number alone."""
    for name in (result.get("category_name"), result.get("category_id")):
        if isinstance(name, str) and to_int(name) is None:
            return name
    return None


def _plain(name: str) -> str:
    """Return the name in small letters, with spaces between the words."""
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _ids_by_name(categories: list[dict[str, Any]]) -> dict[str, int]:
    """Index the categories by name; a class is also found by its name in COCO's own dataset."""
    coco = {_plain(COCO_NAMES[c["name"]]): c["id"] for c in categories if c["name"] in COCO_NAMES}
    plain = {_plain(c["name"]): c["id"] for c in categories}
    return coco | plain | {c["name"]: c["id"] for c in categories}


def _find(name: str, by_name: dict[str, int]) -> int | None:
    """Return the id of a category by its exact name or, if none has that, by its name in plain words."""
    return by_name.get(name, by_name.get(_plain(name)))


def _match_names(
    named: dict[int, str],
    table: list[dict[str, Any]],
    categories: list[dict[str, Any]],
    class_of: Mapping[str, str],
    path: Path,
    ids: Ids,
) -> list[str]:
    """Fill in ``ids`` of the results that name their category; return notes."""
    by_name = _ids_by_name(categories)
    for number, name in named.items():
        ids[number] = _find(class_of.get(name, name), by_name)
    unknown = [name for number, name in named.items() if ids[number] is None]
    if named and len(unknown) == len(named):
        raise UserError(
            f"{path}: the results have {list_names(unknown)}; the annotation file has "
            f"{list_names(c['name'] for c in categories)}: no category in common"
        )
    own = {c["id"] for c in categories}
    disagree = sum(
        ids[n] is not None and table[n].get("category_id") in own and table[n]["category_id"] != ids[n]
        for n in named
        if to_int(table[n].get("category_id")) is not None
    )
    notes = _left_out(unknown)
    if disagree:
        notes.append(
            f"category_name and category_id of {disagree} results name different categories: "
            "category_name is used"
        )
    return notes


def _match_numbers(
    numbers: dict[int, int | None],
    table: list[dict[str, Any]],
    categories: list[dict[str, Any]],
    path: Path,
    ids: Ids,
) -> list[str]:
    """Fill in ``ids`` of the results with a ``category_id`` alone; return notes."""
    for title, names in _numberings(categories):
        if not all(number in names for number in numbers.values()):
            continue
        by_name = _ids_by_name(categories)
        found = {n: names[number] for n, number in numbers.items() if number is not None}
        unknown = [name for name in found.values() if _find(name, by_name) is None]
        if found and len(unknown) == len(found):
            continue
        for n, name in found.items():
            ids[n] = _find(name, by_name)
        return [*([f"category_id is read as {title}"] if title else []), *_left_out(unknown)]
    own = {c["id"] for c in categories}
    first = next(n for n, number in numbers.items() if number not in own)
    value = short_repr(table[first].get("category_id"))
    raise UserError(
        f"{path}: result {first}: category_id {value} is not in the annotation file; it has "
        + ", ".join(f"{c['id']} {c['name']}" for c in categories)
    )


def _numberings(categories: list[dict[str, Any]]) -> Iterator[tuple[str, dict[int, str]]]:
    """Yield what ``category_id`` may mean, the likeliest first: a description ("": ids), number to name."""
    yield "", {c["id"]: c["name"] for c in categories}
    yield (
        "a position in the annotation file's list of categories, from 0",
        dict(enumerate(c["name"] for c in categories)),
    )
    # Imported here for start-up time: torchvision takes seconds, and few files need its list.
    from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

    names = MaskRCNN_ResNet50_FPN_Weights.DEFAULT.meta["categories"]
    coco = {number: name for number, name in enumerate(names) if name not in ("__background__", "N/A")}
    yield "COCO's ids", coco
    yield "the numbers of COCO's 80 classes, from 0", dict(enumerate(coco.values()))


def _left_out(names: list[str]) -> list[str]:
    count = len(names)
    return [f"{count} results are left out: the annotation file lacks {list_names(names)}"] if names else []
