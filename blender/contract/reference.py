"""Generate a Markdown reference of tables from the dataclasses that read them."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import textwrap
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blender.contract.field_types import describe, field_types, split_limits


@dataclass(frozen=True)
class Key:
    """One key of a table."""

    name: str
    allowed: str
    """Type and limits in words."""
    default: str
    """Default as TOML; "required" for a key without a default, empty for a table."""
    description: str
    """The field's docstring in one line; empty if it has none."""


def table_keys(cls: type) -> list[Key]:
    """Return the keys of the table that the dataclass ``cls`` reads, in the order of its fields."""
    hints, descriptions = field_types(cls), _field_docstrings(cls)
    return [
        Key(field.name, describe(hints[field.name]), _default(field), descriptions.get(field.name, ""))
        for field in dataclasses.fields(cls)
    ]


def nested_tables(cls: type, name: str = "") -> dict[str, type]:
    """Return ``cls`` and the dataclasses below it by table name: {"scene": ..., "scene.aisle": ...}.

    NAME stands for a name that the user chooses: "scene.objects.NAME".
    """
    tables = {name: cls}
    for key, hint in field_types(cls).items():
        base, _ = split_limits(hint)
        place, args = f"{name}.{key}" if name else key, typing.get_args(base)
        if dataclasses.is_dataclass(base):
            tables |= nested_tables(typing.cast(type, base), place)
        elif typing.get_origin(base) is dict and dataclasses.is_dataclass(args[1]):
            tables |= nested_tables(typing.cast(type, args[1]), f"{place}.NAME")
        elif typing.get_origin(base) is tuple and dataclasses.is_dataclass(args[0]):
            tables |= nested_tables(typing.cast(type, args[0]), place)
    return tables


def table_reference(tables: Mapping[str, type]) -> str:
    """Format tables as Markdown: for each a heading, the dataclass's docstring and a row per key.

    Args:
        tables: name of a table to the dataclass that reads it; an empty name is the top of a profile.
    """
    return "\n".join(filter(None, (_section(name, cls) for name, cls in tables.items())))


def _section(name: str, cls: type) -> str:
    tables = {place.split(".")[0] for place in nested_tables(cls)}
    rows = []
    for key in table_keys(cls):
        if key.name not in tables and key.allowed != "a table":  # nested tables have their own section
            default = key.default if key.default in ("", "required") else f"`{key.default}`"
            cells = (f"`{key.name}`", key.allowed, default, key.description)
            rows.append(f"| {' | '.join(map(_cell, cells))} |")
    if not rows:
        return ""
    table, _, condition = name.partition(" ")
    head = f"## `[{table}]` {condition}".strip() if name else "## Top of a profile"
    about = " ".join((inspect.getdoc(cls) or "").split())
    about = about.split(": ", 1)[-1] if about.startswith("[") else about
    lines = ["| key | value | default | meaning |", "| --- | --- | --- | --- |", *rows]
    return f"{head}\n\n{about[:1].upper()}{about[1:]}\n\n" + "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Escape text for a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("``", "`")


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return "" if field.default is None else _toml(field.default)
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
        return "" if dataclasses.is_dataclass(value) else _toml(value)
    return "required"


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case float():
            return f"{value:g}" if value != int(value) else f"{value:.1f}"
        case dict():
            items = ", ".join(f"{key} = {_toml(item)}" for key, item in value.items())
            return f"{{ {items} }}" if items else "{}"
        case tuple():
            return f"[{', '.join(map(_toml, value))}]"
    return str(value)


def _field_docstrings(cls: type) -> dict[str, str]:
    """Return the docstring of each field in one line, also of fields of base classes."""
    docstrings: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        body = typing.cast(ast.ClassDef, definition).body
        for statement, below in itertools.pairwise(body):
            match statement, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    docstrings[name] = " ".join(text.split())
    return docstrings
