"""Reading tables into dataclasses: keys, types, limits and their messages."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest

from blender.contract import UserError, from_table
from blender.contract.field_types import describe
from blender.contract.limits import Ge, Gt, Le, Lt, MinLen, OneOf, Ordered, ShareRange, Weights, ZeroOrGe


@dataclass(frozen=True)
class Inner:
    kind: Literal["red", "blue"] = "red"
    weights: Annotated[dict[str, float], Weights(("a", "b"))] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    number: int
    share: Annotated[float, Ge(0), Lt(1)] = 0.5
    span: ShareRange = (0.0, 1.0)
    names: tuple[str, ...] = ()
    inner: Inner = field(default_factory=Inner)
    items: tuple[Inner, ...] = ()
    maybe: Annotated[tuple[float, float] | None, Gt(0)] = None

    def __post_init__(self) -> None:
        if self.number == 13:
            raise ValueError("number must not be 13")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"nubmer": 1, "number": 1}, "f: unknown key 'nubmer'; known: number, share, "),
        ({}, "f: key 'number' is missing"),
        ({"number": "1"}, "f: number must be an integer, not '1'"),
        ({"number": True}, "f: number must be an integer, not True"),
        ({"number": 13}, "f: number must not be 13"),
        ({"number": 1, "share": "x"}, "f: share must be a number from 0 to below 1, not 'x'"),
        ({"number": 1, "share": 10**400}, "f: share must be a number from 0 to below 1, not 1000"),
        ({"number": 1, "share": math.nan}, "f: share must be a number from 0 to below 1, not nan"),
        ({"number": 1, "span": [1.0]}, "f: span must be a range [low, high] of numbers from 0 to 1, not ["),
        ({"number": 1, "span": [1, 0]}, "f: span must be a range [low, high] of numbers from 0 to 1, not ["),
        ({"number": 1, "names": ["a", 2]}, "f: names must be a list of strings, not ['a', 2]"),
        ({"number": 1, "maybe": [0, 1]}, "f: maybe must be a list of 2 numbers above 0, not [0, 1]"),
        ({"number": 1, "inner": {"kind": "x"}}, "f: [inner]: kind must be \"red\" or \"blue\", not 'x'"),
        ({"number": 1, "inner": {"weights": {"c": 1}}}, "f: [inner.weights]: unknown key 'c'; known: a, b"),
        ({"number": 1, "inner": {"weights": {"a": 0}}}, "f: [inner.weights]: at least one weight must be"),
        ({"number": 1, "items": [{}, {"kind": 1}]}, "f: [items #2]: kind must be \"red\" or \"blue\", not 1"),
        ([], "f: must be a table, not []"),
    ],
)  # fmt: skip
def test_wrong_tables_are_named_in_one_line(table: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        from_table(Sample, table, "f")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_similar_keys_are_suggested() -> None:
    with pytest.raises(UserError, match="did you mean 'number'"):
        from_table(Sample, {"nubmer": 1, "number": 1}, "f")


def test_every_problem_of_a_table_is_reported() -> None:
    with pytest.raises(UserError) as caught:
        from_table(Sample, {"share": 2, "inner": {"kind": "x"}}, "f", "top")
    assert str(caught.value).splitlines() == [
        "f: [top]: share must be a number from 0 to below 1, not 2",
        'f: [top.inner]: kind must be "red" or "blue", not \'x\'',
        "f: [top]: key 'number' is missing",
    ]


def test_tables_become_dataclasses_with_integers_as_floats() -> None:
    table = {"number": 1, "share": 0, "span": [0, 1], "inner": {"weights": {"b": 2}}, "items": [{}]}
    read = from_table(Sample, table, "f")
    assert read == Sample(1, 0.0, (0.0, 1.0), inner=Inner(weights={"b": 2.0}), items=(Inner(),))
    assert [type(value) for value in (read.share, *read.span, read.inner.weights["b"])] == [float] * 4


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (bool, "true or false"),
        (Annotated[int, Ge(1)], "an integer of at least 1"),
        (Annotated[int, ZeroOrGe(32)], "an integer that is 0 or at least 32"),
        (Annotated[float, Gt(0), Le(1)], "a number above 0 and up to 1"),
        (Annotated[float, Gt(0), Lt(1)], "a number above 0 and below 1"),
        (Annotated[float, Le(1)], "a number of at most 1"),
        (Annotated[float, Lt(1)], "a number below 1"),
        (Annotated[str, MinLen(1)], "a string that is not empty"),
        (Literal["a"], '"a"'),
        (tuple[Literal["a", "b"], ...], 'a list of "a", "b"'),
        (Annotated[tuple[str, ...], OneOf("ab"), MinLen(1)], 'a list of "a", "b", at least one'),
        (tuple[tuple[float, float, int], ...], "a list of lists: a list of 3 numbers"),
        (Annotated[tuple[int, int], Ge(0), Ordered()], "a range [low, high] of integers of at least 0"),
        (dict[str, str], "a table of strings"),
        (
            Annotated[dict[str, float], Weights("ab")],
            'a table of numbers from 0 to 1e+09 for some of "a", "b"; at least one must be above 0',
        ),
        (dict[str, Any], "a table"),
        (Inner, "a table"),
    ],
)
def test_annotations_are_described_in_words(hint: Any, words: str) -> None:
    assert describe(hint) == words
