"""Read tables into dataclasses. All keys, types and limits of values are checked here.

A field's annotation gives the allowed values: ``lr: Annotated[float, Gt(0)]``. Every problem of a table is
reported in one line that names the file, the table, the key, the allowed values and the value.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from blender.contract.errors import UserError
from blender.contract.field_types import (
    Limits,
    allowed_names,
    describe,
    field_types,
    item_limits,
    split_limits,
    with_limits,
)
from blender.contract.limits import ELEMENT, AnyPositive, MinLen, OneOf

T = TypeVar("T")


def from_table(cls: type[T], table: Any, file: str, name: str = "") -> T:
    """Build the dataclass ``cls`` from a table of a TOML or JSON file.

    Handles bool, int, float (an int is accepted, NaN and infinity are not), str, ``Literal``, ``X | None``,
    ``tuple[X, ...]``, ``tuple[X, Y]``, ``dict[str, X]``, nested dataclasses, ``Any``, and ``Annotated`` with
    the limits of ``blender.contract.limits``. A check that compares several fields is a ValueError of the
    dataclass's ``__post_init__``.

    Args:
        file: the file that the table is from, for messages.
        name: the table's name in the file: "scene.aisle"; empty for the top level.

    Raises:
        UserError: one line for each unknown or missing key and each wrong value.
    """
    problems: list[str] = []
    result = try_from_table(cls, table, file, name, problems)
    if result is None:
        raise UserError("\n".join(problems))
    return result


def try_from_table(cls: type[T], table: Any, file: str, name: str, problems: list[str]) -> T | None:
    """Build the dataclass as ``from_table`` does; on errors add lines to ``problems`` and return None."""
    return typing.cast("T | None", _read_table(cls, table, _Place(file, name), problems))


def closest(key: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown key: the most similar known key, or an empty string."""
    match = difflib.get_close_matches(key, list(known), n=1)
    return f"; did you mean '{match[0]}'?" if match else ""


@dataclass(frozen=True)
class _Place:
    """Location of a table, for messages."""

    file: str
    table: str

    def below(self, key: str) -> _Place:
        return _Place(self.file, f"{self.table}.{key}" if self.table else key)

    def __str__(self) -> str:
        return f"{self.file}: [{self.table}]" if self.table else self.file


def _read_table(cls: type, table: Any, place: _Place, problems: list[str]) -> Any:
    """Build the dataclass ``cls``; on errors add to ``problems`` and return None."""
    if not isinstance(table, dict):
        problems.append(f"{place}: must be a table, not {table!r}")
        return None
    hints, before, values = field_types(cls), len(problems), {}
    for key, value in table.items():
        if key in hints:
            values[key] = _read_value(hints[key], value, place, key, problems)
        else:
            problems.append(_unknown(key, hints, place))
    for field in dataclasses.fields(cls):
        required = field.default is field.default_factory is dataclasses.MISSING
        if required and field.name not in table:
            problems.append(f"{place}: key '{field.name}' is missing")
    if len(problems) > before:
        return None
    try:
        return cls(**values)
    except ValueError as error:
        problems.append(f"{place}: {error}")
        return None


def _unknown(key: str, known: Iterable[str], place: _Place) -> str:
    return f"{place}: unknown key '{key}'; known: {', '.join(known)}{closest(key, known)}"


def _read_value(hint: Any, value: Any, place: _Place, key: str, problems: list[str]) -> Any:
    """Read a table, a list of tables or a single value; on errors add to ``problems`` and return None."""
    base, limits = split_limits(hint)
    origin, args = typing.get_origin(base), typing.get_args(base)
    if base is Any:
        return value
    if dataclasses.is_dataclass(base):
        return _read_table(typing.cast(type, base), value, place.below(key), problems)
    if origin is dict and isinstance(value, dict):
        return _read_dict(args, limits, value, place.below(key), problems)
    if origin is tuple and dataclasses.is_dataclass(args[0]) and isinstance(value, list):
        cls, items = typing.cast(type, args[0]), enumerate(value, start=1)
        return tuple(_read_table(cls, item, place.below(f"{key} #{n}"), problems) for n, item in items)
    try:
        return _reader(hint)(value)
    except _WrongValueError:
        problems.append(f"{place}: {key} must be {describe(hint)}, not {value!r}")
        return None


def _read_dict(kinds: Any, limits: Limits, table: Any, place: _Place, problems: list[str]) -> Any:
    """Read a table whose keys are names, such as a table of weights; add errors to ``problems``."""
    before = len(problems)
    if known := allowed_names(kinds[0], limits):
        problems += [_unknown(key, known, place) for key in table if key not in known]
    item = with_limits(kinds[1], [limit for limit in item_limits(limits) if not isinstance(limit, OneOf)])
    result = {key: _read_value(item, value, place, key, problems) for key, value in table.items()}
    for limit in limits if len(problems) == before else ():
        if isinstance(limit, AnyPositive) and not limit.allows(result):
            problems.append(f"{place}: at least one weight must be above 0, not {table!r}")
        if isinstance(limit, MinLen) and not limit.allows(result):
            problems.append(f"{place}: must have a key, not {table!r}")
    return result


# ------------------------------------------------------------------------------ single values


class _WrongValueError(Exception):
    """A value is of another type than its annotation, or outside its limits."""


@functools.cache
def _reader(hint: Any) -> Callable[[Any], Any]:
    """Return a function that converts one value, or a list of values, to the annotated type.

    Cached, because frame records hold long lists: the annotation is evaluated once, not for each value.
    """
    base, limits = split_limits(hint)
    if typing.get_origin(base) is tuple:
        return _list_reader(typing.get_args(base), limits)
    convert = _number if base is float else _exactly(base)
    if not limits:
        return convert

    def checked(value: Any) -> Any:
        result = convert(value)
        if not all(limit.allows(result) for limit in limits):
            raise _WrongValueError
        return result

    return checked


def _list_reader(kinds: tuple[Any, ...], limits: Limits) -> Callable[[Any], Any]:
    length = None if kinds[-1] is Ellipsis else len(kinds)
    items = kinds if length else kinds[:1]
    readers = [_reader(with_limits(kind, item_limits(limits))) for kind in items]
    of_list = [limit for limit in limits if not isinstance(limit, ELEMENT)]

    def read(value: Any) -> Any:
        if not isinstance(value, list) or length not in (None, len(value)):
            raise _WrongValueError
        if length is None:
            result = tuple(map(readers[0], value))
        else:
            result = tuple(reader(item) for reader, item in zip(readers, value, strict=True))
        if not all(limit.allows(result) for limit in of_list):
            raise _WrongValueError
        return result

    return read


def _number(value: Any) -> float:
    try:
        if type(value) in (int, float) and math.isfinite(value):
            return float(value)
    except OverflowError:
        pass
    raise _WrongValueError


def _exactly(base: Any) -> Callable[[Any], Any]:
    """Return a function that accepts only values of the type ``base`` (bool, int, str or ``Literal``)."""
    choices = typing.get_args(base) if typing.get_origin(base) is Literal else None

    def read(value: Any) -> Any:
        if value not in choices if choices else type(value) is not base:
            raise _WrongValueError
        return value

    return read
