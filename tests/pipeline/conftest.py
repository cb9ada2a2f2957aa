"""Fixtures that tests of several packages of the pipeline share."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.inference import segmenter
from pipeline.models import pretrained
from tests.helpers.synthetic import CATEGORIES, write_tiny_model


@pytest.fixture
def warehouse_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny detector of four classes in place of the one that comes with Transpalette."""
    path = tmp_path / "shipped" / "warehouse.safetensors"
    path.parent.mkdir()
    write_tiny_model(path, (*CATEGORIES, "forklift", "cage"))
    for module in (pretrained, segmenter):
        monkeypatch.setattr(module, "warehouse_path", lambda: path)
    return path
