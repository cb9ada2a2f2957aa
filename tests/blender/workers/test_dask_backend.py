"""Rendering on a Dask cluster: the same bytes as one process, even if workers die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import distributed
import pytest

from blender.contract import UserError, frame_is_complete, read_manifest, scheduler
from blender.rendering.frame import RenderJob
from blender.workers import dask_backend
from blender.workers.dispatch import FrameResult, dispatch
from tests.blender.test_render import tree_hash
from tests.blender.workers.test_pool import arguments, copy_with_fault, wait_until
from tests.conftest import ROOT, TINY, render, run


def local_cluster(workers: int) -> Any:
    return distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
    )


@pytest.fixture(scope="module")
def two_workers() -> Iterator[Any]:
    with local_cluster(2) as cluster:
        yield cluster


def test_cluster_renders_the_same_bytes_as_one_process(
    two_workers: Any, tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    out = tmp_path / "train"
    done = render(tiny_profile, tiny_people, out, "--scheduler", two_workers.scheduler_address)
    assert done.returncode == 0, done.stderr
    assert f"2 threads of {two_workers.scheduler_address}" in done.stderr
    assert tree_hash(out) == tree_hash(tiny_split)
    with distributed.Client(two_workers, set_as_default=False) as client:
        assert sum(client.run(pool_count).values()) == 0, "processes are left on the workers"


def pool_count() -> int:
    return len(dask_backend._pools)


def test_user_error_on_a_worker_is_one_line(
    two_workers: Any, tiny_profile: Path, tiny_people: Path, tmp_path: Path
) -> None:
    more = ["--scheduler", two_workers.scheduler_address, "--device", "metal", "--quiet"]
    done = render(tiny_profile, tiny_people, tmp_path / "train", *more)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --device metal: ")
    assert done.stderr.count("\n") == 1


def test_workers_with_different_files_are_refused(
    two_workers: Any, tiny_profile: Path, tiny_people: Path, tmp_path: Path
) -> None:
    job = RenderJob(
        str(tiny_profile), "train", str(tiny_people), str(tmp_path / "train"), fingerprint="another"
    )
    with (
        dask_backend.open_dask_backend(two_workers.scheduler_address, job, 1) as backend,
        pytest.raises(UserError, match="differ between the process that submits"),
    ):
        dispatch(backend, range(4), lambda *_: None)


def test_workers_with_another_version_are_refused(two_workers: Any) -> None:
    with pytest.raises(UserError, match=r"its workers have Blender \d+; .* this machine has Blender \d+;"):
        scheduler.connect(two_workers.scheduler_address, lambda: f"Blender {os.getpid()}")


def test_missing_dask_package_is_reported_with_the_install_command(
    tiny_profile: Path, tiny_people: Path, tmp_path: Path
) -> None:
    code = "import sys; sys.modules['distributed'] = None\nfrom blender.render import main; main()"
    done = run(
        "-c", code, "--", *arguments(tiny_profile, tiny_people, tmp_path / "x", "--scheduler", "tcp://x:1")
    )
    assert done.returncode == 2
    assert done.stderr == (
        "error: --scheduler: the package 'distributed' is missing; pip install 'transpalette[cluster]'\n"
    )


@pytest.fixture(scope="module")
def twelve_frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("profile") / "twelve.toml"
    path.write_text(TINY.replace("train = 4", "train = 12"))
    return path


@pytest.mark.slow
def test_killed_worker_does_not_change_the_result(
    twelve_frames: Path, tiny_people: Path, tmp_path: Path
) -> None:
    solo, out = tmp_path / "solo", tmp_path / "train"
    done = render(twelve_frames, tiny_people, solo, "--workers", 1)
    assert done.returncode == 0, done.stderr
    with local_cluster(4) as cluster:
        command = [sys.executable, "-m", "blender.render", *arguments(twelve_frames, tiny_people, out)]
        process = subprocess.Popen(
            [*map(str, command), "--scheduler", cluster.scheduler_address],
            cwd=ROOT, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        fingerprint = read_manifest(solo).fingerprint
        wait_until(lambda: list(out.glob("frames/*.json")))
        complete = [frame for frame in range(12) if frame_is_complete(out, frame, fingerprint)]
        assert 0 < len(complete) < 12
        os.kill(cluster.workers[0].pid, signal.SIGKILL)
        _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    assert tree_hash(out) == tree_hash(solo)


@pytest.mark.slow
def test_crash_of_blender_does_not_kill_the_dask_worker(
    tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    out, copy = tmp_path / "train", copy_with_fault(tmp_path / "copy", "frame == 1 and os.abort()")
    script = (
        "from distributed import LocalCluster\nfrom blender.render import main\n"
        "import sys\n"
        "if __name__ == '__main__':\n"
        "    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=':0') as cluster:\n"
        "        before = {w.pid for w in cluster.workers.values()}\n"
        "        sys.argv += ['--scheduler', cluster.scheduler_address]\n"
        "        try:\n            main()\n"
        "        finally:\n            print(before == {w.pid for w in cluster.workers.values()})\n"
    )
    (copy / "start.py").write_text(script)
    done = run("start.py", "--", *arguments(tiny_profile, tiny_people, out), cwd=copy)
    assert done.returncode == 1, done.stderr
    assert "1 frame failed twice: 1 (frame 1: its process was killed by signal 6)" in done.stderr
    assert done.stdout.split() == ["True"]
    done = render(tiny_profile, tiny_people, out)
    assert tree_hash(out) == tree_hash(tiny_split)


def render_nothing(client: str, job: RenderJob, frame: int, threads: int) -> FrameResult:
    """Stand in for ``render_on_dask_worker`` without rendering."""
    return FrameResult(f"{job.split} {frame} {threads}")


SUBMIT = """
import sys
from blender.workers import dask_backend
from blender.workers.dispatch import FrameResult, dispatch
from blender.rendering.frame import RenderJob
from blender.workers.memory import resident_megabytes
from tests.blender.workers.test_dask_backend import render_nothing
dask_backend.render_on_dask_worker, memory, done = render_nothing, [], set()
def on_done(frame, result):
    assert result == FrameResult(f"train {frame} 1")
    done.add(frame)
    memory.append(resident_megabytes())
