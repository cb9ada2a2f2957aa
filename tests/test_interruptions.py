"""Robustness of the renderer: twenty kills, several processes in one folder, memory over 500 frames."""

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
from tests.blender.workers.test_pool import children
from tests.conftest import ROOT, TINY, render

KILLS = 20


def start(profile: Path, people: Path, out: Path) -> subprocess.Popen[bytes]:
    """Start a render with one worker process."""
    command = [
        sys.executable, "-m", "blender.render", "--profile", profile, "--split", "train",
        "--people", people, "--out", out, "--workers", "1", "--threads", "1",
    ]  # fmt: skip
    return subprocess.Popen(
        list(map(str, command)), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def digests(out: Path, fingerprint: str) -> dict[str, str]:
    """Return the complete frames: name -> hash and modification time of the record."""
    return {
        path.stem: f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mtime_ns}"
        for path in sorted(out.glob("frames/*.json"))
        if frame_is_complete(out, int(path.stem), fingerprint)
    }


@pytest.fixture(scope="module")
def long_profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More frames than a fast machine renders between the kills: the last run must have frames left."""
    path = tmp_path_factory.mktemp("profile") / "long.toml"
    path.write_text(TINY.replace("train = 4", "train = 100"))
    return path


@pytest.fixture(scope="module")
def uninterrupted(long_profile: Path, tiny_people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render the split in one process without interruption; return its folder."""
    out = tmp_path_factory.mktemp("uninterrupted") / "train"
    done = render(long_profile, tiny_people, out, "--workers", 1)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.slow
def test_twenty_kills_do_not_change_the_result(
    long_profile: Path, tiny_people: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    out, rng = tmp_path / "train", np.random.default_rng(0)
    fingerprint = read_manifest(uninterrupted).fingerprint
    done: dict[str, str] = {}
    for kill in range(KILLS):
        process = start(long_profile, tiny_people, out)
        wanted, deadline = len(done) + 1, time.monotonic() + 60
        # Kill at a random time after the start-up, within the next frame or two.
        while process.poll() is None and len(list(out.glob("images/*.png"))) < wanted:
            assert time.monotonic() < deadline, "no frame was rendered within a minute"
            time.sleep(0.005)
        time.sleep(float(rng.uniform(0, 0.4)))
        process.kill()
        process.wait()
        now = digests(out, fingerprint)
        assert done.items() <= now.items(), f"a complete frame was lost or rendered again after kill {kill}"
        assert len(list(out.glob("images/*.png"))) - len(now) <= 1, "more than one frame is incomplete"
        done = now
    finished = render(long_profile, tiny_people, out, "--workers", 1)
    assert finished.returncode == 0, finished.stderr
    assert tree_hash(out) == tree_hash(uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_independent_processes_can_render_into_one_folder(
    count: int, long_profile: Path, tiny_people: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    out = tmp_path / "train"
    processes = [start(long_profile, tiny_people, out) for _ in range(count)]
    assert [process.wait(timeout=600) for process in processes] == [0] * count
    assert tree_hash(out) == tree_hash(uninterrupted)


@pytest.mark.slow
def test_memory_does_not_grow_over_500_frames(tiny_people: Path, tmp_path: Path) -> None:
    profile, out = tmp_path / "many.toml", tmp_path / "train"
    profile.write_text(TINY.replace("train = 4", "train = 500"))
    process = start(profile, tiny_people, out)
    memory: dict[int, float] = {}
    workers: set[int] = set()
    while process.poll() is None:
        frames = len(list(out.glob("frames/*.json")))
        workers.update(children(process.pid))
        if resident := sum(map(resident_megabytes, [process.pid, *children(process.pid)])):
            memory[frames] = max(resident, memory.get(frames, 0.0))
        time.sleep(0.1)
    assert process.returncode == 0
    assert len(workers) == 1, "the worker was replaced, so its memory cannot be compared"
    spans = ((50, 150), (400, 500))  # long ranges: single frames can differ by 20 MB
    early, late = (max(memory[n] for n in memory if low <= n < high) for low, high in spans)
    print(f"{early:.0f} MB from frame 50, {late:.0f} MB from frame 400")
    assert late - early <= 16


def resident_megabytes(process: int) -> float:
    """Return the resident memory of a process in MB; 0 if it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    sizes = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
    return int(sizes[0]) / 1024 if sizes else 0.0
