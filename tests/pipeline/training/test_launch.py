"""Training in several processes: the same weights as in one, errors in one line, no orphaned process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from pipeline.cli import main
from pipeline.models.checkpoint import load_checkpoint
from pipeline.training.launch import process_count
from tests.conftest import ROOT, run
from tests.helpers.training import train_command, write_splits

KEYS = """epochs = 2
negatives_share = 0.4
mining = 0.5
cache_features = 1
copy_paste = 0.5
patience = 1
trainable = ["heads"]
unfreeze = { fpn = 2 }
"""
Splits = tuple[Path, Path]


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    """Five training images: the last batch has one, so one process has none of it."""
    return write_splits(tmp_path_factory.mktemp("splits"), 5, 3)


def command(splits: Splits, out: Path, processes: int) -> list[str]:
    negatives = json.dumps([str(splits[1] / "images")])
    return train_command(splits, out, f"{KEYS}negatives = {negatives}\nprocesses = {processes}\n")


def run_here(arguments: list[str]) -> Result:
    """Run a command ["-m", "pipeline", ...] in this process."""
    return CliRunner().invoke(main, arguments[2:])


@pytest.fixture(scope="module")
def single_process_run(splits: Splits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("single") / "run"
    done = run_here(command(splits, out, 1))
    assert done.exit_code == 0, done.output
    return out


WITHOUT_SHARED_MEMORY = "import os; del os.memfd_create; from pipeline.cli import main; main()"
"""Then gradients are all-reduced through sockets, as between machines."""
LAUNCHERS = {
    "own": [],
    "own, without shared memory": ["-c", WITHOUT_SHARED_MEMORY],
    "torchrun": ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"],
}


@pytest.mark.slow  # test_end_to_end.py trains in several processes, too
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_processes_give_the_weights_of_one(
    launcher: str, single_process_run: Path, splits: Splits, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    arguments = command(splits, out, 2)
    done = run(*LAUNCHERS[launcher], *(arguments[2:] if "-c" in LAUNCHERS[launcher] else arguments))
    assert done.returncode == 0, done.stderr
    one, two = (load_checkpoint(folder / "last.safetensors") for folder in (single_process_run, out))
    assert all(torch.equal(one.state[k], two.state[k]) for k in one.state)
    assert one.resume is not None and two.resume is not None
    assert one.resume.optimizer["state"].keys() == two.resume.optimizer["state"].keys()
    metrics = [
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (single_process_run, out)
    ]
    for first, second in zip(*metrics, strict=True):
        assert first["losses"] == pytest.approx(second["losses"], abs=1e-5)
        assert first["val"] == second["val"]
    assert run_here(arguments).output == "train: up to date\n"


@pytest.mark.slow
def test_a_users_mistake_in_a_worker_is_one_line(tmp_path: Path) -> None:
    broken = write_splits(tmp_path / "splits")
    images = sorted((broken[0] / "images").iterdir())
    for image in images:  # the header, which is checked beforehand, stays valid
        image.write_bytes(image.read_bytes()[:-40])
    ended = run(*command(broken, tmp_path / "run", 2))
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    errors = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and any(image.name in errors[0] for image in images)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_worker_is_one_line(splits: Splits, tmp_path: Path) -> None:
    arguments = command(splits, tmp_path / "run", 2)
    leader = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    metrics = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not metrics.is_file() and time.monotonic() < deadline:  # until the second epoch begins
        time.sleep(0.1)
    children = Path(f"/proc/{leader.pid}/task/{leader.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)  # the first child is multiprocessing's resource tracker
    _, stderr = leader.communicate(timeout=60)
    errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert leader.returncode == 2 and "Traceback" not in stderr
    assert len(errors) == 1 and "was killed" in errors[0]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_killing_rank_0_ends_all_workers(splits: Splits, tmp_path: Path) -> None:
    leader = subprocess.Popen(
        [sys.executable, *command(splits, tmp_path / "run", 2)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    children = Path(f"/proc/{leader.pid}/task/{leader.pid}/children")
    deadline = time.monotonic() + 60
    workers: list[str] = []
    while len(workers) < 2 and time.monotonic() < deadline:  # the resource tracker and a worker
        workers = children.read_text().split()
        time.sleep(0.1)
    time.sleep(2)
    leader.send_signal(signal.SIGKILL)
    leader.wait()
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert workers and not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_the_number_of_processes_is_limited_by_batch_size_and_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert [process_count(0, batch_size) for batch_size in (1, 2, 16)] == [1, 2, 8]
    assert process_count(3, 2) == 3