with dask_backend.open_dask_backend(sys.argv[1], RenderJob("p", "train", "q", "o", "f"), 0) as backend:
    assert dispatch(backend, range(2000), on_done) == {}
assert done == set(range(2000))
print(memory[200], memory[-1])
"""
"""Runs in a separate process, because the scheduler of the fixture runs in the test process."""


@pytest.mark.slow
def test_memory_of_the_submitting_process_does_not_grow(two_workers: Any) -> None:
    done = run("-c", SUBMIT, two_workers.scheduler_address)
    assert done.returncode == 0, done.stderr
    early, late = map(float, done.stdout.split())
    print(f"{early:.1f} MB after 200 frames, {late:.1f} MB after 2,000")
    assert late - early <= 10


@pytest.mark.slow
def test_timeouts_of_a_closing_client_are_not_logged() -> None:
    """On a busy machine, the last requests of a client time out. asyncio must not log this."""
    abandon_future = (
        "import asyncio; f = asyncio.new_event_loop().create_future(); f.set_exception(TimeoutError()); del f"
    )
    connect = (
        "from blender.contract import scheduler; scheduler.START_TIMEOUT = 1\n"
        "try:\n    scheduler.connect('tcp://127.0.0.1:9', str)\n"
        "except Exception:\n    pass\n"
    )
    for setup, logged in (("", True), (connect, False)):
        done = subprocess.run(
            [sys.executable, "-c", setup + abandon_future],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        assert ("never retrieved" in done.stderr) == logged, done.stderr
