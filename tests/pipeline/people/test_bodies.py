"""The folder of anny's body model: no home folder, a home folder that cannot be written."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from blender.contract import UserError
from pipeline import doctor
from pipeline.people.bodies import cache_dir, load_body_model
from tests.conftest import run

NO_HOME = """
import os, pwd, runpy, sys
def unknown(_): raise KeyError("no passwd entry")
pwd.getpwuid = unknown  # as for `docker run --user 12345`
os.environ.pop("HOME", None)
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("command", [["pipeline.people"], ["pipeline", "people"]], ids=["setup", "people"])
def test_missing_home_folder_is_one_line(command: list[str], tiny_profile: Path, tmp_path: Path) -> None:
    arguments = ["--profile", tiny_profile, "--out", tmp_path / "people"] if len(command) == 2 else []
    done = run(
        "-c",
        NO_HOME,
        *command,
        *arguments,
        env={k: v for k, v in os.environ.items() if k != "ANNY_CACHE_DIR"},
    )
    assert done.returncode == 2
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert "anny keeps its body model" in line and "set HOME or ANNY_CACHE_DIR" in line
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "people").glob("*"))


def no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_anny_cache_dir_replaces_a_missing_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """anny itself asks for the home folder on import, so HOME is set for it."""
    homes = []
    anny = SimpleNamespace(Anny=lambda **_: homes.append(os.environ["HOME"]))
    monkeypatch.setitem(sys.modules, "anny", anny)
    monkeypatch.setattr("pipeline.people.bodies._regions", lambda _: None)
    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.setenv("HOME", "")
    monkeypatch.delenv("HOME")
    monkeypatch.setenv("ANNY_CACHE_DIR", str(tmp_path))
    assert cache_dir() == tmp_path
    load_body_model.__wrapped__()
    assert homes == [str(tmp_path)]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_folder_that_cannot_be_written_is_named(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise OSError(number, os.strerror(number), str(tmp_path / "x.safetensors"))

    monkeypatch.setitem(sys.modules, "anny", SimpleNamespace(Anny=fail))
    monkeypatch.setenv("ANNY_CACHE_DIR", str(tmp_path))
    with pytest.raises(UserError) as caught:
        load_body_model.__wrapped__()
    assert str(caught.value).startswith(f"{tmp_path}: anny cannot keep its body model there (")
    assert os.strerror(number) in str(caught.value) and "set HOME or ANNY_CACHE_DIR" in str(caught.value)


def test_doctor_reports_a_missing_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANNY_CACHE_DIR", raising=False)
    assert doctor._body_model().passed is None
    monkeypatch.setattr(Path, "home", no_home)
    check = doctor._body_model()
    assert check.passed is False and "set HOME or ANNY_CACHE_DIR" in check.value
