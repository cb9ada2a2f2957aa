"""The command line of the renderer, with real (tiny) renders in separate processes."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender.contract import read_manifest, read_record
from blender.render import _frame_list
from tests.conftest import ROOT, TINY, render, run


def tree_hash(folder: Path) -> str:
    """Hash the names and contents of all files in a folder."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def test_split_follows_the_contract(tiny_split: Path) -> None:
    manifest = read_manifest(tiny_split)
    assert list(manifest.frames) == ["000000", "000001", "000002", "000003"]
    assert manifest.categories == ("pedestrian", "pallet_truck")
    for name, digest in manifest.frames.items():
        path = tiny_split / "frames" / f"{name}.json"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
        image = Image.open(tiny_split / "images" / f"{name}.png")
        assert (image.mode, image.size) == ("RGB", (96, 72))
        assert np.ptp(np.asarray(image)) > 50


def test_masks_agree_with_the_frame_records(tiny_split: Path) -> None:
    visible = 0
    for path in sorted(tiny_split.glob("frames/*.json")):
        record = read_record(path)
        mask = np.asarray(Image.open(tiny_split / "masks" / f"{path.stem}.png")).astype(int)
        assert mask.shape == (72, 96)
        assert set(np.unique(mask)) - {0} <= {i.id for i in record.instances}
        assert [i.id for i in record.instances] == list(range(1, len(record.instances) + 1))
        for instance in record.instances:
            assert instance.visible_pixels == (mask == instance.id).sum()
            assert instance.visible_pixels <= instance.amodal_pixels <= mask.size
            if instance.amodal is not None:
                values = np.arange(len(instance.amodal.counts)) % 2 == 1
                amodal = np.repeat(values, instance.amodal.counts).reshape(96, 72).T
                assert amodal.sum() == instance.amodal_pixels and amodal[mask == instance.id].all()
            assert (instance.amodal is None) == (instance.amodal_pixels == 0)
            assert instance.distance > 0
            if instance.category == "pedestrian":
                assert len(instance.keypoints) == 17
            visible += instance.visible_pixels > 0
    assert visible >= 4


