"""Limits of values, written in annotations: ``share: Annotated[float, Ge(0), Le(1)]``.

``Ge``, ``Gt``, ``Le``, ``Lt`` and ``MinLen`` have the names and the meaning of the package annotated-types,
which Blender's Python lacks. On a list, a range or a table the first four apply to each element. The other
classes exist only here. ``blender.contract.table_reader`` checks the limits when it reads a table and
describes them in its messages.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Annotated, Any


@dataclass(frozen=True)
class Ge:
    """Greater than or equal to ``ge``."""

    ge: float

    def allows(self, value: Any) -> bool:
        """Whether the number ``value`` is within this limit."""
        return bool(value >= self.ge)


@dataclass(frozen=True)
class Gt:
    """Greater than ``gt``."""

    gt: float

    def allows(self, value: Any) -> bool:
        """Whether the number ``value`` is within this limit."""
        return bool(value > self.gt)


@dataclass(frozen=True)
class Le:
    """Less than or equal to ``le``."""

    le: float

    def allows(self, value: Any) -> bool:
        """Whether the number ``value`` is within this limit."""
        return bool(value <= self.le)


@dataclass(frozen=True)
class Lt:
    """Less than ``lt``."""

    lt: float

    def allows(self, value: Any) -> bool:
        """Whether the number ``value`` is within this limit."""
        return bool(value < self.lt)


@dataclass(frozen=True)
class ZeroOrGe:
    """Zero, which turns something off, or at least ``ge``."""

    ge: float

    def allows(self, value: Any) -> bool:
        """Whether the number ``value`` is within this limit."""
        return bool(value == 0 or value >= self.ge)


@dataclass(frozen=True)
class OneOf:
    """A string, each string of a list, or each key of a table is one of ``names``."""

    names: Collection[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))  # a tuple, so that the limit is hashable

    def allows(self, value: Any) -> bool:
        """Whether the string ``value`` is one of the names."""
        return value in self.names


@dataclass(frozen=True)
class MinLen:
    """A string, list or table has at least ``min_length`` characters or elements."""

    min_length: int

    def allows(self, value: Any) -> bool:
        """Whether ``value`` is long enough."""
        return len(value) >= self.min_length


@dataclass(frozen=True)
class Ordered:
    """A range [low, high] has ``low <= high``."""

    def allows(self, value: Any) -> bool:
        """Whether the pair ``value`` is in order."""
        return bool(value[0] <= value[1])


@dataclass(frozen=True)
class AnyPositive:
    """At least one value of a table is above 0."""

    def allows(self, value: Any) -> bool:
        """Whether the table ``value`` has a positive value."""
        return any(number > 0 for number in value.values())


@dataclass(frozen=True)
class Weights:
    """A table of weights: some of ``names``, each with a number from 0 to 1e9, one of them above 0."""

    names: Collection[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the limits that this class combines, as in ``annotated_types.GroupedMetadata``."""
        return iter((OneOf(self.names), Ge(0), Le(1e9), AnyPositive()))


ELEMENT = (Ge, Gt, Le, Lt, ZeroOrGe, OneOf)
"""Limits that apply to each element of a list or a range, and to a table's values (``OneOf``: its keys)."""

Share = Annotated[float, Ge(0), Le(1)]
"""A share or a probability."""
ShareRange = Annotated[tuple[float, float], Ge(0), Le(1), Ordered()]
"""A range [low, high] of shares."""
