"""Frames in an object store: written completely or not at all, with the same bytes as in a local folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from blender.contract import UserError, frame_is_complete, read_manifest, split_folder, write_atomic
from tests.blender.test_render import tree_hash
from tests.conftest import render


@pytest.fixture(params=["memory://bucket/split", "file://{tmp_path}/split"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Return an empty folder in one of two file systems of fsspec."""
    yield split_folder(request.param.format(tmp_path=tmp_path))
    memory = fsspec.filesystem("memory")
    if memory.exists("/bucket"):
        memory.rm("/bucket", recursive=True)


def test_a_failed_write_keeps_the_old_file(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store / "frames" / "000000.json"
    write_atomic(path, b"old")
    assert path.read_bytes() == b"old"
    store_fs = path.fs  # type: ignore[attr-defined]
    real = store_fs.open

    def open_and_break(*arguments: Any, **options: Any) -> Any:
        stream = real(*arguments, **options)
        write = stream.write

        def write_half(data: bytes) -> int:
            write(data[: len(data) // 2])
            raise OSError(5, "the connection was lost")

        stream.write = write_half
        return stream

    with monkeypatch.context() as patch:
        patch.setattr(store_fs, "open", open_and_break)
        with pytest.raises(OSError, match="connection was lost"):
            write_atomic(path, b"new and longer")
    assert path.read_bytes() == b"old"
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in store.rglob("*.*")] == ["000000.json"]


@pytest.mark.slow
def test_rendering_into_a_store_resumes_and_equals_rendering_into_a_folder(
    tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    url, folder = f"file://{tmp_path}/train", tmp_path / "train"
    done = render(tiny_profile, tiny_people, url, "--frames", "0:2")
    assert done.returncode == 0, done.stderr
    assert list(read_manifest(split_folder(url)).frames) == ["000000", "000001"]
    image = folder / "images" / "000001.png"
    image.write_bytes(image.read_bytes()[:-20])
    assert not frame_is_complete(split_folder(url), 1, read_manifest(folder).fingerprint)
    done = render(tiny_profile, tiny_people, url)
    assert done.returncode == 0, done.stderr
    assert "3 of 4 images to do" in done.stderr
    assert tree_hash(folder) == tree_hash(tiny_split)
    done = render(tiny_profile, tiny_people, url)
    assert "up to date" in done.stdout


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="nosuch://bucket/x: "):
        split_folder("nosuch://bucket/x")
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(UserError, match=r"pip install 'transpalette\[cluster\]'"):
        split_folder("memory://bucket/x")
