"""Fixtures for the tests of validation."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.pipeline.data.validation.cases import HEIGHT, WIDTH


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images" / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/b.png"):
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "images" / name)
    return tmp_path / "images"
