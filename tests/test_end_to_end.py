"""The whole line on a tiny profile, by the command a user types: `make all`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from blender.contract import read_manifest, write_atomic
from tests.conftest import ROOT, TINY, run

PREFIX = Path(sys.prefix)


def make(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run make in the repository, with the environment the tests run in."""
    # The tests themselves may run below a make, which would then announce each folder.
    command = ["make", "--no-print-directory", f"VENV={PREFIX}", "BASELINE=start", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def ready() -> None:
    """Every target sets the environment up first: one that make thinks stale would be wiped under the tests,
    and whatever shares it."""
    if make("--question", "setup").returncode != 0:
        pytest.skip("not in an environment that `make setup` made: make would set it up anew")


@pytest.fixture(scope="module")
def profile(ready: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile of two images a split, trained for one epoch."""
    path = tmp_path_factory.mktemp("whole") / "whole.toml"
    path.write_text(TINY.replace('name = "tiny"', 'name = "whole"').replace("val = 2", "val = 2\ntest = 2"))
    return path


@pytest.fixture(scope="module")
def done(profile: Path, tiny_people: Path) -> Path:
    """The run's folder, after `make all`."""
    folder = profile.parent / "run"
    shutil.copytree(tiny_people, folder / "people")
    first = make("all", f"PROFILE={profile}", f"RUN={folder}")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "mask AP" in first.stdout
    assert first.stdout.strip().splitlines()[-1].endswith("report.html")
    return folder


def times(folder: Path) -> dict[Path, int]:
    """When each file of a run was last written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_what_is_left_behind(done: Path) -> None:
    for name in ("model.safetensors", "last.safetensors", "metrics.jsonl", "report.html", "report.json"):
        assert (done / name).stat().st_size > 0
    for name in ("metrics.json", "predictions.json"):
        json.loads((done / "evaluation" / name).read_bytes())
    page = (done / "report.html").read_text()
    assert "http-equiv" not in page
    assert 'src="http' not in page and "<script src" not in page


def test_the_annotations_are_valid(done: Path) -> None:
    for split in ("train", "val", "test"):
        folder = done / split
        checked = run(
            "-m", "pipeline", "validate", folder / "annotations.json", "--images", folder / "images"
        )
        assert checked.returncode == 0, checked.stdout


def test_a_second_time_nothing_is_done(done: Path, profile: Path) -> None:
    before = times(done)
    again = make("all", f"PROFILE={profile}", f"RUN={done}")
    assert again.returncode == 0, again.stderr
    assert times(done) == before
    assert "mask AP" in again.stdout and "report.html" in again.stdout


def test_a_comment_changed_in_the_renderer_redoes_nothing(done: Path, profile: Path) -> None:
    before = times(done)
    source = ROOT / "blender" / "scene" / "layouts.py"
    original = source.read_bytes()
    try:
        write_atomic(source, original + b"\n# a comment\n")  # other tests may be reading it
        again = make("all", f"PROFILE={profile}", f"RUN={done}")
    finally:
        write_atomic(source, original)
    assert again.returncode == 0, again.stderr
    assert times(done) == before


@pytest.mark.slow
def test_a_changed_value_redoes_what_depends_on_it(done: Path, profile: Path) -> None:
    text = profile.read_text()
    before = times(done)
    profile.write_text(text.replace("batch_size = 2", "batch_size = 1"))
    again = make("all", f"PROFILE={profile}", f"RUN={done}")
    assert again.returncode == 0, again.stderr
    changed = {str(p.relative_to(done)) for p, t in times(done).items() if before.get(p) != t}
    assert {"model.safetensors", "evaluation/metrics.json", "report.html"} <= changed
    assert not [name for name in changed if name.startswith(("train/", "val/", "test/", "people/"))]

    before = times(done)
    profile.write_text(text.replace("negatives = 0.0", "negatives = 0.01"))
    again = make("coco", f"PROFILE={profile}", f"RUN={done}")
    assert again.returncode == 0, again.stderr
    changed = {str(p.relative_to(done)) for p, t in times(done).items() if before.get(p) != t}
    assert "train/frames/000000.json" in changed
    assert not [name for name in changed if name.startswith("people/")]
    assert read_manifest(done / "train").fingerprint


@pytest.mark.parametrize("name", ["people", "check"])
@pytest.mark.usefixtures("ready")
def test_a_mistyped_key_stops_before_any_work(tmp_path: Path, name: str) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(TINY.replace("epochs = 1", "epcohs = 1"))
    stopped = make(name, f"PROFILE={wrong}", f"RUN={tmp_path / 'run'}")
    assert stopped.returncode == 2
    assert "did you mean 'epochs'" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert not (tmp_path / "run").exists()


def test_without_a_fitting_python_one_line_says_what_to_install(tmp_path: Path) -> None:
    """A PATH that has make's tools but no Python."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sh", "bash", "awk", "touch", "echo"):
        where = shutil.which(tool)
        if where:
            (tools / tool).symlink_to(where)
    make_path = shutil.which("make")
    assert make_path
    stopped = subprocess.run(
        [make_path, "setup", f"VENV={tmp_path / 'venv'}", "SHELL=" + str(tools / "sh")],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**{k: v for k, v in os.environ.items() if k != "PYTHON"}, "PATH": str(tools)},
    )  # fmt: skip
    assert stopped.returncode == 2
    lines = [line for line in stopped.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and "Python 3.11 or 3.13" in lines[0]
    assert not (tmp_path / "venv").exists()