@pytest.mark.slow
def test_running_the_file_renders_the_same_bytes_as_the_module(
    tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    out = tmp_path / "train"
    done = run(
        "blender/render.py",
        "--",
        "--profile",
        tiny_profile,
        "--split",
        "train",
        "--people",
        tiny_people,
        "--out",
        out,
    )
    assert done.returncode == 0, done.stderr
    assert tree_hash(out) == tree_hash(tiny_split)


def test_order_shards_workers_threads_and_hash_seed_do_not_change_the_bytes(
    tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "train"
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    steps: list[list[object]] = [
        ["--frames", "3:4", "--threads", 1],
        ["--shard", "1/2", "--threads", 2],
        ["--workers", 2],
    ]
    for more in steps:
        done = render(tiny_profile, tiny_people, out, *more)
        assert done.returncode == 0, done.stderr
    assert tree_hash(out) == tree_hash(tiny_split)


def test_killed_render_is_resumed_with_the_same_bytes(
    tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    out = tmp_path / "train"
    command = [
        sys.executable, "-m", "blender.render", "--profile", tiny_profile, "--split", "train",
        "--people", tiny_people, "--out", out, "--workers", "1",
    ]  # fmt: skip
    process = subprocess.Popen(list(map(str, command)), cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(out.glob("images/*.png")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert list(out.glob("images/*.png")), "the process was killed before it wrote an image"
    done = render(tiny_profile, tiny_people, out, "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert tree_hash(out) == tree_hash(tiny_split)


def test_second_run_renders_only_damaged_frames(
    tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    out = tmp_path / "train"
    shutil.copytree(tiny_split, out)
    times = {p: p.stat().st_mtime_ns for p in out.rglob("*.*")}
    done = render(tiny_profile, tiny_people, out)
    assert "up to date" in done.stdout
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.*")} == times
    image = out / "images" / "000001.png"
    image.write_bytes(image.read_bytes()[:-20])
    (out / "masks" / "000002.png").unlink()
    done = render(tiny_profile, tiny_people, out)
    assert done.returncode == 0, done.stderr
    assert tree_hash(out) == tree_hash(tiny_split)


def test_frames_with_other_settings_are_refused_without_update(
    tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    out, other = tmp_path / "train", tmp_path / "other.toml"
    shutil.copytree(tiny_split, out)
    other.write_text(TINY.replace("samples = 1", "samples = 2").replace("train = 4", "train = 2"))
    before = tree_hash(out)
    done = render(other, tiny_people, out)
    assert done.returncode == 2
    assert "--update" in done.stderr
    assert tree_hash(out) == before
    done = render(other, tiny_people, out, "--update")
    assert done.returncode == 0, done.stderr
    manifest = read_manifest(out)
    assert list(manifest.frames) == ["000000", "000001"]
    assert len(list(out.glob("frames/*.json"))) == 2


def test_changed_training_value_does_not_render_again(
    tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    out, other = tmp_path / "train", tmp_path / "other.toml"
    shutil.copytree(tiny_split, out)
    other.write_text(TINY.replace("epochs = 1", "epochs = 2"))
    done = render(other, tiny_people, out)
    assert "up to date" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "trian"], "no split 'trian'"),
        (["--people", "/nonexistent"], "bake the body meshes first"),
        (["--frames", "a:b"], "expected A:B"),
        (["--frames", "1,7"], "no frame 7"),
        (["--shard", "2/2"], "0 <= i < n"),
    ],
)
def test_user_error_is_one_line_and_status_2(
    tiny_profile: Path, tiny_people: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    out = tmp_path / "train"
    done = render(tiny_profile, tiny_people, out, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(out.rglob("*.png"))


@pytest.mark.parametrize(
    ("text", "frames"),
    [(":", [0, 1, 2, 3, 4, 5]), ("2:4", [2, 3]), ("-2:", [4, 5]), ("3", [3]), ("5,0,2:4,0", [0, 2, 3, 5])],
)
def test_frames_are_a_range_or_a_list(text: str, frames: list[int]) -> None:
    assert _frame_list(text, 6) == frames


def test_save_blend_writes_the_scene(tiny_profile: Path, tiny_people: Path, tmp_path: Path) -> None:
    blend = tmp_path / "scene.blend"
    done = render(tiny_profile, tiny_people, tmp_path, "--save-blend", blend, "--frame", 1)
    assert done.returncode == 0, done.stderr
    assert blend.stat().st_size > 100_000


def test_body_meshes_are_created_once(tiny_profile: Path, tiny_people: Path) -> None:
    manifest = json.loads((tiny_people / "manifest.json").read_bytes())
    assert {p["pose"] for p in manifest["people"]} == {
        "standing",
        "pushing",
        "pulling",
        "carrying",
        "scanning",
        "sitting",
    }
    for person in manifest["people"]:
        assert 1.4 < person["height"] < 2.1
        body = np.load(tiny_people / person["file"])
        assert body["vertices"].shape == body["rest"].shape == (13718, 3)
        assert abs(body["vertices"][:, 2].min()) < 1e-4
        assert body["faces"].max() < len(body["vertices"])
        assert len(body["regions"]) == len(body["faces"])
        assert body["keypoints"].shape == (17, 3)
    done = run("-m", "pipeline", "people", "--profile", tiny_profile, "--out", tiny_people)
    assert "up to date" in done.stdout


@pytest.mark.slow
def test_quiet_prints_nothing_and_renders_the_same_bytes(
    tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    out = tmp_path / "train"
    done = render(tiny_profile, tiny_people, out, "--workers", 2, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert tree_hash(out) == tree_hash(tiny_split)
