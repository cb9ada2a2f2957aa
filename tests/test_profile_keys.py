"""All keys of all tables of a profile: limits, error messages, descriptions."""

from __future__ import annotations

import dataclasses
import math
import typing
from pathlib import Path
from typing import Any, Literal

import pytest
from click.testing import CliRunner

from blender.config.objects import fill_like_tables
from blender.config.reference import renderer_tables
from blender.contract import UserError, from_table, load_profile
from blender.contract.field_types import (
    allowed_names,
    describe,
    field_types,
    item_limits,
    split_limits,
    with_limits,
)
from blender.contract.limits import AnyPositive, Ge, Gt, Le, Lt, MinLen, OneOf, Ordered, ZeroOrGe
from blender.contract.reference import table_keys
from pipeline.cli import main
from pipeline.config.reference import pipeline_tables, profile_reference
from tests.conftest import ROOT, TINY, run

TABLES = {**pipeline_tables(), **renderer_tables()}
DEFAULT = fill_like_tables(load_profile(ROOT / "assets/profiles/default.toml"), "default.toml", [])
PEDESTRIAN = 'scene.objects.NAME.ranges with builder = "pedestrian"'
WITHOUT_LIMITS = {
    ("scene.objects.NAME", "like"): "compared with the names of the tables",
    ("model", "auxiliary"): "compared with the kinds of object and their variants",
    ("scene.objects.NAME", "category"): "compared with classes; empty for objects without a label",
    ("scene.camera", "mounts"): "the names of mounts are free",
    ("scene", "objects"): "the names of objects are free",
    (PEDESTRIAN, "poses"): "compared with the poses that were baked",
    ("train", "negatives"): "paths of folders, which are read when training starts",
    ("train.extra", "map"): "the names of another dataset's categories, compared with classes",
}
"""Keys whose values have no limits of their own, with the reason."""


def minimal_table(name: str) -> dict[str, Any]:
    """Return a valid table with this name: that of the default profile, or a table with the required keys."""
    place, _, builder = name.partition(" with builder = ")
    if builder:
        objects = DEFAULT["scene"]["objects"].values()
        ranges = [table["ranges"] for table in objects if table["builder"] == builder.strip('"')]
        return ranges[0] if ranges else {"file": "robot.glb"}
    if name == "train.extra":
        return {"annotations": "a.json", "images": "images"}
    table: Any = DEFAULT
    for key in filter(None, place.split(".")):
        table = next(iter(table.values())) if key == "NAME" else table.get(key, {})
    return {key: value for key, value in table.items() if key in field_types(TABLES[name])}


def is_table(hint: Any) -> bool:
    """Return whether the value is a table, or contains tables, that a separate dataclass reads."""
    base, _ = split_limits(hint)
    inner = [base, *typing.get_args(base)]
    return any(dataclasses.is_dataclass(kind) or kind is Any for kind in inner)


def wrong_items(base: Any, limits: tuple[Any, ...]) -> list[Any]:
    """Return wrong single values: of a wrong type, NaN, and just outside each limit."""
    if typing.get_origin(base) is Literal:
        return [3, "nonsense", math.nan]
    of_wrong_types: dict[type, list[Any]] = {
        bool: [0, "true"],
        str: [3, True],
        int: [0.5, "1", True],
        float: ["1", True],
    }
    wrong = [*of_wrong_types[base], math.nan, math.inf, [], None]
    for limit in limits:
        match limit:
            case Ge(low):
                wrong.append(math.ceil(low) - 1 if base is int else low - 0.001)
            case Le(high):
                wrong.append(math.floor(high) + 1 if base is int else high + 0.001)
            case Gt(edge) | Lt(edge):
                wrong.append(int(edge) if base is int else edge)
            case ZeroOrGe(low):
                wrong += [-1, int(low) - 1]
            case OneOf():
                wrong.append("nonsense")
            case MinLen():
                wrong.append("")
    return wrong


def wrong_values(hint: Any, valid: Any) -> list[Any]:
    """Return wrong values for a key, from its annotation and a valid value; the value is no table."""
    base, limits = split_limits(hint)
    kinds = typing.get_args(base)
    if typing.get_origin(base) is not tuple:
        return wrong_items(base, limits)
    items = wrong_items(kinds[0], item_limits(limits))
    if kinds[-1] is Ellipsis:
        wrong: list[Any] = [[item] for item in items]
    else:
        low, high = valid
        wrong = [pair for item in items for pair in ([item, high], [low, item])]
        wrong += [[low], [low, high, high]]
    wrong += [[high + 1, high]] if Ordered() in limits else []
    wrong += [[]] if MinLen(1) in limits else []
    return [*wrong, 3, "x", True, math.nan]


def problem(name: str, key: str, value: Any) -> str:
    """Return the error message about a table with this value; check that it is one line."""
    table = {**minimal_table(name), key: value}
    with pytest.raises(UserError) as caught:
        from_table(TABLES[name], table, "p.toml", name)
    message = str(caught.value)
    assert "\n" not in message
    return message


def valid_value(name: str, key: str) -> Any:
    """Return the value of the default profile, or the default of the code."""
    (field,) = (field for field in dataclasses.fields(TABLES[name]) if field.name == key)
    value = minimal_table(name).get(key, field.default)
    return (1.0, 2.0) if value is None else value


KEYS = [(name, key) for name, cls in TABLES.items() for key in field_types(cls)]


def test_every_key_has_limits_or_a_reason() -> None:
    unlimited = set()
    for name, key in KEYS:
        base, limits = split_limits(field_types(TABLES[name])[key])
        closed = base is bool or bool(allowed_names(base)) or any(map(allowed_names, typing.get_args(base)))
        free_names = typing.get_origin(base) is dict and typing.get_args(base)[1] is not Any
        if not limits and not closed and (not is_table(base) or free_names):
            unlimited.add((name, key))
    assert unlimited == set(WITHOUT_LIMITS)


