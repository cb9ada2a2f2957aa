"""Rules for the categories of a COCO file. A check takes a category and the ``Context``."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.data.validation.rules import (
    CATEGORY,
    WARNING,
    Change,
    Context,
    Entry,
    broken_rules,
    fix_entry,
    int_ids,
    is_reference,
    make_context,
    move_references,
    rule,
)
from pipeline.data.values import free_ids, is_id, is_int, is_text, printable, short_repr, to_int


def fix_categories(dataset: Entry, folder: Path | None, changes: list[Change]) -> Entry:
    """Fix the categories, merge those of the same name, and update the annotations' ids."""
    context = make_context(dataset)
    find_problems = partial(broken_rules, CATEGORY, context=context)
    moved: dict[Any, int] = {}
    by_name: dict[Any, Entry] = {}
    used = {*context.categories, *int_ids(dataset["annotations"], "category_id")}
    for category in dataset["categories"]:
        fixed = fix_entry(category, "category", find_problems, context, changes)
        if fixed is None:
            continue
        if fixed["id"] == context.free_category_id:
            used.add(fixed["id"])
            context = replace(context, free_category_id=next(free_ids(used)))
        first = by_name.setdefault(fixed["name"], fixed)
        if first is not fixed:
            changes.append(Change("category-name-duplicate", f"category {short_repr(category.get('id'))}"))
        if isinstance(category.get("id"), (int, float, str)) and category["id"] != first["id"]:
            moved[category["id"]] = first["id"]
    annotations = move_references(dataset["annotations"], "category_id", moved)
    return dataset | {"categories": list(by_name.values()), "annotations": annotations}


def _to_integer_id(category: Entry, context: Context) -> Entry:
    """Convert "7" and 7.0 to 7 if no other category has that id; give a new id to any other."""
    old, number = category.get("id"), to_int(category.get("id"))
    if is_reference(old) and context.category_ids[old] > 1:
        return category
    taken = number in context.categories or not is_id(number) or number < 1
    return category | {"id": context.free_category_id if taken else number}


def _free_id(category: Entry, context: Context) -> Entry:
    return category | {"id": context.free_category_id}


def _printable_name(category: Entry, context: Context) -> Entry:
    """Replace what cannot be printed in a name; name a category without one by its id."""
    name = category.get("name")
    if isinstance(name, str) and name.strip():
        return category | {"name": printable(name)}
    return category | {"name": f"category {category.get('id')}"}


@rule("category-id", CATEGORY, advice="give it an integer of at least 1", fix=_to_integer_id)
def _category_id(c: Entry, context: Context) -> str | None:
    if is_id(c.get("id")) and c["id"] >= 0:
        return None
    return f"category {short_repr(c.get('name'))} has the id {short_repr(c.get('id'))}"


@rule(
    "category-id-zero",
    CATEGORY,
    severity=WARNING,
    advice="number from 1: label 0 is torchvision's background",
    fix=_free_id,
)
def _category_id_zero(c: Entry, context: Context) -> str | None:
    zero = is_int(c.get("id")) and c["id"] == 0
    return f"category {short_repr(c.get('name'))} has the id 0" if zero else None


@rule(
    "category-id-duplicate",
    CATEGORY,
    advice="give every category an id of its own",
    not_fixable="only the owner of the file can decide which category an annotation belongs to",
)
def _category_id_duplicate(c: Entry, context: Context) -> str | None:
    duplicate = is_reference(c.get("id")) and context.category_ids[c["id"]] > 1
    return f"category {short_repr(c.get('name'))} shares the id {short_repr(c['id'])}" if duplicate else None


@rule("category-name", CATEGORY, advice="give it a name", fix=_printable_name)
def _category_name(c: Entry, context: Context) -> str | None:
    if is_text(c.get("name")) and c["name"].strip():
        return None
    return f"category {short_repr(c.get('id'))} has the name {short_repr(c.get('name'))}"


@rule(
    "category-name-duplicate",
    CATEGORY,
    advice="merge the two categories, or rename one",
    dataset_fix=fix_categories,
)
def _category_name_duplicate(c: Entry, context: Context) -> str | None:
    if not isinstance(c.get("name"), str) or context.category_names[c["name"]] < 2:
        return None
    return f"category {short_repr(c.get('id'))} shares the name {short_repr(c['name'])}"
