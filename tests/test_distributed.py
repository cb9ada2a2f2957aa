"""Training in several processes: the same steps as in one, and no process left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from shapes import CLASSES, write_split

from pipeline.checkpoint import load_checkpoint
from pipeline.distributed import processes_for

ROOT = Path(__file__).parents[1]
PROFILE = f"""
name = "test"
seed = 0
classes = {json.dumps(CLASSES)}
splits = {{ train = 5, val = 3 }}
model = {{ weights = "embedded", min_size = 96, max_size = 96, detections_per_img = 8 }}
[train]
epochs = 2
box_batch_size_per_image = 32
precision = "fp32"
ema = 0.5
cache_features = 1
copy_paste = 0.5
patience = 1
trainable = ["heads"]
unfreeze = {{ fpn = 2 }}
"""
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five training images: the last batch has one, so that a process goes without."""
    folder = tmp_path_factory.mktemp("splits")
    write_split(folder / "train", 5, seed=1)
    write_split(folder / "val", 3, seed=2)
    return folder


def command(splits: Path, out: Path, processes: int) -> list[str]:
    """What ``transpalette train`` is called with, the profile written to a file."""
    profile = out.with_suffix(".toml")
    profile.write_text(f"{PROFILE}processes = {processes}\n")
    folders = ["--train", str(splits / "train"), "--val", str(splits / "val"), "--out", str(out)]
    return ["-m", "pipeline", "train", "--profile", str(profile), *folders]


@pytest.fixture(scope="module")
def alone(splits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone") / "run"
    subprocess.run([sys.executable, *command(splits, out, 1)], cwd=ROOT, env=ONE_THREAD, check=True)
    return out


@pytest.mark.parametrize("launcher", ["own", pytest.param("torchrun", marks=pytest.mark.slow)])
def test_two_processes_take_the_steps_of_one(
    launcher: str, alone: Path, splits: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = command(splits, out, 2)
    subprocess.run(
        [sys.executable, *(start if launcher == "torchrun" else []), *arguments],
        cwd=ROOT,
        env=ONE_THREAD,
        check=True,
    )
    one, two = load_checkpoint(alone / "last.pt"), load_checkpoint(out / "last.pt")
    assert all(torch.equal(one.state[k], two.state[k]) for k in one.state)
    lines = [[json.loads(x) for x in (f / "metrics.jsonl").read_text().splitlines()] for f in (alone, out)]
    for first, second in zip(*lines, strict=True):
        assert first["losses"] == pytest.approx(second["losses"], abs=1e-5)
        assert first["val"] == second["val"]
    again = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=ONE_THREAD, check=True, capture_output=True, text=True
    )
    assert again.stdout == "train: up to date\n"


def test_a_mistake_met_by_a_helper_is_named_in_one_line(splits: Path, tmp_path: Path) -> None:
    broken = tmp_path / "splits"
    shutil.copytree(splits, broken)
    pictures = sorted((broken / "train" / "images").iterdir())
    for picture in pictures:  # the header stays: what is looked at beforehand is sound
        picture.write_bytes(picture.read_bytes()[:-40])
    ended = subprocess.run(
        [sys.executable, *command(broken, tmp_path / "run", 2)],
        cwd=ROOT,
        env=ONE_THREAD,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    errors = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and any(picture.name in errors[0] for picture in pictures)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_killing_the_leader_leaves_nobody_behind(splits: Path, tmp_path: Path) -> None:
    leader = subprocess.Popen(
        [sys.executable, *command(splits, tmp_path / "run", 2)],
        cwd=ROOT,
        env=ONE_THREAD,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    children = Path(f"/proc/{leader.pid}/task/{leader.pid}/children")
    deadline = time.monotonic() + 60
    helpers: list[str] = []
    while len(helpers) < 2 and time.monotonic() < deadline:  # resource tracker and helper
        helpers = children.read_text().split()
        time.sleep(0.1)
    time.sleep(2)
    leader.send_signal(signal.SIGKILL)
    leader.wait()
    while any(Path(f"/proc/{pid}").exists() for pid in helpers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert helpers and not any(Path(f"/proc/{pid}").exists() for pid in helpers)


def test_as_many_processes_as_share_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert [processes_for(0, batch) for batch in (1, 2, 16)] == [1, 2, 8]
    assert processes_for(3, 2) == 3
