"""The wheel and the source distribution, each used alone, outside this folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

PROFILE = """
extends = "smoke"
name = "mine"
[splits]
train = 3
val = 1
test = 1
[train]
epochs = 1
"""
"""A user's profile outside this folder; it names a shipped profile without a path."""


def run_python(*arguments: object, **options: Any) -> None:
    """Run Python with these arguments; it must succeed."""
    subprocess.run([sys.executable, *map(str, arguments)], check=True, **options)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this folder."""
    out = tmp_path_factory.mktemp("wheel")
    run_python("-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", out, ROOT)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel; its other packages are those of the tests' environment."""
    folder = tmp_path_factory.mktemp("environment")
    run_python("-m", "venv", folder)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run([str(part) for part in pip], check=True)
    packages = next(folder.glob("lib/*/site-packages"))
    # Files of editable installations in that folder are not read, so this folder's packages stay out.
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    return folder


def test_wheel_has_profiles_studies_and_templates(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("profiles", "studies"):
        files = {path.name for path in (ROOT / "assets" / folder).glob("*.toml")}
        assert files and {f"blender/shipped/{folder}/{name}" for name in files} <= names
    assert {f"blender/shipped/demo/{name}" for name in ("aisle.jpg", "hall.jpg", "walkie.jpg")} <= names
    assert {"pipeline/reporting/templates/report.html.j2", "pipeline/serving/page.css"} <= names
    page = (
        "page.html.j2",
        "style.css",
        "page.js",
        "worker.js",
        "mask_pasting.js",
        "onnxruntime-web-LICENSE.txt",
    )
    assert {f"pipeline/export/html/{name}" for name in page} <= names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"blender", "pipeline", "transpalette"}


def test_wheel_runs_all_stages_outside_the_repository(environment: Path, tmp_path: Path) -> None:
    """From people to predictions, in a folder with files that could hide the packages."""
    (tmp_path / "pipeline.py").write_text("raise SystemExit('the wrong module')")
    (tmp_path / "blender").mkdir()
    (tmp_path / "blender" / "__init__.py").write_text("raise SystemExit('the wrong module')")
    (tmp_path / "mine.toml").write_text(PROFILE)

    def transpalette(*words: str) -> None:
        command = [str(environment / "bin" / "transpalette"), *words]
        variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stdout[-1000:]}{done.stderr[-1000:]}"

    transpalette("check", "--profile", "smoke")
    transpalette("check", "--profile", "mine.toml")
    profile = ("--profile", "mine.toml")
    transpalette("people", *profile, "--out", "people")
    for split in ("train", "val", "test"):
        transpalette("render", *profile, "--split", split, "--people", "people", "--out", split)
        transpalette("coco", *profile, split)
    transpalette("train", *profile, "--train", "train", "--val", "val", "--out", "run")
    truth = ("--annotations", "test/annotations.json", "--images", "test/images")
    transpalette("evaluate", "run/model.safetensors", *truth, "--out", "evaluation")
    transpalette("predict", "run/model.safetensors", "test/images", "--out", "predictions")
    assert (tmp_path / "predictions" / "predictions.json").is_file()
    assert (tmp_path / "evaluation" / "metrics.json").is_file()


def test_tests_of_the_source_distribution_are_collected(tmp_path: Path) -> None:
    run_python("-m", "pip", "install", "--quiet", "--target", tmp_path / "hatch", "hatchling")
    variables = {**os.environ, "PYTHONPATH": str(tmp_path / "hatch")}
    run_python("-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path, cwd=ROOT, env=variables)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.glob("transpalette-*/")
    variables = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q"],
        cwd=folder, env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert (folder / "Makefile").is_file() and not list(folder.glob("build"))
