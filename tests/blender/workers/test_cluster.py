"""Frames through a Dask scheduler: the bytes of one process, whatever happens to the workers."""

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
from blender.rendering.frame import Job
from blender.workers import dask_backend as cluster
from blender.workers.dispatch import dispatch
from tests.blender.test_render import tree_hash
from tests.blender.workers.test_workers import arguments, sabotage, wait_until
from tests.conftest import ROOT, TINY, render, run


def local_cluster(workers: int) -> Any:
    return distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
    )


@pytest.fixture(scope="module")
def two() -> Iterator[Any]:
    with local_cluster(2) as found:
        yield found


def test_a_cluster_gives_the_bytes_of_one_process(
    two: Any, tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    out = tmp_path / "train"
    done = render(tiny_profile, tiny_people, out, "--scheduler", two.scheduler_address)
    assert done.returncode == 0, done.stderr
    assert f"2 threads of {two.scheduler_address}" in done.stderr
    assert tree_hash(out) == tree_hash(tiny_split)
    with distributed.Client(two, set_as_default=False) as client:
        assert sum(client.run(crews).values()) == 0, "processes are left at the workers"


def crews() -> int:
    return len(cluster._crews)


def test_a_mistake_found_at_the_worker_is_one_line(
    two: Any, tiny_profile: Path, tiny_people: Path, tmp_path: Path
) -> None:
    more = ["--scheduler", two.scheduler_address, "--device", "metal", "--quiet"]
    done = render(tiny_profile, tiny_people, tmp_path / "train", *more)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --device metal: ")
    assert done.stderr.count("\n") == 1


def test_workers_with_other_files_are_refused(
    two: Any, tiny_profile: Path, tiny_people: Path, tmp_path: Path
) -> None:
    job = Job(str(tiny_profile), "train", str(tiny_people), str(tmp_path / "train"), fingerprint="another")
    with (
        cluster.remote_team(two.scheduler_address, job, 1) as team,
        pytest.raises(UserError, match="differ between the process that asks"),
    ):
        dispatch(team, range(4), lambda *_: None)


def test_nobody_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "CONNECT_TIMEOUT", 1)
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        with pytest.raises(UserError, match="no Dask scheduler answers there"):
            scheduler.connect(address, str)


def test_a_scheduler_without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "CONNECT_TIMEOUT", 1)
    with local_cluster(0) as found, pytest.raises(UserError, match="it has no workers"):
        scheduler.connect(found.scheduler_address, str)


def test_workers_of_another_version_are_refused(two: Any) -> None:
    with pytest.raises(UserError, match=r"its workers have Blender \d+; .* this machine has Blender \d+;"):
        scheduler.connect(two.scheduler_address, lambda: f"Blender {os.getpid()}")


def test_without_dask_it_says_what_to_install(tiny_profile: Path, tiny_people: Path, tmp_path: Path) -> None:
    code = "import sys; sys.modules['distributed'] = None\nfrom blender.render import main; main()"
    done = run(
        "-c", code, "--", *arguments(tiny_profile, tiny_people, tmp_path / "x", "--scheduler", "tcp://x")
    )
    assert done.returncode == 2
    assert done.stderr == (
        "error: --scheduler: the package 'distributed' is missing; pip install 'transpalette[cluster]'\n"
    )


@pytest.fixture(scope="module")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("profile") / "twelve.toml"
    path.write_text(TINY.replace("train = 4", "train = 12"))
    return path


@pytest.mark.slow
def test_four_processes_of_which_one_is_killed(twelve: Path, tiny_people: Path, tmp_path: Path) -> None:
    solo, out = tmp_path / "solo", tmp_path / "train"
    done = render(twelve, tiny_people, solo, "--workers", 1)
    assert done.returncode == 0, done.stderr
    with local_cluster(4) as found:
        command = [sys.executable, "-m", "blender.render", *arguments(twelve, tiny_people, out)]
        process = subprocess.Popen(
            [*map(str, command), "--scheduler", found.scheduler_address],
            cwd=ROOT, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        fingerprint = read_manifest(solo).fingerprint
        wait_until(lambda: list(out.glob("frames/*.json")))
        kept = [frame for frame in range(12) if frame_is_complete(out, frame, fingerprint)]
        assert 0 < len(kept) < 12
        os.kill(found.workers[0].pid, signal.SIGKILL)
        _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert tree_hash(out) == tree_hash(solo)


@pytest.mark.slow
def test_a_frame_that_kills_blender_costs_no_worker(
    tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    out, copy = tmp_path / "train", sabotage(tmp_path / "copy", "frame == 1 and os.abort()")
    cluster_in = (
        "from distributed import LocalCluster\nfrom blender.render import main\n"
        "import sys\n"
        "if __name__ == '__main__':\n"
        "    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=':0') as cluster:\n"
        "        before = {w.pid for w in cluster.workers.values()}\n"
        "        sys.argv += ['--scheduler', cluster.scheduler_address]\n"
        "        try:\n            main()\n"
        "        finally:\n            print(before == {w.pid for w in cluster.workers.values()})\n"
    )
    (copy / "start.py").write_text(cluster_in)
    done = run("start.py", "--", *arguments(tiny_profile, tiny_people, out), cwd=copy)
    assert done.returncode == 1, done.stderr
    assert "1 frame failed twice: 1 (frame 1: its process was killed by signal 6)" in done.stderr
    assert done.stdout.split() == ["True"]
    done = render(tiny_profile, tiny_people, out)
    assert tree_hash(out) == tree_hash(tiny_split)


def nothing(client: str, job: Job, frame: int, threads: int) -> dict[str, Any]:
    """A frame that costs nothing."""
    return {"device": f"{job.split} {frame} {threads}"}


SUBMIT = """
import sys
from blender.workers import dask_backend as cluster
from blender.workers.dispatch import dispatch
from blender.rendering.frame import Job
from blender.workers.worker_main import resident_megabytes
from tests.blender.workers.test_cluster import nothing
cluster.render_on_worker, memory, seen = nothing, [], set()
def on_done(frame, reply):
    assert reply == {"device": f"train {frame} 1"}
    seen.add(frame)
    memory.append(resident_megabytes())
with cluster.remote_team(sys.argv[1], Job("p", "train", "q", "o", "f"), 0) as team:
    assert dispatch(team, range(2000), on_done) == {}
assert seen == set(range(2000))
print(memory[200], memory[-1])
"""
"""In a process of its own: the fixture's scheduler lives in this one."""


@pytest.mark.slow
def test_two_thousand_frames_leave_the_submitting_process_as_it_was(two: Any) -> None:
    done = run("-c", SUBMIT, two.scheduler_address)
    assert done.returncode == 0, done.stderr
    early, late = map(float, done.stdout.split())
    print(f"{early:.1f} MB after 200 frames, {late:.1f} MB after 2,000")
    assert late - early <= 10


def test_what_a_closing_client_leaves_behind_is_silent() -> None:
    """On a busy machine its last requests time out, which asyncio tells whoever listens."""
    leave = (
        "import asyncio; f = asyncio.new_event_loop().create_future(); f.set_exception(TimeoutError()); del f"
    )
    connect = (
        "from blender.contract import scheduler; scheduler.CONNECT_TIMEOUT = 1\n"
        "try:\n    scheduler.connect('tcp://127.0.0.1:9', str)\n"
        "except Exception:\n    pass\n"
    )
    for before, spoken in (("", True), (connect, False)):
        done = subprocess.run(
            [sys.executable, "-c", before + leave], capture_output=True, text=True, check=True, cwd=ROOT
        )
        assert ("never retrieved" in done.stderr) == spoken, done.stderr
