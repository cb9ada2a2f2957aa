"""The profile patch: floor, cap, monotone in weakness, no change without weakness, a profile that loads."""

from __future__ import annotations

import itertools
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender.assets import Assets, load_assets
from blender.config.profile import load_config
from blender.contract import canonical_json, load_profile, merge_tables
from blender.proposals import describe_split
from pipeline.common.toml import to_toml
from pipeline.improving.patch import Limits, Patch, profile_patch
from pipeline.improving.weakness import Mistaken, WeakCell
from tests.conftest import ROOT, TINY

LIMITS = Limits()
VALUES = ("hand", "walkie", "reach_in")
TABLES = {"forklift": {"kind": "forklift", "frames": 1.0, "count": [0, 2]}}


def choice(
    weights: dict[str, float], category: str = "pallet_truck", kind: str = "pallet_truck"
) -> dict[str, Any]:
    """Return a choice of the scene or of a kind, as ``blender.proposals`` describes it."""
    key = ["scene", "objects", kind or "hall", "ranges", "variants"]
    values = {value: {"key": [*key, value], "weight": weight} for value, weight in weights.items()}
    return {"factors": ["variants", "variant"], "category": category, "kind": kind, "values": values}


def weak(
    bin_name: str, strength: float, factor: str = "variant", class_name: str = "pallet_truck"
) -> WeakCell:
    return WeakCell(class_name, factor, bin_name, "recall", strength + 0.1, strength, "choose")


def shares(patch: Patch, entry: dict[str, Any]) -> dict[str, float]:
    """Return the share of each value of a choice after a patch."""
    weights = {}
    for value, item in entry["values"].items():
        table: Any = patch
        for name in item["key"]:
            table = table.get(name, {})
        weights[value] = float(table) if table != {} else float(item["weight"])
    return {value: weight / sum(weights.values()) for value, weight in weights.items()}


weights_of = st.lists(st.floats(0.05, 20), min_size=3, max_size=3).map(
    lambda numbers: dict(zip(VALUES, numbers, strict=True))
)
strengths_of = st.lists(st.floats(0, 1), min_size=3, max_size=3)


def cells_of(strengths: list[float]) -> list[WeakCell]:
    return [weak(v.replace("_", " "), s) for v, s in zip(VALUES, strengths, strict=True) if s > 0]


@settings(deadline=None, max_examples=60)
@given(weights_of, strengths_of, strengths_of)
def test_no_share_falls_below_the_floor_or_grows_beyond_the_cap(
    weights: dict[str, float], first: list[float], second: list[float]
) -> None:
    entry, patch = choice(weights), Patch()
    base = shares({}, entry)
    for strengths in (first, second, first):
        before = shares(patch, entry)
        patch = profile_patch([entry], {}, patch, cells_of(strengths), [])
        after = shares(patch, entry)
        for value in VALUES:
            assert after[value] >= LIMITS.floor * base[value] - 1e-5
            assert after[value] <= max(LIMITS.cap, 1 / LIMITS.floor) * before[value] + 1e-5


@settings(deadline=None, max_examples=60)
@given(weights_of, strengths_of, st.floats(0, 0.5))
def test_share_is_monotone_in_weakness(
    weights: dict[str, float], strengths: list[float], more: float
) -> None:
    entry = choice(weights)
    after = [
        shares(profile_patch([entry], {}, {}, cells_of([strengths[0] + extra, *strengths[1:]]), []), entry)
        for extra in (0.0, more)
    ]
    assert after[1]["hand"] >= after[0]["hand"] - 1e-5


@settings(deadline=None, max_examples=20)
@given(weights_of, strengths_of)
def test_nothing_changes_if_nothing_is_weak(weights: dict[str, float], strengths: list[float]) -> None:
    entry = choice(weights)
    assert profile_patch([entry], TABLES, {}, [], []) == {}
    before = profile_patch([entry], TABLES, {}, cells_of(strengths), [])
    assert profile_patch([entry], TABLES, before, [], []) == before


