"""The renderer under fire: killed twenty times, many at once in a folder, and for hundreds of frames."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from blender.contract import frame_is_complete, read_manifest
from tests.blender.test_render import tree_hash
from tests.blender.workers.test_workers import children
from tests.conftest import ROOT, TINY, render

KILLS = 20


def start(profile: Path, people: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [
        sys.executable, "-m", "blender.render", "--profile", profile, "--split", "train",
        "--people", people, "--out", out, "--workers", "1", "--threads", "1",
    ]  # fmt: skip
    return subprocess.Popen(
        list(map(str, command)), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def digests(out: Path, fingerprint: str) -> dict[str, str]:
    """The frames that are complete, each with a hash of its record and when that was written."""
    return {
        path.stem: f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mtime_ns}"
        for path in sorted(out.glob("frames/*.json"))
        if frame_is_complete(out, int(path.stem), fingerprint)
    }


@pytest.fixture(scope="module")
def long_profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("profile") / "long.toml"
    path.write_text(TINY.replace("train = 4", "train = 30"))
    return path


@pytest.fixture(scope="module")
def solo(long_profile: Path, tiny_people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The uninterrupted render by one process."""
    out = tmp_path_factory.mktemp("solo") / "train"
    done = render(long_profile, tiny_people, out, "--workers", 1)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.slow
def test_twenty_kills_and_the_result_is_the_same(
    long_profile: Path, tiny_people: Path, solo: Path, tmp_path: Path
) -> None:
    out, rng = tmp_path / "train", np.random.default_rng(0)
    fingerprint = read_manifest(solo).fingerprint
    done: dict[str, str] = {}
    for kill in range(KILLS):
        process = start(long_profile, tiny_people, out)
        wanted, deadline = len(done) + 1, time.monotonic() + 60
        # Past the start-up, then at a random instant: within the next frame or two.
        while process.poll() is None and len(list(out.glob("images/*.png"))) < wanted:
            assert time.monotonic() < deadline, "nothing was rendered in a minute"
            time.sleep(0.005)
        time.sleep(float(rng.uniform(0, 0.8)))
        process.kill()
        process.wait()
        now = digests(out, fingerprint)
        assert done.items() <= now.items(), f"kill {kill} cost a frame that was complete, or redid one"
        assert len(list(out.glob("images/*.png"))) - len(now) <= 1, "more than a frame is redone"
        done = now
    finished = render(long_profile, tiny_people, out, "--workers", 1)
    assert finished.returncode == 0, finished.stderr
    assert tree_hash(out) == tree_hash(solo)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_processes_that_know_nothing_of_each_other(
    count: int, long_profile: Path, tiny_people: Path, solo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "train"
    processes = [start(long_profile, tiny_people, out) for _ in range(count)]
    assert [process.wait(timeout=600) for process in processes] == [0] * count
    assert tree_hash(out) == tree_hash(solo)


@pytest.mark.slow
def test_memory_stays_flat_over_500_frames(tiny_people: Path, tmp_path: Path) -> None:
    profile, out = tmp_path / "many.toml", tmp_path / "train"
    profile.write_text(TINY.replace("train = 4", "train = 500"))
    process = start(profile, tiny_people, out)
    memory: dict[int, float] = {}
    lives: set[int] = set()
    while process.poll() is None:
        frames = len(list(out.glob("frames/*.json")))
        lives.update(children(process.pid))
        if resident := sum(map(resident_megabytes, [process.pid, *children(process.pid)])):
            memory[frames] = max(resident, memory.get(frames, 0.0))
        time.sleep(0.1)
    assert process.returncode == 0
    assert len(lives) == 1, "a process was recycled: its memory says nothing"
    spans = ((50, 150), (400, 500))  # long ones: a frame of many things may take 20 MB more than the next
    early, late = (max(memory[n] for n in memory if low <= n < high) for low, high in spans)
    print(f"{early:.0f} MB from frame 50, {late:.0f} MB from frame 400")
    assert late - early <= 16


def resident_megabytes(process: int) -> float:
    """RSS of a process; 0 if it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
    return int(found[0]) / 1024 if found else 0.0
