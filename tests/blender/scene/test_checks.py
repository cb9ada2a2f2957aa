"""Warnings about objects that never find a place."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender.assets import Assets
from blender.config.profile import Config, load_config
from blender.rendering.frame import frame_scene
from blender.scene.checks import Placements, placement_warnings, scene_warnings
from tests.conftest import ROOT
from tests.helpers.assets import NO_ASSETS


def config_with(**changes: object) -> Config:
    """Return the smoke profile with a class of guards alone, whose table has these values."""
    config = load_config(ROOT / "assets/profiles/smoke.toml")
    table = replace(config.scene.objects["guards"], category="guard", **changes)  # type: ignore[arg-type]
    return replace(config, scene=replace(config.scene, objects={"guards": table}))


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({"distance": (100.0, 200.0), "count": (2, 2)}, True),
        ({"distance": (1.5, 1.7), "count": (40, 40)}, True),
        ({"distance": (1.5, 6.0), "count": (1, 1)}, False),
        ({"distance": (100.0, 200.0), "count": (0, 0)}, False),
    ],
)
def test_table_that_fails_more_often_than_it_succeeds_is_named(
    changes: dict[str, object], failed: bool
) -> None:
    config, placements = config_with(**changes), Placements()
    placed = 0
    for frame in range(3):
        spec = frame_scene(config, NO_ASSETS, frame, placements)
        placed += sum(item.category == "guard" for item in spec.objects)
    wanted = 3 * config.scene.objects["guards"].count[0]
    assert placements["guards"] == (wanted, placed)
    lines = placement_warnings(placements, 3)
    assert bool(lines) == failed
    if failed:
        assert f"[scene.objects.guards]: no place was found for {wanted - placed} of {wanted}" in lines[0]


def test_distance_beyond_the_longest_hall_is_named() -> None:
    (line,) = scene_warnings(config_with(distance=(100.0, 200.0)), NO_ASSETS)
    assert "[scene.objects.guards] distance = [100, 200] begins beyond the longest hall (18 m)" in line
    assert scene_warnings(config_with(distance=(100.0, 200.0), count=(0, 0)), NO_ASSETS) == []


@given(st.dictionaries(st.sampled_from("abcd"), st.tuples(st.integers(0, 50), st.integers(0, 50))))
@settings(max_examples=50, deadline=None)
def test_warned_exactly_when_failures_outnumber_successes(counts: dict[str, tuple[int, int]]) -> None:
    placements = {key: (failed + placed, placed) for key, (failed, placed) in counts.items()}
    lines = placement_warnings(placements, 1)
    assert len(lines) == sum(failed > placed for failed, placed in counts.values())


def test_default_profile_gives_no_warning(default_config: Config, assets: Assets) -> None:
    placements = Placements()
    for frame in range(5):
        frame_scene(default_config, assets, frame, placements)
    assert placement_warnings(placements, 5) == [] == scene_warnings(default_config, assets)