def test_order_of_the_cells_does_not_matter() -> None:
    entry, cells = choice({"hand": 7, "walkie": 1, "reach_in": 1}), cells_of([0.1, 0.3, 0.2])
    patches = [profile_patch([entry], {}, {}, list(order), []) for order in itertools.permutations(cells)]
    assert all(patch == patches[0] for patch in patches)


def test_weakness_of_another_class_or_factor_changes_nothing() -> None:
    entry = choice({"hand": 7, "walkie": 1})
    for cell in (weak("walkie", 0.3, class_name="pedestrian"), weak("walkie", 0.3, factor="paint")):
        assert profile_patch([entry], {}, {}, [cell], []) == {}


def test_value_that_the_profile_excludes_stays_excluded() -> None:
    entry = choice({"hand": 7, "walkie": 0})
    patch = profile_patch([entry], {}, {}, [weak("walkie", 0.5)], [])
    assert shares(patch, entry)["walkie"] == 0


def test_choice_of_the_scene_rises_for_the_weakness_of_any_class() -> None:
    entry = choice({"overhead": 1, "vehicle": 9}, "", "") | {"factors": ["mount"]}
    for side in ("recall", "precision"):
        cell = WeakCell("pedestrian", "mount", "overhead", side, 0.4, 0.25, "choose")
        assert shares(profile_patch([entry], {}, {}, [cell], []), entry)["overhead"] == pytest.approx(
            0.5 * 0.1 + 0.5 * 0.4 / 1.3, abs=1e-5
        )


def test_look_alikes_that_are_taken_for_trucks_become_more_frequent_within_a_limit() -> None:
    entry = choice({"counterbalance": 4, "reach_truck": 1}, "", "forklift")
    taken = [Mistaken("forklift", "", 9, 20, 0.2), Mistaken("forklift", "reach_truck", 8, 10, 0.3)]
    patch = Patch()
    for _ in range(4):
        patch = profile_patch([entry], TABLES, patch, [], taken)
    table = patch["scene"]["objects"]["forklift"]
    assert shares(patch, entry)["reach_truck"] > 0.4
    assert table["count"] == [0, 6]
    rare = {"forklift": {"kind": "forklift", "frames": 0.2, "count": [1, 1]}}
    assert profile_patch([], rare, {}, [], taken[:1])["scene"]["objects"]["forklift"] == {"frames": 0.6}


@pytest.fixture(scope="module")
def assets(tiny_people: Path) -> Assets:
    return load_assets(tiny_people)


@pytest.mark.parametrize("name", ["tiny", "default"])
def test_patched_profile_loads_and_keeps_all_other_settings(
    name: str, assets: Assets, tmp_path: Path
) -> None:
    """The patch sets every weighted choice; without it, the profile is as before."""
    path = tmp_path / "p.toml"
    path.write_text(TINY if name == "tiny" else (ROOT / "assets/profiles/default.toml").read_text())
    description = json.loads(canonical_json(describe_split(load_config(path, "train"), assets, 0)))
    cells = [
        weak(value.replace("_", " "), 0.2, entry["factors"][-1], entry["category"] or "pedestrian")
        for entry in description["weights"]
        for value in entry["values"]
        if not entry["kind"] or entry["category"]
    ]
    patch = profile_patch(description["weights"], description["tables"], {}, cells[::3], [])
    assert set(patch["scene"]["camera"]) == {"lenses", "mounts"}
    (tmp_path / "patched.toml").write_text(to_toml(merge_tables(load_profile(path), patch)))
    before, after = load_config(path, "train"), load_config(tmp_path / "patched.toml", "train")
    assert after.scene.camera.lenses.keys() == before.scene.camera.lenses.keys()
    for lens, config in after.scene.camera.lenses.items():
        assert config.fov == before.scene.camera.lenses[lens].fov
    assert after.scene.light.power == before.scene.light.power and after.render == before.render
    assert tomllib.loads(to_toml(patch)) == patch