def test_every_wrong_value_is_one_line_with_table_key_value_and_limits() -> None:
    count = 0
    for name, key in KEYS:
        hint = field_types(TABLES[name])[key]
        base, _ = split_limits(hint)
        if is_table(hint) or typing.get_origin(base) is dict:
            continue
        where = f"p.toml: [{name}]" if name else "p.toml"
        for value in wrong_values(hint, valid_value(name, key)):
            assert problem(name, key, value) == f"{where}: {key} must be {describe(hint)}, not {value!r}"
            count += 1
    assert count > 2000


def test_every_wrong_table_is_one_line_with_table_key_value_and_limits() -> None:
    count = 0
    no_tables: list[Any] = [3, "x", []]
    for name, key in KEYS:
        hint = field_types(TABLES[name])[key]
        base, limits = split_limits(hint)
        if is_table(hint) or typing.get_origin(base) is not dict:
            continue
        for value in no_tables:
            assert f"{key} must be {describe(hint)}, not {value!r}" in problem(name, key, value)
        where = f"p.toml: [{name}.{key}]" if name else f"p.toml: [{key}]"
        names = allowed_names(str, limits)
        of_values = [limit for limit in item_limits(limits) if not isinstance(limit, OneOf)]
        item = with_limits(typing.get_args(base)[1], of_values)
        entry = names[0] if names else "x"
        for value in wrong_items(*split_limits(item)):
            expected = f"{where}: {entry} must be {describe(item)}, not {value!r}"
            assert problem(name, key, {entry: value}) == expected
            count += 1
        if names:
            known = f"{where}: unknown key 'nonsense'; known: {', '.join(names)}"
            assert problem(name, key, {names[0]: 1, "nonsense": 1}).startswith(known)
        if AnyPositive() in limits:
            zero = {entry: 0}
            assert problem(name, key, zero) == f"{where}: at least one weight must be above 0, not {zero}"
        if MinLen(1) in limits:
            assert problem(name, key, {}) == f"{where}: must have a key, not {{}}"
    assert count > 100


@pytest.mark.parametrize(
    ("table", "line", "message"),
    [
        ("train", "weight_decay = -1", "weight_decay must be a number from 0 to 1, not -1"),
        ("train", "lr = nan", "lr must be a number above 0, not nan"),
        ("train", "momentum = 5", "momentum must be a number from 0 to below 1, not 5"),
        ("train", "min_size = 20", "min_size must be an integer that is 0 or at least 32, not 20"),
        ("model", "box_nms_thresh = -1", "box_nms_thresh must be a number from 0 to 1, not -1"),
        ("model", "detections_per_img = 0", "detections_per_img must be an integer of at least 1, not 0"),
        ("people", "women = 2", "women must be a number from 0 to 1, not 2"),
    ],
)
def test_check_reports_wrong_values_of_the_pipeline(
    table: str, line: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "p.toml"
    path.write_text(TINY.replace(f"[{table}]\n", f"[{table}]\n{line}\n"))
    done = CliRunner().invoke(main, ["check", "--profile", str(path)])
    assert (done.exit_code, done.output) == (2, f"error: {path}: [{table}]: {message}\n")


def check_renderer(path: Path, *changes: tuple[str, str]) -> list[str]:
    """Return the error lines of ``python -m blender.config`` for the tiny profile with some changes."""
    text = TINY
    for old, new in changes:
        text = text.replace(old, new, 1)
    path.write_text(text)
    done = run("-m", "blender.config", path)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr.splitlines()


def test_all_problems_of_a_profile_are_reported(tmp_path: Path) -> None:
    path, share = tmp_path / "p.toml", "must be a number from 0 to 1"
    changes = [("samples = 1", "samples = 0"), ("negatives = 0.0", "negatives = 12")]
    assert check_renderer(path, *changes, ("count = [1, 2]", "parked = 40")) == [
        f"error: {path}: [render]: samples must be an integer of at least 1, not 0",
        f"error: {path}: [scene]: negatives {share}, not 12",
        f"error: {path}: [scene.objects.pallet_truck]: parked {share}, not 40",
    ]
    lines = check_renderer(path, ("bays = [1, 2]", "bays = [2, 1]"), ("paint = { red", "paint = { rde"))
    assert lines == [
        f"error: {path}: [scene.rack]: bays must be a range [low, high] of integers of at least 1, "
        "not [2, 1]",
        f"error: {path}: [scene.objects.pallet_truck.ranges.paint]: unknown key 'rde'; known: red, orange, "
        "yellow, green, lime, blue, blue_grey, grey, white, black; did you mean 'red'?",
    ]


def test_every_key_has_a_description() -> None:
    for name, cls in TABLES.items():
        assert [key.name for key in table_keys(cls) if not key.description] == [], name


def test_the_reference_has_every_key() -> None:
    text = profile_reference()
    assert not set(renderer_tables()) & set(pipeline_tables()), "a table stands twice in the reference"
    for name, cls in TABLES.items():
        place, _, condition = name.partition(" ")
        keys = [key.name for key in table_keys(cls) if not is_table(field_types(cls)[key.name])]
        head = f"## `[{place}]` {condition}".strip() if name else "## Top of a profile"
        section = text.partition(f"{head}\n")[2].partition("\n## ")[0]
        assert [key for key in keys if f"| `{key}` |" not in section] == [], name
    assert "| `lr` | a number above 0 | `0.001` | Peak learning rate, reached after the warm-up. |" in text
