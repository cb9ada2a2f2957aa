"""Errors of temporary files name the folder and TMPDIR."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from blender.contract import TEMPORARY_PREFIX, UserError, explain_temporary_errors, temporary_root
from blender.contract import temporary as module


def test_tmpdir_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))  # tempfile would use another folder
    assert temporary_root() == tmp_path / "missing"
    monkeypatch.delenv("TMPDIR")
    assert temporary_root() == Path(tempfile.gettempdir())


def test_no_usable_folder_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(tempfile, "gettempdir", fail)
    with pytest.raises(UserError, match=r"No usable temporary directory .*; set TMPDIR"):
        temporary_root()


@pytest.mark.parametrize("error", [RuntimeError("Error: Success"), OSError(errno.ENOSPC, "No space left")])
def test_error_without_a_name_is_explained_if_the_folder_cannot_be_written(
    error: Exception, tmp_path: Path
) -> None:
    folder = tmp_path / "gone"
    with (
        pytest.raises(UserError, match=rf"{folder}: cannot write .*: No such file.*; set TMPDIR"),
        explain_temporary_errors(folder),
    ):
        raise error
    with pytest.raises(type(error)) as caught, explain_temporary_errors(tmp_path):
        raise error
    assert caught.value is error, "the folder is writable, so the error has another reason"


def test_full_folder_is_named_without_the_renderers_own_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / f"{TEMPORARY_PREFIX}abc" / f"{TEMPORARY_PREFIX}def"
    scratch.mkdir(parents=True)
    monkeypatch.setattr(module, "_write_error", lambda _: "No space left on device")
    with (
        pytest.raises(
            UserError, match=rf"^{tmp_path}: cannot write temporary files: No space left on device"
        ),
        explain_temporary_errors(scratch),
    ):
        raise OSError(errno.ENOSPC, "is the disk full?", str(scratch / "rgb.exr"))


def test_error_of_an_output_file_is_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_write_error", lambda _: "No space left on device")
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/out/images/000000.png")
    with pytest.raises(OSError, match="images") as caught, explain_temporary_errors(tmp_path):
        raise error
    assert caught.value is error
