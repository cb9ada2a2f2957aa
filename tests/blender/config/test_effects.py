"""Every key has an effect: each key of [render] changes the image, each of default.toml's [scene] some scene.

Other tests check that the image shows everything in the scene description.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from blender.assets import load_assets
from blender.config.profile import Config, RenderConfig, load_config
from blender.contract import UserError, frame_paths, load_profile
from blender.rendering.frame import frame_scene
from tests.conftest import ROOT, run

DEFAULT = ROOT / "assets/profiles/default.toml"
FRAMES = 50
"""Frames of which at least one must differ; some kinds of object are rare."""
Key = tuple[str, ...]
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
"""Key of [render] to changes of the tiny profile, all of which must give different images."""


def write_changed(path: Path, base: Path, changes: dict[Key, Any]) -> Path:
    """Write a profile that extends ``base`` with some other values; return its path."""
    lines = [f"{'.'.join(map(json.dumps, key))} = {json.dumps(value)}" for key, value in changes.items()]
    path.write_text("\n".join([f"extends = {json.dumps(str(base))}", *lines]))
    return path


def test_every_key_of_render_is_covered() -> None:
    known = {field.name for field in fields(RenderConfig)}
    assert set(RENDER) == known - {"passes"}, "passes write other files: see test_passes.py"


@pytest.mark.slow
def test_every_key_of_render_changes_the_image(tiny_profile: Path, tiny_people: Path, tmp_path: Path) -> None:
    tables = {repr(table): table for variants in RENDER.values() for table in variants}
    profiles = []
    for number, table in enumerate(tables.values()):
        changes: dict[Key, Any] = {("render", key): value for key, value in table.items()}
        profiles.append(write_changed(tmp_path / f"{number}.toml", tiny_profile, changes))
    done = run("-m", "tests.helpers.render_each", tiny_people, tmp_path / "frames", *profiles)
    assert done.returncode == 0, done.stderr
    images = {
        name: frame_paths(tmp_path / "frames" / str(number), 0)[0].read_bytes()
        for number, name in enumerate(tables)
    }
    without_effect = [
        key
        for key, variants in RENDER.items()
        if len({images[repr(table)] for table in variants}) < len(variants)
    ]
    assert without_effect == []


def values(table: dict[str, Any], path: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Yield the key and the value of each entry of a nested table except strings; also each single weight."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from values(value, (*path, name))
        elif not isinstance(value, str):
            yield (*path, name), value


def alternatives(value: Any) -> Iterator[Any]:
    """Return other values for a key; some of them may be invalid."""
    if isinstance(value, list) and isinstance(value[0], str):
        yield from ([name] for name in value)
    elif isinstance(value, list):
        low, high = value
        yield from ([low + 1, high + 1], [low * 0.8, high * 0.8], [low, low], [high, high])
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (50 * (value + 1), 1.0 - value, value / 2, 0, 1.0)


def changed_config(key: Key, value: Any, folder: Path) -> Config | None:
    """Return the default profile with another value, or None if the value is not valid."""
    try:
        return load_config(write_changed(folder / "p.toml", DEFAULT, {key: value}), "train")
    except UserError:
        return None


@pytest.mark.slow
def test_every_key_of_a_scene_changes_some_scene(tiny_people: Path, tmp_path: Path) -> None:
    assets = load_assets(tiny_people)
    unchanged = load_config(DEFAULT, "train")
    scenes = [repr(frame_scene(unchanged, assets, frame)) for frame in range(FRAMES)]
    without_effect = []
    for key, value in values({"scene": load_profile(DEFAULT)["scene"]}):
        for other in alternatives(value):
            config = changed_config(key, other, tmp_path)
            if config and any(
                repr(frame_scene(config, assets, frame)) != scenes[frame] for frame in range(FRAMES)
            ):
                break
        else:
            without_effect.append(".".join(key))
    assert without_effect == []
