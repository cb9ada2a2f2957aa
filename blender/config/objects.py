"""The tables of a profile that belong to kinds of object: their ranges, and the categories of objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from blender.config.kind_classes import kind_class_names
from blender.contract import UserError, merge_tables
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


def fill_like_tables(used: dict[str, Any], file: str, problems: list[str]) -> dict[str, Any]:
    """Fill each table of [scene.objects] that has the key ``like`` with the keys of the table it names.

    Args:
        used: the renderer's tables of a profile; not changed.
        file: the profile, for messages.
        problems: gets a line for each ``like`` that names no other table, or a table with ``like`` itself.

    Returns:
        The tables, with all keys in each table of [scene.objects].
    """
    objects = subtable(used, "scene", "objects")
    filled = {}
    for name, table in objects.items():
        other = subtable(table).get("like")
        if not isinstance(other, str) or not other:
            continue
        base = subtable(objects, other)
        if not base or "like" in base:
            reason = "has the key 'like' itself" if base else "is no table of [scene.objects]"
            problems.append(f"{file}: [scene.objects.{name}]: like names '{other}', which {reason}")
        filled[name] = merge_tables(base, table)
    if not filled:
        return used
    return used | {"scene": subtable(used, "scene") | {"objects": objects | filled}}


def category_problems(used: dict[str, Any]) -> Iterator[str]:
    """Report each category that is no class, and each class without objects.

    A class without a table is right if it is the name of a kind or a variant: it labels all of these.
    """
    objects, classes = subtable(used, "scene", "objects"), used.get("classes")
    if not isinstance(classes, list):
        return
    made = {table.get("category", "") for table in objects.values() if isinstance(table, dict)} - {""}
    for category in sorted(name for name in made if isinstance(name, str) and name not in classes):
        yield f"category '{category}' of [scene.objects] is missing from classes"
    for category in classes:
        if isinstance(category, str) and category not in made and category not in kind_class_names():
            yield (
                f"no table of [scene.objects] has the category of class '{category}', and it is no kind of "
                "object"
            )


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
