"""The tables of a profile that belong to kinds of object: their ranges, and the categories of objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from blender.contract import UserError
from blender.contract.table_reader import try_from_table
from blender.kinds import find_kind

RANGES = ("hall", "rack", "pallet", "carried")
"""Tables of [scene] that are the ``Ranges`` of the kind of object with this name."""


def subtable(table: Any, *keys: str) -> dict[str, Any]:
    """Return a table inside another; an empty one if there is none, or if the value is no table.

    The checks of several tables use it, since they also run on a profile with other problems.
    """
    for key in keys:
        table = table.get(key) if isinstance(table, dict) else None
    return table if isinstance(table, dict) else {}


def category_problems(used: dict[str, Any]) -> Iterator[str]:
    """Report each category that is no class, and each class without objects."""
    objects, classes = subtable(used, "scene", "objects"), used.get("classes")
    if not isinstance(classes, list):
        return
    made = {table.get("category", "") for table in objects.values() if isinstance(table, dict)} - {""}
    for category in sorted(name for name in made if isinstance(name, str) and name not in classes):
        yield f"category '{category}' of [scene.objects] is missing from classes"
    for category in classes:
        if isinstance(category, str) and category not in made:
            yield f"no table of [scene.objects] has the category of class '{category}'"


def read_ranges(used: dict[str, Any], file: str, problems: list[str]) -> dict[str, Any]:
    """Read the ``Ranges`` of every kind of object in the scene; add the problems of their tables."""
    tables = [(name, name, f"scene.{name}", subtable(used, "scene", name)) for name in RANGES]
    for name, table in subtable(used, "scene", "objects").items():
        builder = subtable({"": table}, "").get("builder")
        if isinstance(builder, str) and builder:
            tables.append((name, builder, f"scene.objects.{name}.ranges", subtable(table, "ranges")))
    ranges = {}
    for key, builder, place, table in tables:
        try:
            cls = find_kind(builder).Ranges
        except UserError as error:
            problems.append(f"{file}: [{place.removesuffix('.ranges')}]: {error}")
            continue
        ranges[key] = try_from_table(cls, table, file, place, problems)
    return ranges
