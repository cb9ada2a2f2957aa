"""The pool of rendering processes: crashes, kills, recycling, clean-up, starting inside Blender."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from blender.contract import read_manifest
from blender.contract.files import _host
from tests.blender.test_render import tree_hash
from tests.conftest import ROOT, render, run

FAULT_LINE = "    spec = frame_scene(config, assets, frame, placements)\n"
"""Line of ``render_frame`` after which ``copy_with_fault`` inserts its code."""


def copy_with_fault(folder: Path, fault: str) -> Path:
    """Copy the renderer and insert code that runs for each frame."""
    shutil.copytree(ROOT / "blender", folder / "blender", ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "blender" / "rendering" / "frame.py"
    text = path.read_text()
    assert text.count(FAULT_LINE) == 1
    path.write_text(text.replace(FAULT_LINE, f"{FAULT_LINE}    import os\n    {fault}\n"))
    return folder


def arguments(profile: Path, people: Path, out: Path, *more: object) -> list[object]:
    return ["--profile", profile, "--split", "train", "--people", people, "--out", out, *more]


def children(process: int) -> list[int]:
    """Return the ids of a process's child processes."""
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    except OSError:
        return []


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.01)


linux = pytest.mark.skipif(sys.platform != "linux", reason="finds child processes in /proc")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("frame == 2 and os.abort()", "frame 2: its process was killed by signal 6"),
        pytest.param(
            "if frame == 2: raise ValueError('no\\nmesh')",
            "frame 2: ValueError: no mesh",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_frame_that_fails_twice_is_reported_and_the_others_are_rendered(
    fault: str, reason: str, tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    out, copy = tmp_path / "train", copy_with_fault(tmp_path / "copy", fault)
    done = run(
        "-m",
        "blender.render",
        *arguments(tiny_profile, tiny_people, out, "--workers", 2, "--quiet"),
        cwd=copy,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"error: {out}: 1 frame failed twice: 2 ({reason})")
    assert ("Traceback" in done.stderr) == ("ValueError" in reason)
    assert list(read_manifest(out).frames) == ["000000", "000001", "000003"]
    done = render(tiny_profile, tiny_people, out)
    assert done.returncode == 0, done.stderr
    assert "1 of 4 images to do" in done.stderr
    assert tree_hash(out) == tree_hash(tiny_split)


def test_frames_are_retried_after_their_worker_died(
    tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"  # one file for each frame that has killed its worker
    marks.mkdir()
    out = tmp_path / "train"
    fragment = f"'{out}/.000001.png.{_host()}.%d.tmp' % os.getpid()"  # as after a kill during a write
    fault = (
        f"mark = '{marks}/%d' % frame; "
        f"os.path.exists(mark) or (open(mark, 'w'), open({fragment}, 'w'), os.kill(os.getpid(), 9))"
    )
    copy = copy_with_fault(tmp_path / "copy", fault)
    done = run("-m", "blender.render", *arguments(tiny_profile, tiny_people, out, "--workers", 2), cwd=copy)
    assert done.returncode == 0, done.stderr
    assert len(list(marks.iterdir())) == 4
    assert tree_hash(out) == tree_hash(tiny_split)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_worker_is_replaced_after_its_number_of_frames(
    workers: int, tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    log, temporary = tmp_path / "log", tmp_path / "tmp"
    temporary.mkdir()
    fault = f"print(os.getpid(), file=open('{log}', 'a'))"
    out, copy = tmp_path / "train", copy_with_fault(tmp_path / "copy", fault)
    done = run(
        "-m", "blender.render",
        *arguments(tiny_profile, tiny_people, out, "--workers", workers, "--recycle", 2 // workers),
        cwd=copy, env={**os.environ, "TMPDIR": str(temporary)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    processes = log.read_text().split()
    assert len(processes) == 4 and len(set(processes)) == 2 * workers
    assert tree_hash(out) == tree_hash(tiny_split)
    assert not list(temporary.iterdir()), "temporary files are left"


@pytest.mark.slow
@linux
def test_killed_worker_is_replaced(
    tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    out = tmp_path / "train"
    command = [sys.executable, "-m", "blender.render", *arguments(tiny_profile, tiny_people, out)]
    process = subprocess.Popen(
        [*map(str, command), "--workers", "2"], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: list(out.glob("images/*.png")))
    os.kill(children(process.pid)[0], signal.SIGKILL)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert tree_hash(out) == tree_hash(tiny_split)


@linux
@pytest.mark.parametrize(
    ("sent_signal", "status"),
    [
        (signal.SIGKILL, -9),
        pytest.param(signal.SIGTERM, -15, marks=pytest.mark.slow),
        (signal.SIGINT, 130),
    ],
)
def test_no_process_outlives_the_command(
    sent_signal: signal.Signals, status: int, tiny_profile: Path, tiny_people: Path, tmp_path: Path
) -> None:
    out, temporary = tmp_path / "train", tmp_path / "tmp"
    temporary.mkdir()
    # A shell starts background jobs with SIGINT ignored, and child processes inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [sys.executable, "-m", "blender.render", *arguments(tiny_profile, tiny_people, out)]
    process = subprocess.Popen(
        [*map(str, command), "--workers", "2"],
        cwd=ROOT, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(temporary)},
    )  # fmt: skip
    wait_until(lambda: list(out.glob("images/*.png")))
    workers = children(process.pid)
    assert len(workers) == 2
    process.send_signal(sent_signal)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in stderr
    assert ("interrupted; repeat the command to continue" in stderr) == (sent_signal == signal.SIGINT)
    wait_until(lambda: not any(map(is_running, workers)), seconds=60)
    wait_until(lambda: not list(temporary.iterdir()), seconds=60)


def test_file_written_during_the_clean_up_is_removed(tmp_path: Path) -> None:
    code = """
import pathlib, shutil, sys
from blender.workers.worker_main import _exit
scratch, real = pathlib.Path(sys.argv[1]), shutil.rmtree
def remove(folder, **options):
    shutil.rmtree = real
    real(folder, **options)
    folder.mkdir()
    (folder / "late").touch()
shutil.rmtree = remove
scratch.mkdir()
_exit(scratch, 7)
"""
    assert run("-c", code, tmp_path / "scratch").returncode == 7
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--recycle", 0], "at least 1 frame"),
        (["--threads", -1], "--threads"),
        (["--scheduler", "tcp://x:8786", "--workers", 2], "--workers is for this machine"),
        (["--out", "nosuch://bucket/x"], "nosuch"),
    ],
)
def test_wrong_option_is_reported_in_one_line(
    more: list[object], message: str, tiny_profile: Path, tiny_people: Path, tmp_path: Path
) -> None:
    done = render(tiny_profile, tiny_people, tmp_path / "out", *more)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and message in done.stderr


@pytest.mark.slow
def test_inside_blender_the_workers_run_blender(
    tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    """A script acts as the Blender program: it prints like Blender and runs the file after -P with Python."""
    blender, calls = tmp_path / "blender", tmp_path / "calls"
    blender.write_text(
        f'#!/bin/sh\necho "Blender 4.5 LTS"\necho "$@" >> {calls}\n'
        'while [ "$1" != "-P" ]; do shift; done\nshift\n'
        f'exec {sys.executable} "$@"\n'
    )
    blender.chmod(0o755)
    version = tuple(map(int, read_manifest(tiny_split).blender.split(".")))
    code = (
        "import sys, types\n"
        f"app = types.SimpleNamespace(binary_path={str(blender)!r}, version={version})\n"
        "sys.modules['bpy'] = types.SimpleNamespace(app=app)\n"
        "from blender.render import main; main()"
    )
    out = tmp_path / "train"
    done = run("-c", code, "--", *arguments(tiny_profile, tiny_people, out, "--workers", 2))
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert tree_hash(out) == tree_hash(tiny_split)
    lines = calls.read_text().splitlines()
    assert len(lines) == 2
    flags = "-b --factory-startup --disable-autoexec --python-exit-code 3 -P "
    assert all(
        line.startswith(flags + str(ROOT / "blender" / "workers" / "worker_main.py") + " -- ")
        for line in lines
    )
