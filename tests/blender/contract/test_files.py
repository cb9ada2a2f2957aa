"""Atomic writing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from blender.contract import open_atomic, remove_fragments, write_atomic
from tests.conftest import ROOT


def test_write_atomic_keeps_the_old_file_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["L" * 255, "漢" * 83 + ".json"])
def test_write_atomic_takes_the_longest_names_of_a_file_system(tmp_path: Path, name: str) -> None:
    write_atomic(tmp_path / name, b"data")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_names_of_temporary_files_do_not_grow_with_the_target(tmp_path: Path) -> None:
    lengths = set()
    for name in ("a", "b" * 200):
        with open_atomic(tmp_path / name):
            lengths |= {len(path.name) for path in tmp_path.iterdir() if path.suffix == ".tmp"}
    assert len(lengths) == 1


def test_temporary_files_of_two_targets_differ(tmp_path: Path) -> None:
    with open_atomic(tmp_path / "a") as first, open_atomic(tmp_path / "b") as second:
        first.write(b"1")
        second.write(b"2")
    assert (tmp_path / "a").read_bytes() == b"1" and (tmp_path / "b").read_bytes() == b"2"


def test_fragments_of_killed_processes_are_removed(tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from blender.contract import open_atomic
with open_atomic(Path(sys.argv[1])) as stream:
    os._exit(9)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "frame.png")], cwd=ROOT, check=False)
    (fragment,) = tmp_path.iterdir()
    assert fragment.suffix == ".tmp"
    remove_fragments(tmp_path)
    assert list(tmp_path.iterdir()) == []
