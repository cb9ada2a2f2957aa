"""Processes that render: killed, crashing, recycled; and what they render on."""

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

from blender.contract import read_manifest
from blender.contract.files import _host
from tests.blender.test_render import tree_hash
from tests.conftest import ROOT, render, run

FRAME = "    spec = frame_scene(config, assets, frame)\n"
"""A line of ``render_frame`` after which a test may put a fault of its own."""


def sabotage(folder: Path, fault: str) -> Path:
    """A copy of the renderer that does ``fault`` in each frame."""
    shutil.copytree(ROOT / "blender", folder / "blender", ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "blender" / "rendering" / "frame.py"
    text = path.read_text()
    assert text.count(FRAME) == 1
    path.write_text(text.replace(FRAME, f"{FRAME}    import os\n    {fault}\n"))
    return folder


def arguments(profile: Path, people: Path, out: Path, *more: object) -> list[object]:
    return ["--profile", profile, "--split", "train", "--people", people, "--out", out, *more]


def children(process: int) -> list[int]:
    """Pids of a process's children."""
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
        assert time.monotonic() < deadline, "waited in vain"
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
def test_a_frame_that_fails_twice_is_named_and_the_rest_goes_on(
    fault: str, reason: str, tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    out, copy = tmp_path / "train", sabotage(tmp_path / "copy", fault)
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


def test_workers_that_die_once_cost_nothing(
    tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    out = tmp_path / "train"
    fragment = f"'{out}/.000001.png.{_host()}.%d.tmp' % os.getpid()"  # as a kill amid a file leaves it
    fault = (
        f"mark = '{marks}/%d' % frame; "
        f"os.path.exists(mark) or (open(mark, 'w'), open({fragment}, 'w'), os.kill(os.getpid(), 9))"
    )
    copy = sabotage(tmp_path / "copy", fault)
    done = run("-m", "blender.render", *arguments(tiny_profile, tiny_people, out, "--workers", 2), cwd=copy)
    assert done.returncode == 0, done.stderr
    assert len(list(marks.iterdir())) == 4
    assert tree_hash(out) == tree_hash(tiny_split)


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_process_takes_the_frames_of_one_life_and_then_another_takes_over(
    workers: int, tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    log, temporary = tmp_path / "log", tmp_path / "tmp"
    temporary.mkdir()
    fault = f"print(os.getpid(), file=open('{log}', 'a'))"
    out, copy = tmp_path / "train", sabotage(tmp_path / "copy", fault)
    done = run(
        "-m", "blender.render",
        *arguments(tiny_profile, tiny_people, out, "--workers", workers, "--recycle", 2 // workers),
        cwd=copy, env={**os.environ, "TMPDIR": str(temporary)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lives = log.read_text().split()
    assert len(lives) == 4 and len(set(lives)) == 2 * workers
    assert tree_hash(out) == tree_hash(tiny_split)
    assert not list(temporary.iterdir()), "temporary files are left"


@linux
def test_a_worker_killed_from_outside_is_replaced(
    tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    out = tmp_path / "train"
    command = [sys.executable, "-m", "blender.render", *arguments(tiny_profile, tiny_people, out)]
    process = subprocess.Popen(
        [*map(str, command), "--workers", "2"], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: list(out.glob("images/*.png")))
    os.kill(children(process.pid)[0], signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert tree_hash(out) == tree_hash(tiny_split)


@linux
@pytest.mark.parametrize(
    ("how", "status"),
    [
        (signal.SIGKILL, -9),
        pytest.param(signal.SIGTERM, -15, marks=pytest.mark.slow),
        (signal.SIGINT, 130),
    ],
)
def test_no_process_outlives_the_command(
    how: signal.Signals, status: int, tiny_profile: Path, tiny_people: Path, tmp_path: Path
) -> None:
    out, temporary = tmp_path / "train", tmp_path / "tmp"
    temporary.mkdir()
    # A shell's background jobs ignore SIGINT, and so would what is started from there.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [sys.executable, "-m", "blender.render", *arguments(tiny_profile, tiny_people, out)]
    process = subprocess.Popen(
        [*map(str, command), "--workers", "2"],
        cwd=ROOT, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(temporary)},
    )  # fmt: skip
    wait_until(lambda: list(out.glob("images/*.png")))
    workers = children(process.pid)
    assert len(workers) == 2
    process.send_signal(how)
    _, said = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in said
    assert ("interrupted; repeat the command to go on" in said) == (how == signal.SIGINT)
    wait_until(lambda: not any(map(is_running, workers)), seconds=60)
    wait_until(lambda: not list(temporary.iterdir()), seconds=60)


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "optix", "hip", "oneapi", "metal"])
def test_every_device_works_or_says_why_not(
    device: str, tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    out = tmp_path / "train"
    done = render(tiny_profile, tiny_people, out, "--device", device, "--frames", "0:1")
    if done.returncode == 0:
        (note,) = read_manifest(out).notes["devices"]
        assert f"on {note}\n" in done.stderr
        assert device == "auto" or note.startswith(device.upper())
    else:
        assert device not in ("auto", "cpu")
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"error: --device {device}: ")
        assert line.endswith("use --device auto or cpu")
        assert not list(out.rglob("*.*"))


def test_what_blender_writes_while_its_process_leaves_is_removed_too(tmp_path: Path) -> None:
    code = """
import pathlib, shutil, sys
from blender.workers.worker_main import _leave
scratch, real = pathlib.Path(sys.argv[1]), shutil.rmtree
def remove(folder, **options):
    shutil.rmtree = real
    real(folder, **options)
    folder.mkdir()
    (folder / "late").touch()
shutil.rmtree = remove
scratch.mkdir()
_leave(scratch, 7)
"""
    assert run("-c", code, tmp_path / "scratch").returncode == 7
    assert not (tmp_path / "scratch").exists()


def devices(code: str, tmp_path: Path) -> object:
    """What ``code`` assigns to ``found``, in a process where one GPU backend is said to have two GPUs."""
    script = (
        "import json, pathlib\nfrom blender.rendering import device\nfrom blender.contract import UserError\n"
        "real, scratch = device.try_device, pathlib.Path({scratch!r})\n"
        "device.gpu_names = lambda backend: ['A', 'B'] if backend == 'cuda' else []\n{code}\n"
        "print('found', json.dumps(found))"
    )
    done = run("-c", script.format(scratch=str(tmp_path), code=code))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.rpartition("found ")[2])


def test_several_gpus_are_dealt_out_one_to_a_process(tmp_path: Path) -> None:
    code = """
device.try_device = lambda *_: ""
chosen = [device.choose_device("auto", member, scratch) for member in range(3)]
found = [[d.note, d.backend, d.index, d.count] for d in chosen]
"""
    a, b = ["CUDA A (1 of 2)", "cuda", 0, 2], ["CUDA B (2 of 2)", "cuda", 1, 2]
    assert devices(code, tmp_path) == [a, b, a]


def test_a_gpu_that_does_not_work_is_fallen_back_from_aloud(tmp_path: Path) -> None:
    code = """
device.try_device = lambda *_: "no kernel"
found = [device.choose_device("auto", 0, scratch).note]
try:
    device.choose_device("cuda", 1, scratch)
except UserError as error:
    found.append(str(error))
found.append(real(device.Device("CPU"), scratch))
found.append(real(device.Device("phantom", "cuda", 0, 2), scratch) != "")
"""
    assert devices(code, tmp_path) == [
        "CPU; CUDA A (1 of 2) failed: no kernel",
        "--device cuda: CUDA B (2 of 2) failed: no kernel; use --device auto or cpu",
        "",
        True,
    ]


def test_the_notes_are_in_no_hash_and_are_kept(
    tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    out = tmp_path / "train"
    shutil.copytree(tiny_split, out)
    (out / "frames" / "000001.json").unlink()
    done = render(tiny_profile, tiny_people, out, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    before, after = read_manifest(tiny_split), read_manifest(out)
    assert after.notes["devices"] == sorted({"CPU", *before.notes["devices"]})
    assert after.digest() == before.digest()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--recycle", 0], "at least 1 frame"),
        (["--threads", -1], "--threads"),
        (["--scheduler", "tcp://x", "--workers", 2], "--workers is for this machine"),
        (["--out", "nosuch://bucket/x"], "nosuch"),
    ],
)
def test_mistakes(
    more: list[object], message: str, tiny_profile: Path, tiny_people: Path, tmp_path: Path
) -> None:
    done = render(tiny_profile, tiny_people, tmp_path / "out", *more)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and message in done.stderr


def test_inside_blender_the_workers_are_blenders_too(
    tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    """A stand-in for the program: it prints as Blender does, and runs the file after -P with bpy's Python."""
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
