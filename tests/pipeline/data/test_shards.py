"""Merge shards: the same bytes as a single run, or an error in one line."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from blender.contract import UserError, frame_paths, read_manifest, split_folder, write_atomic
from pipeline.data.shards import merge_shards
from tests.blender.test_render import tree_hash
from tests.conftest import render, run
from tests.helpers.synthetic import write_split


def test_merged_shards_equal_a_single_run(
    tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    shards = [tmp_path / f"shard{index}" for index in range(3)]
    for index, shard in enumerate(shards):
        done = render(tiny_profile, tiny_people, shard, "--shard", f"{index}/3")
        assert done.returncode == 0, done.stderr
    out = tmp_path / "merged"
    done = run("-m", "pipeline", "merge", *shards, "--out", out)
    assert done.returncode == 0, done.stderr
    assert tree_hash(out) == tree_hash(tiny_split)
    done = render(tiny_profile, tiny_people, out)
    assert "up to date" in done.stdout


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """Three shards of a split of 5 frames: 0 and 2, 1 and 3, 4."""
    single = tmp_path / "single"
    manifest = dataclasses.replace(write_split(single, frames=5), total=5)
    folders = []
    for index, frames in enumerate([(0, 2), (1, 3), (4,)]):
        folder = tmp_path / f"shard{index}"
        for frame in frames:
            for source, copy in zip(frame_paths(single, frame), frame_paths(folder, frame), strict=True):
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, copy)
        own = {f"{frame:06d}": manifest.frames[f"{frame:06d}"] for frame in frames}
        devices = {"devices": [f"GPU {index}"]}
        write_atomic(
            folder / "manifest.json", dataclasses.replace(manifest, frames=own, notes=devices).to_bytes()
        )
        folders.append(folder)
    write_atomic(single / "manifest.json", manifest.to_bytes())
    return folders


def merge(shards: list[Path], out: Path, partial: bool = False) -> None:
    merge_shards([str(shard) for shard in shards], str(out), partial)


def test_merged_manifest_lists_all_frames_and_devices(shards: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    merge(shards, out)
    merged, single = read_manifest(out), read_manifest(tmp_path / "single")
    assert merged.digest() == single.digest()
    assert merged.notes == {"devices": ["GPU 0", "GPU 1", "GPU 2"]}
    write_atomic(out / "manifest.json", single.to_bytes())
    assert tree_hash(out) == tree_hash(tmp_path / "single")


def test_killed_merge_continues(shards: list[Path], tmp_path: Path) -> None:
    out, again = tmp_path / "out", tmp_path / "again"
    merge(shards, out)
    shutil.copytree(out, again)
    (again / "manifest.json").unlink()
    frame_paths(again, 3)[2].unlink()
    frame_paths(again, 3)[0].write_bytes(b"half")
    unchanged = frame_paths(again, 0)[0].stat().st_mtime_ns
    merge(shards, again)
    assert tree_hash(again) == tree_hash(out)
    assert frame_paths(again, 0)[0].stat().st_mtime_ns == unchanged


def test_shards_may_be_urls(shards: list[Path], tmp_path: Path) -> None:
    merge(shards, tmp_path / "out")
    urls = [f"file://{shard}" for shard in shards]
    merge_shards(urls, f"file://{tmp_path}/url")
    assert tree_hash(tmp_path / "url") == tree_hash(tmp_path / "out")
    merge_shards(urls, "memory://merged/train")
    assert read_manifest(split_folder("memory://merged/train")) == read_manifest(tmp_path / "out")


def rewrite_manifest(folder: Path, **changes: object) -> None:
    manifest = dataclasses.replace(read_manifest(folder), **changes)  # type: ignore[arg-type]
    (folder / "manifest.json").write_bytes(manifest.to_bytes())


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


ERRORS = {
    "another fingerprint": (
        lambda s: rewrite_manifest(s[1], fingerprint="other"),
        "shard1: not a shard of the split",
    ),
    "another split": (lambda s: rewrite_manifest(s[2], split="val"), "its split is val"),
    "overlap": (lambda s: s.append(s[0]), "shard0: frame 000000 is also in"),
    "missing": (lambda s: s.pop(1), "2 of 5 frames are missing: 1, 3; render them"),
    "the last frame missing": (lambda s: s.pop(2), "1 of 5 frames are missing: 4;"),
    "no manifest": (lambda s: (s[1] / "manifest.json").unlink(), "no such manifest; render the split first"),
    "a damaged image": (
        lambda s: damage(frame_paths(s[1], 3)[0]),
        "images/000003.png: corrupt or altered since it was rendered",
    ),
    "a lost mask": (lambda s: frame_paths(s[0], 2)[1].unlink(), "masks/000002.png: missing"),
    "a strange name": (lambda s: rewrite_manifest(s[2], frames={"../x": "0"}), "'../x' is not a frame"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_one_line_and_leave_no_manifest(name: str, shards: list[Path], tmp_path: Path) -> None:
    change, message = ERRORS[name]
    change(shards)
    with pytest.raises(UserError) as caught:
        merge(shards, tmp_path / "out")
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_partial_merge_allows_missing_frames(shards: list[Path], tmp_path: Path) -> None:
    merge(shards[:2], tmp_path / "out", partial=True)
    assert list(read_manifest(tmp_path / "out").frames) == ["000000", "000001", "000002", "000003"]


def test_output_folder_with_other_frames_is_refused(shards: list[Path], tmp_path: Path) -> None:
    write_split(tmp_path / "out", seed=9, frames=2)
    before = tree_hash(tmp_path / "out")
    with pytest.raises(UserError, match="contains another frame 000000"):
        merge(shards, tmp_path / "out")
    assert tree_hash(tmp_path / "out") == before
