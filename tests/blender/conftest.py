"""Fixtures of the renderer's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from blender.assets import Assets, load_assets
from blender.config.profile import Config, load_config
from tests.conftest import ROOT


@pytest.fixture(scope="session")
def assets(tiny_people: Path) -> Assets:
    """Return the assets of the tiny profile."""
    return load_assets(tiny_people)


@pytest.fixture(scope="session")
def default_config() -> Config:
    """Return the configuration of the training split of the default profile."""
    return load_config(ROOT / "assets/profiles/default.toml", "train")
