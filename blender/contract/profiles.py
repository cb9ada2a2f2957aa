"""Profiles: TOML files into dataclasses, whose keys and types are checked."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from blender.contract.errors import UserError

T = TypeVar("T")

PROFILE_KEYS = (
    "name",
    "seed",
    "classes",
    "splits",
    "people",
    "render",
    "scene",
    "coco",
    "model",
    "train",
    "evaluate",
)
"""Top level of a profile. ``blender.config.run`` reads the first seven, ``pipeline.config`` the
first four and the last four."""


def load_profile(path: Path) -> dict[str, Any]:
    """Read a profile, a TOML file that describes one whole run.

    Raises:
        UserError: no such file, not TOML, or an unknown or missing top-level key.
    """
    try:
        profile = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such profile; see assets/profiles/") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not valid TOML: {error}") from None
    for key in profile:
        if key not in PROFILE_KEYS:
            raise UserError(
                f"{path}: unknown key '{key}'; known: {', '.join(PROFILE_KEYS)}{_closest(key, PROFILE_KEYS)}"
            )
    for key in PROFILE_KEYS[:4]:
        if key not in profile:
            raise UserError(f"{path}: key '{key}' is missing")
    return profile


def from_table(cls: type[T], table: Any, where: str) -> T:
    """Build the dataclass ``cls`` from a profile's table; unknown keys and wrong types are errors.

    Handles bool, int, float, str, ``X | None``, ``tuple[X, ...]``, ``tuple[X, Y]``,
    ``dict[str, X]`` and nested dataclasses. An int is accepted where a float is wanted. A
    dataclass checks its own values in ``__post_init__`` with a ValueError, which is passed on.

    Args:
        where: the table's place, for messages: ``"default.toml: [render]"``.

    Raises:
        UserError: names the key and what was expected.
    """
    if not isinstance(table, dict):
        raise UserError(f"{where}: expected a table, not {table!r}")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in table:
        if key not in fields:
            raise UserError(
                f"{where}: unknown key '{key}'; known: {', '.join(fields)}{_closest(key, fields)}"
            )
    for name, f in fields.items():
        if name not in table and f.default is f.default_factory is dataclasses.MISSING:
            raise UserError(f"{where}: key '{name}' is missing")
    values = {key: _convert(hints[key], value, f"{where}: {key}") for key, value in table.items()}
    try:
        return cls(**values)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None


def _closest(key: str, known: Iterable[str]) -> str:
    match = difflib.get_close_matches(key, list(known), n=1)
    return f"; did you mean '{match[0]}'?" if match else ""


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        (hint,) = [a for a in args if a is not type(None)]
        return _convert(hint, value, where)
    if dataclasses.is_dataclass(hint):
        return from_table(typing.cast(type, hint), value, where)
    if origin is dict and isinstance(value, dict):
        return {k: _convert(args[1], v, f"{where}.{k}") for k, v in value.items()}
    if origin is tuple and isinstance(value, list):
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        if len(kinds) != len(value):
            raise UserError(f"{where}: expected {len(kinds)} values, not {value!r}")
        return tuple(_convert(k, v, where) for k, v in zip(kinds, value, strict=True))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and type(value) is hint:
        return value
    name = hint.__name__ if isinstance(hint, type) and origin is None else str(hint)
    raise UserError(f"{where}: expected {name}, not {value!r}")
