"""The Makefile: paths with spaces, two profiles of one name, and when the environment is set up again."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import main
from tests.conftest import ROOT, TINY

FAKE_PYTHON = """#!/bin/sh
if [ "$2" = venv ]; then mkdir -p "$4/bin"; cp "$0" "$4/bin/python"; fi
{ printf '[%s]' "$@"; echo; } >> "$CALLS"
"""
"""Appends its arguments, each in brackets, to the file $CALLS; ``-m venv`` copies it."""


class FakeMake:
    """Runs make with a Python that only notes its arguments."""

    def __init__(self, folder: Path) -> None:
        """Copy the Makefile and the files that decide when the environment is set up."""
        self.folder, self.calls = folder, folder / "calls"
        for name in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, folder / name)
        self.python = folder / "python"
        self.python.write_text(FAKE_PYTHON)
        self.python.chmod(0o755)

    def __call__(self, *arguments: str) -> list[str]:
        """Run make and return the calls of Python; check that make succeeds without a warning."""
        self.calls.write_text("")
        variables = {"CALLS": str(self.calls), "PYTHON": str(self.python)}
        command = ["make", "--no-print-directory", *arguments]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")} | variables
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, check=False, env=environment
        )
        assert done.returncode == 0 and done.stderr == "", done.stderr
        return self.calls.read_text().splitlines()


@pytest.fixture
def make(tmp_path: Path) -> FakeMake:
    folder = tmp_path / "the clone"
    folder.mkdir()
    return FakeMake(folder)


@pytest.mark.parametrize(
    ("profile", "run"),
    [
        ("smoke", "smoke"),
        ("smoke.toml", "smoke"),
        ("sub dir/my halls.toml", "my halls"),
        ("o'brien.toml", "o'brien"),
        ("$5 a day.toml", "$5 a day"),
        ("/data/a/run.toml", "run"),
    ],
)
def test_every_stage_gets_the_profile_and_the_runs_folder_as_one_argument(
    profile: str, run: str, make: FakeMake
) -> None:
    make("setup")
    calls = make("all", f"PROFILE={profile}")
    assert [call.split("]")[2].lstrip("[") for call in calls] == [
        "check", "people", "render", "render", "render", "coco", "coco", "coco",
        "train", "evaluate", "report",
    ]  # fmt: skip
    assert all(f"[--profile][{profile}]" in call and f"[build/{run}" in call for call in calls)
    assert f"[--split][train][--split][val][--split][test][--run][build/{run}]" in calls[0]
    assert f"[--train][build/{run}/train][--val][build/{run}/val][--out][build/{run}]" in calls[8]
    assert f"[--people][build/{run}/people]" in make("bench", f"PROFILE={profile}")[-1]
    assert "[--out][my run/people]" in make("people", f"PROFILE={profile}", "RUN=my run")[1]


def test_other_splits_of_the_profile_are_rendered_and_evaluated(make: FakeMake, tmp_path: Path) -> None:
    make("setup")
    (make.folder / "my run").mkdir()
    (make.folder / "my run" / ".other-splits").write_text("ordinary\nnight\n")
    calls = make("all", "RUN=my run", "SETS=--set site=a.json:b")
    rendered = [call.partition("[--split][")[2].partition("]")[0] for call in calls if "[render]" in call]
    assert rendered == ["train", "val", "test", "ordinary", "night"]
    sets = "".join(f"[--set][{s}=my run/{s}/annotations.json:my run/{s}/images]" for s in rendered[3:])
    assert f"{sets}[--set][site=a.json:b]" in next(call for call in calls if "[evaluate]" in call)
    assert any("[train]" in call and "[--threshold-set][my run/ordinary]" in call for call in calls)
    profile = tmp_path / "tiny.toml"
    for text, expected in ((TINY, None), (TINY.replace("[splits]", "[splits]\nordinary = 2"), "ordinary\n")):
        profile.write_text(text)
        splits = ["--split", "train", "--split", "val"]
        run = tmp_path / "run"
        done = CliRunner().invoke(main, ["check", "--profile", str(profile), *splits, "--run", str(run)])
        assert done.exit_code == 0, done.output
        note = run / ".other-splits"
        assert (note.read_text() if note.exists() else None) == expected


def test_folders_of_negatives_are_passed_to_training(make: FakeMake) -> None:
    make("setup")
    calls = make("train", "NEGATIVES=photos/a photos/b")
    assert calls[-1].endswith("[--out][build/default][--negatives][photos/a][--negatives][photos/b]")


def test_improve_gets_the_options_of_the_variable(make: FakeMake) -> None:
    make("setup")
    calls = make("improve", "IMPROVE=--rounds 5 --budget 2h", "NEGATIVES=photos/a", "RUN=build/my run")
    expected = "[improve][build/my run][--profile][default][--workers][0][--negatives][photos/a][--rounds][5]"
    assert calls[-1].endswith(f"{expected}[--budget][2h]")


def test_a_study_may_be_a_path_with_spaces(make: FakeMake) -> None:
    make("setup")
    (make.folder / "my study.toml").touch()
    assert "[my study.toml][--out][build/studies/my study]" in make("study", "STUDY=my study.toml")[0]
    assert "[ablation][--out][build/studies/ablation]" in make("study")[0]


def test_the_environment_is_set_up_again_when_a_version_changes_not_when_a_time_does(make: FakeMake) -> None:
    assert any("[-m][pip][install]" in call for call in make("setup"))
    assert make("setup") == []
    for days in (2, -2000):
        for name in ("Makefile", "pyproject.toml", "constraints.txt", ".venv/.ready"):
            os.utime(make.folder / name, (time.time() + 86400 * days,) * 2)
        assert make("setup") == []
    for name in ("constraints.txt", "pyproject.toml"):
        with (make.folder / name).open("a") as file:
            file.write("# changed\n")
        assert any("[-m][pip][install]" in call for call in make("setup"))
        assert make("setup") == []
    (make.folder / ".venv" / ".ready").write_text("")  # as older versions left it
    assert any("[-m][venv][--clear]" in call for call in make("setup"))


# ------------------------------------------------------------------------------ two profiles of one name


def check(profile: Path, run: Path) -> str:
    """Run ``transpalette check`` as make does; return its messages, without those of success."""
    result = CliRunner().invoke(main, ["check", "--profile", str(profile), "--run", str(run)])
    assert result.exit_code == (2 if result.output else 0)
    return result.output


def test_a_run_is_not_replaced_by_that_of_another_profile_of_the_same_name(tmp_path: Path) -> None:
    run = tmp_path / "build" / "run"
    first, second = (tmp_path / folder / "run.toml" for folder in "ab")
    for profile in (first, second):
        profile.parent.mkdir()
        profile.write_text(TINY)
    assert check(first, run) == check(second, run) == ""  # there are no results yet
    assert check(first, run) == ""
    (run / "train").mkdir()
    error = check(second, run)
    assert error.startswith(f"error: {run}: has the results of ") and error.count("\n") == 1
    assert "a/run.toml" in error and f"RUN={run}-2" in error
    assert check(first, run) == check(second, tmp_path / "build" / "run-2") == ""


def test_a_profile_keeps_its_run_when_it_is_moved(tmp_path: Path) -> None:
    profile, run = tmp_path / "run.toml", tmp_path / "build" / "run"
    profile.write_text(TINY)
    assert check(profile, run) == ""
    (run / "train").mkdir()
    moved = profile.rename(tmp_path / "moved.toml")
    assert check(moved, run) == ""
    profile.write_text(TINY)
    assert "has the results of" in check(profile, run)
    shutil.move(tmp_path, whole := tmp_path.with_name(f"{tmp_path.name}-moved"))
    assert check(whole / "moved.toml", whole / "build" / "run") == ""
    shutil.rmtree(whole)


def test_a_wrong_profile_claims_no_folder(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(TINY.replace("seed = 0", "seed = -1"))
    assert "seed must be" in check(tmp_path / "run.toml", tmp_path / "run")
    assert not (tmp_path / "run").exists()
