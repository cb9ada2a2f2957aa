"""No setting is dead: each of [render] changes the picture, each of the default profile's [scene] a scene.

A scene is the description that Blender's half builds from: that it heeds all of it is for other tests.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from blender.assets import load_assets
from blender.config.run import Config, RenderConfig, load_config
from blender.contract import UserError, frame_paths
from blender.rendering.frame import frame_scene
from pipeline.bench.study.profiles import merge_tables, to_toml
from tests.conftest import ROOT, TINY, run

FRAMES = 50
"""Frames of which one must differ; some things are rare."""
Setting = tuple[str, ...]
"""The names that lead to a value of a profile."""


RENDER: dict[str, list[dict[str, Any]]] = {
    "width": [{}, {"width": 104}],
    "height": [{}, {"height": 80}],
    "samples": [{}, {"samples": 2}],
    "noise_threshold": [{"samples": 64}, {"samples": 64, "noise_threshold": 0.5}],
    "denoise": [{}, {"denoise": False}],
    "denoise_quality": [{}, {"denoise_quality": "high"}],
    "bounces": [{"bounces": 0}, {}, {"bounces": 2}, {"bounces": 3}],
}
"""Setting of [render] to tables of which no two may give the same picture; {}: as the tiny profile has it."""


def test_every_setting_of_render_changes_the_picture(tiny_people: Path, tmp_path: Path) -> None:
    known = {field.name for field in fields(RenderConfig)}
    assert set(RENDER) == known - {"passes"}, "passes write other files: see test_passes.py"
    tables = {repr(table): table for settings in RENDER.values() for table in settings}
    profiles = []
    for number, table in enumerate(tables.values()):
        profiles.append(tmp_path / f"{number}.toml")
        profiles[-1].write_text(to_toml(merge_tables(tomllib.loads(TINY), {"render": table})))
    done = run("-m", "tests.helpers.render_each", tiny_people, tmp_path / "frames", *profiles)
    assert done.returncode == 0, done.stderr
    pictures = {
        name: frame_paths(tmp_path / "frames" / str(number), 0)[0].read_bytes()
        for number, name in enumerate(tables)
    }
    dead = [
        name
        for name, settings in RENDER.items()
        if len({pictures[repr(table)] for table in settings}) < len(settings)
    ]
    assert dead == []


def leaves(table: dict[str, Any], path: Setting = ()) -> Iterator[tuple[Setting, Any]]:
    """Each value of a nested table, with the names that lead to it; a table of weights is several."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, name))
        elif not isinstance(value, str):
            yield (*path, name), value


def others(value: Any) -> Iterator[Any]:
    """Values to put in the place of one; not all need be allowed there."""
    if isinstance(value, list) and isinstance(value[0], str):
        yield from ([name] for name in value)
    elif isinstance(value, list):
        low, high = value
        yield from ([low + 1, high + 1], [low * 0.8, high * 0.8], [low, low], [high, high])
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (50 * (value + 1), 1.0 - value, value / 2, 0, 1.0)


def profile_with(setting: Setting, value: Any, folder: Path) -> Config:
    """The default profile with another value.

    Raises:
        UserError: it is not allowed there.
    """
    changes: Any = value
    for name in reversed(setting):
        changes = {name: changes}
    default = tomllib.loads((ROOT / "assets/profiles/default.toml").read_text())
    (folder / "p.toml").write_text(to_toml(merge_tables(default, changes)))
    return load_config(folder / "p.toml", "train")


@pytest.mark.slow
def test_every_setting_of_a_scene_changes_some_frame(tiny_people: Path, tmp_path: Path) -> None:
    assets = load_assets(tiny_people)
    default = tomllib.loads((ROOT / "assets/profiles/default.toml").read_text())
    usual = load_config(ROOT / "assets/profiles/default.toml", "train")
    scenes = [repr(frame_scene(usual, assets, frame)) for frame in range(FRAMES)]
    dead = []
    for setting, value in leaves({"scene": default["scene"]}):
        for other in others(value):
            try:
                config = profile_with(setting, other, tmp_path)
            except UserError:
                continue
            if any(repr(frame_scene(config, assets, frame)) != scenes[frame] for frame in range(FRAMES)):
                break
        else:
            dead.append(".".join(setting))
    assert dead == []
