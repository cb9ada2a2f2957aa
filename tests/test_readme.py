"""The README: it is short, and its commands and its Python example run."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from pipeline.cli import main
from tests.conftest import ROOT
from tests.helpers.shapes import write_split
from tests.helpers.synthetic import write_tiny_model

README = (ROOT / "README.md").read_text()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create the files that the README's examples name; make their folder the current folder."""
    split = tmp_path / "split"
    write_split(split, 2, empty=0)
    shutil.copytree(split / "images", tmp_path / "photos")
    shutil.copytree(split / "images", tmp_path / "folder")
    shutil.copy(split / "annotations.json", tmp_path / "instances.json")
    Image.open(split / "images" / "000000.png").save(tmp_path / "photo.jpg")
    model = tmp_path / "build" / "default" / "model.safetensors"
    model.parent.mkdir(parents=True)
    write_tiny_model(model)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_readme_has_at_most_900_words() -> None:
    assert len(README.split()) <= 900


def test_readme_commands_run(project: Path) -> None:
    lines = re.findall(r"^\.venv/bin/transpalette (.*)$", README, re.M)
    assert [line.split()[0] for line in lines] == ["predict", "evaluate", "validate"]
    for line in lines:
        result = CliRunner().invoke(main, shlex.split(line), catch_exceptions=False)
        assert result.exit_code == 0, result.output
    assert (project / "predictions" / "predictions.json").is_file()


def test_readme_python_example_runs(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```py\n(.*?)```", README, re.S)
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("[")
