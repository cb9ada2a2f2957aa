"""Training in several processes: the same steps as in one, and no process left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from pipeline.cli import main
from pipeline.models.checkpoint import load_checkpoint
from pipeline.training.distributed import processes_for
from tests.conftest import ROOT, run
from tests.helpers.training import train_command, write_splits

KEYS = """epochs = 2
cache_features = 1
copy_paste = 0.5
patience = 1
trainable = ["heads"]
unfreeze = { fpn = 2 }
"""
Splits = tuple[Path, Path]


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    """Five training images: the last batch has one, so that a process goes without."""
    return write_splits(tmp_path_factory.mktemp("splits"), 5, 3)


def command(splits: Splits, out: Path, processes: int) -> list[str]:
    return train_command(splits, out, f"{KEYS}processes = {processes}\n")


def in_this_process(arguments: list[str]) -> Result:
    """What follows ``-m pipeline``."""
    return CliRunner().invoke(main, arguments[2:])


@pytest.fixture(scope="module")
def alone(splits: Splits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone") / "run"
    done = in_this_process(command(splits, out, 1))
    assert done.exit_code == 0, done.output
    return out


SOCKETS = "import os; del os.memfd_create; from pipeline.cli import main; main()"
"""Without memory that processes share, gradients are summed as between machines."""
LAUNCHERS = {
    "own": [],
    "own, sockets": ["-c", SOCKETS],
    "torchrun": ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"],
}


@pytest.mark.parametrize(
    "launcher", [pytest.param(name, marks=[pytest.mark.slow] if name != "own" else []) for name in LAUNCHERS]
)
def test_two_processes_take_the_steps_of_one(
    launcher: str, alone: Path, splits: Splits, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    arguments = command(splits, out, 2)
    done = run(*LAUNCHERS[launcher], *(arguments[2:] if "-c" in LAUNCHERS[launcher] else arguments))
    assert done.returncode == 0, done.stderr
    one, two = load_checkpoint(alone / "last.safetensors"), load_checkpoint(out / "last.safetensors")
    assert all(torch.equal(one.state[k], two.state[k]) for k in one.state)
    lines = [[json.loads(x) for x in (f / "metrics.jsonl").read_text().splitlines()] for f in (alone, out)]
    for first, second in zip(*lines, strict=True):
        assert first["losses"] == pytest.approx(second["losses"], abs=1e-5)
        assert first["val"] == second["val"]
    assert in_this_process(arguments).output == "train: up to date\n"


@pytest.mark.slow
def test_a_mistake_met_by_a_helper_is_named_in_one_line(tmp_path: Path) -> None:
    broken = write_splits(tmp_path / "splits")
    pictures = sorted((broken[0] / "images").iterdir())
    for picture in pictures:  # the header stays: what is looked at beforehand is sound
        picture.write_bytes(picture.read_bytes()[:-40])
    ended = run(*command(broken, tmp_path / "run", 2))
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    errors = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and any(picture.name in errors[0] for picture in pictures)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_killed_helper_is_one_line(splits: Splits, tmp_path: Path) -> None:
    arguments = command(splits, tmp_path / "run", 2)
    leader = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not log.is_file() and time.monotonic() < deadline:  # the second epoch begins
        time.sleep(0.1)
    children = Path(f"/proc/{leader.pid}/task/{leader.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)  # the first one tracks resources
    _, said = leader.communicate(timeout=60)
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert leader.returncode == 2 and "Traceback" not in said
    assert len(errors) == 1 and "was killed" in errors[0]


@pytest.mark.skipif(sys.platform != "linux", reason="memory without a file")
def test_processes_of_a_machine_share_memory() -> None:
    code = (
        "from pipeline.training import distributed as d\n"
        "def work():\n"
        "    rows = d.common_rows(2, 3)\n"
        "    rows[d.rank()] = d.rank() + 1\n"
        "    d.dist.barrier()\n"
        "    assert rows.tolist() == [[1.0] * 3, [2.0] * 3], rows\n"
    )
    with_rows = "import sys; sys.path.insert(0, sys.argv[1]); import shared; shared.d.run(2, shared.work)"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "shared.py").write_text(code)
        done = run("-c", with_rows, folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_killing_the_leader_leaves_nobody_behind(splits: Splits, tmp_path: Path) -> None:
    leader = subprocess.Popen(
        [sys.executable, *command(splits, tmp_path / "run", 2)],
        cwd=ROOT,
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
