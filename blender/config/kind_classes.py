"""Classes that label every object of a kind, without a table of [scene.objects] for them.

Most are auxiliary classes: look-alikes that the network learns as classes of their own, and never reports. A
name in ``classes`` that is the category of no table labels such objects, too.

A name is a kind of object ("forklift") or one of its variants ("reach_truck"). Objects with the category of a
table keep it. Of a kind and its variant, the variant's name is used if both are named.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import get_type_hints

from blender.contract.limits import Weights
from blender.contract.table_reader import closest
from blender.kinds import find_kind, kind_names
from blender.spec import ObjectSpec

WITHOUT = ("hall", "model")
"""Kinds that cannot be auxiliary: the building, and a user's models, which can be classes."""


@dataclass(frozen=True)
class AuxiliaryClasses:
    """[model] auxiliary."""

    auxiliary: tuple[str, ...] = ()
    """Kinds of object and variants to label as auxiliary classes."""


def category_of_kind(item: ObjectSpec, names: Collection[str]) -> str:
    """Return the name of an object's kind or variant; empty: it has a category, or none of ``names`` fits."""
    if item.category:
        return ""
    own = (item.params.get("variant", ""), item.builder)
    return next((name for name in own if name in names), "")


def kind_class_names() -> list[str]:
    """Return the names of all kinds and variants that can be classes without a table, sorted."""
    kinds = [name for name in kind_names() if name not in WITHOUT]
    return sorted({*kinds, *(variant for kind in kinds for variant in _variants(kind))})


def kinds_of(name: str) -> set[str]:
    """Return the kinds of object that a class without a table is, or is a variant of."""
    return {kind for kind in kind_names() if kind not in WITHOUT and name in (kind, *_variants(kind))}


def _variants(kind: str) -> tuple[str, ...]:
    """Return the variants of a kind: the keys that the limits of its ``variants`` allow."""
    hint = get_type_hints(find_kind(kind).Ranges, include_extras=True).get("variants")
    limits = getattr(hint, "__metadata__", ())
    return tuple(name for limit in limits if isinstance(limit, Weights) for name in limit.names)


def auxiliary_problems(table: AuxiliaryClasses, classes: Collection[str]) -> Iterator[str]:
    """Report auxiliary classes that are unknown, named twice, or classes of the profile."""
    known = kind_class_names()
    for number, name in enumerate(table.auxiliary):
        if name in table.auxiliary[:number]:
            yield f"[model] auxiliary names '{name}' twice"
        elif name in classes:
            yield f"[model] auxiliary: '{name}' is one of the classes; leave it out"
        elif name not in known:
            names = f"known: {', '.join(known)}{closest(name, known)}"
            yield f"[model] auxiliary: no kind or variant '{name}'; {names}"
