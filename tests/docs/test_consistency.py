"""The pages agree with the code, and the consistency checks detect errors."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def consistency() -> ModuleType:
    """Import the documentation's checks, which ``make lint`` runs through Sphinx."""
    pytest.importorskip("sphinx", reason="the extra 'docs' is not installed")
    sys.path.insert(0, str(ROOT / "docs" / "extensions"))
    try:
        return importlib.import_module("consistency")
    finally:
        sys.path.pop(0)


def test_pages_name_existing_paths_and_describe_every_command(consistency: ModuleType) -> None:
    assert consistency.problems() == []


def test_missing_path_and_module_are_reported(consistency: ModuleType) -> None:
    text = "`pipeline/training/` `pipeline/nowhere.py` `blender.contract.UserError` `blender.contract.No`"
    assert consistency.missing_paths(text) == ["blender.contract.No", "pipeline/nowhere.py"]


def test_broken_links_are_reported(consistency: ModuleType) -> None:
    text = "[a](LICENSE) [b](NOTHING.md) [c](docs/index.md#nowhere) [d](https://example.org)"
    assert consistency.broken_links("README.md", text) == ["NOTHING.md", "docs/index.md#nowhere"]


def test_unknown_and_undescribed_commands_are_reported(consistency: ModuleType) -> None:
    problems = consistency.command_problems("make help, transpalette train, `transpalette nothing`")
    assert "transpalette nothing is no command" in problems
    assert "transpalette evaluate is described on no page" in problems
    assert "make lint is described on no page" in problems
    assert not [p for p in problems if p.startswith(("transpalette train ", "make help "))]
