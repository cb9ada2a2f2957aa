"""All stages with a tiny profile, run by the user's command: `make all`."""

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
    """Run make in the repository with the virtual environment of the tests."""
    # If make runs the tests, a nested make would print the folders that it enters.
    command = ["make", "--no-print-directory", f"VENV={PREFIX}", "BASELINE=start", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def ready() -> None:
    """Skip the tests if make would set up the virtual environment again, which would delete it meanwhile."""
    if make("--question", "setup").returncode != 0:
        pytest.skip("this virtual environment is outdated or not from `make setup`; make would replace it")


@pytest.fixture(scope="module")
def profile(ready: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a small profile with three splits and one epoch; return its path."""
    path = tmp_path_factory.mktemp("complete") / "complete.toml"
    path.write_text(TINY.replace('name = "tiny"', 'name = "run"').replace("val = 2", "val = 2\ntest = 2"))
    return path


@pytest.fixture(scope="module")
def done(profile: Path, tiny_people: Path) -> Path:
    """Run `make all`; return the run's folder."""
    folder = profile.parent / "run"
    shutil.copytree(tiny_people, folder / "people")
    first = make("all", f"PROFILE={profile}", f"RUN={folder}")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "mask AP" in first.stdout
    assert first.stdout.strip().splitlines()[-1].endswith("report.html")
    return folder


def times(folder: Path) -> dict[Path, int]:
    """Return the modification time of each file of a run."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_run_writes_all_outputs(done: Path) -> None:
    for name in ("model.safetensors", "last.safetensors", "metrics.jsonl", "report.html", "report.json"):
        assert (done / name).stat().st_size > 0
    for name in ("metrics.json", "predictions.json"):
        json.loads((done / "evaluation" / name).read_bytes())
    page = (done / "report.html").read_text()
    assert "http-equiv" not in page
    assert 'src="http' not in page and "<script src" not in page


def test_annotations_of_all_splits_are_valid(done: Path) -> None:
    for split in ("train", "val", "test"):
        folder = done / split
        checked = run(
            "-m", "pipeline", "validate", folder / "annotations.json", "--images", folder / "images"
        )
        assert checked.returncode == 0, checked.stdout


def test_repeated_run_writes_no_file(done: Path, profile: Path) -> None:
    before = times(done)
    again = make("all", f"PROFILE={profile}", f"RUN={done}")
    assert again.returncode == 0, again.stderr
    assert times(done) == before
    assert "mask AP" in again.stdout and "report.html" in again.stdout


def test_changed_comment_in_the_renderer_reruns_nothing(done: Path, profile: Path) -> None:
    before = times(done)
    source = ROOT / "blender" / "scene" / "layouts.py"
    original = source.read_bytes()
    try:
        write_atomic(source, original + b"\n# a comment\n")  # atomic: other tests may read the file
        again = make("all", f"PROFILE={profile}", f"RUN={done}")
    finally:
        write_atomic(source, original)
    assert again.returncode == 0, again.stderr
    assert times(done) == before


@pytest.mark.slow
def test_changed_value_reruns_the_dependent_stages(done: Path, profile: Path) -> None:
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
def test_mistyped_key_is_reported_before_any_work(tmp_path: Path, name: str) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(TINY.replace("epochs = 1", "epcohs = 1"))
    stopped = make(name, f"PROFILE={wrong}", f"RUN={tmp_path / 'run'}")
    assert stopped.returncode == 2
    assert "did you mean 'epochs'" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert not (tmp_path / "run").exists()


def test_missing_python_is_reported_with_the_supported_versions(tmp_path: Path) -> None:
    """The PATH contains the tools that make needs, but no Python."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sh", "bash", "awk", "cat", "cksum", "basename", "echo"):
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
