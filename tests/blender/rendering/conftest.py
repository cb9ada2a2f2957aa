"""Fixtures for tests that render single objects with the tiny profile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from blender.assets import Assets, load_assets
from blender.config.profile import Config, load_config
from tests.helpers.painter import HEIGHT, WIDTH


@pytest.fixture(scope="module")
def people(tiny_people: Path) -> Assets:
    """Return the assets with the posed body meshes of the tiny profile."""
    return load_assets(tiny_people)


@pytest.fixture(scope="module")
def config(tiny_profile: Path) -> Config:
    """Return the tiny profile's configuration with the painter's image size."""
    tiny = load_config(tiny_profile, "train")
    return replace(tiny, render=replace(tiny.render, width=WIDTH, height=HEIGHT))


@pytest.fixture(scope="module")
def trucks(tiny_profile: Path) -> Any:
    """Return ranges that give plain hand pallet trucks."""
    return load_config(tiny_profile, "train").ranges["pallet_truck"]
