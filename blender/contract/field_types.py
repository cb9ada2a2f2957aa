"""Evaluate the annotations of a dataclass's fields: types, limits, and a description in words."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from blender.contract.limits import ELEMENT, AnyPositive, Ge, Gt, Le, Lt, MinLen, OneOf, Ordered, ZeroOrGe

Limits = tuple[Any, ...]

NOUNS = {
    bool: ("true or false", "true or false"),
    int: ("an integer", "integers"),
    float: ("a number", "numbers"),
    str: ("a string", "strings"),
}
"""Type -> its name in messages, in the singular and in the plural."""


@functools.cache
def field_types(cls: type) -> dict[str, Any]:
    """Return the evaluated annotation of each field of a dataclass, with its limits."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


@functools.cache
def split_limits(hint: Any) -> tuple[Any, Limits]:
    """Split an annotation into its plain type and its limits; ``X | None`` counts as ``X``."""
    base, *metadata = typing.get_args(hint) if typing.get_origin(hint) is Annotated else (hint,)
    limits: list[Any] = []
    for item in metadata:
        limits += list(item) if hasattr(item, "__iter__") else [item]
    if typing.get_origin(base) in (types.UnionType, typing.Union):
        (option,) = [option for option in typing.get_args(base) if option is not type(None)]
        base, more = split_limits(option)
        limits += more
    return base, tuple(limits)


def with_limits(hint: Any, limits: Iterable[Any]) -> Any:
    """Return an annotation with more limits."""
    annotated: Any = Annotated
    return annotated[(hint, *limits)] if (limits := tuple(limits)) else hint


def item_limits(limits: Limits) -> Limits:
    """Return the limits of a list or a table that apply to each of its elements."""
    return tuple(limit for limit in limits if isinstance(limit, ELEMENT))


def allowed_names(hint: Any, limits: Limits = ()) -> tuple[str, ...]:
    """Return the strings that a type with limits allows; empty if it allows any string."""
    if typing.get_origin(hint) is Literal:
        return typing.get_args(hint)
    return next((tuple(limit.names) for limit in limits if isinstance(limit, OneOf)), ())


def describe(hint: Any) -> str:
    """Describe the allowed values in words that follow "must be", such as "a number from 0 to 1"."""
    base, limits = split_limits(hint)
    origin, args = typing.get_origin(base), typing.get_args(base)
    if names := allowed_names(base, limits if base is str else ()):
        return " or ".join(filter(None, [", ".join(_quoted(names[:-1])), *_quoted(names[-1:])]))
    if origin is tuple:
        return _describe_list(args, limits)
    if origin is dict:
        return _describe_dict(args, limits)
    if base is str and any(isinstance(limit, MinLen) for limit in limits):
        return "a string that is not empty"
    return NOUNS[base][0] + _describe_range(limits) if base in NOUNS else "a table"


def _describe_items(hint: Any) -> str:
    base, limits = split_limits(hint)
    if names := allowed_names(base, limits):
        return ", ".join(_quoted(names))
    if typing.get_origin(base) is tuple:
        return f"lists: {_describe_list(typing.get_args(base), limits)}"
    return NOUNS[base][1] + _describe_range(limits) if base in NOUNS else "tables"


def _describe_list(kinds: tuple[Any, ...], limits: Limits) -> str:
    items = _describe_items(with_limits(kinds[0], item_limits(limits)))
    if any(isinstance(limit, Ordered) for limit in limits):
        return f"a range [low, high] of {items}"
    if kinds[-1] is not Ellipsis:
        return f"a list of {len(kinds)} {items}"
    return f"a list of {items}" + (", at least one" if any(isinstance(x, MinLen) for x in limits) else "")


def _describe_dict(kinds: tuple[Any, ...], limits: Limits) -> str:
    if kinds[1] is Any:
        return "a table"
    names = allowed_names(kinds[0], limits)
    of_values = [limit for limit in item_limits(limits) if not isinstance(limit, OneOf)]
    values = _describe_items(with_limits(kinds[1], of_values))
    keys = f" for some of {', '.join(_quoted(names))}" if names else ""
    positive = "; at least one must be above 0" if any(isinstance(x, AnyPositive) for x in limits) else ""
    return f"a table of {values}{keys}{positive}"


def _quoted(names: Iterable[str]) -> list[str]:
    return [f'"{name}"' for name in names]


def _describe_range(limits: Limits) -> str:
    if any(isinstance(limit, ZeroOrGe) for limit in limits):
        return " that is 0 or at least " + next(f"{x.ge:g}" for x in limits if isinstance(x, ZeroOrGe))
    low = next((limit for limit in limits if isinstance(limit, Ge | Gt)), None)
    high = next((limit for limit in limits if isinstance(limit, Le | Lt)), None)
    match low, high:
        case Ge(a), Le(b):
            return f" from {a:g} to {b:g}"
        case Ge(a), Lt(b):
            return f" from {a:g} to below {b:g}"
        case Gt(a), Le(b):
            return f" above {a:g} and up to {b:g}"
        case Gt(a), Lt(b):
            return f" above {a:g} and below {b:g}"
        case Ge(a), None:
            return f" of at least {a:g}"
        case Gt(a), None:
            return f" above {a:g}"
        case None, Le(b):
            return f" of at most {b:g}"
        case None, Lt(b):
            return f" below {b:g}"
    return ""
