"""Several render processes on one split: each takes every n-th frame, this one watches the records appear."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

from blender.contract import UserError, frame_paths, read_record
from blender.progress import Progress

_RENDER = Path(__file__).with_name("render.py")


def run_workers(
    options: Namespace, fingerprint: str, todo: list[int], progress: Progress, count: int
) -> None:
    """Render ``todo`` with ``count`` processes; ``options`` is the command line that asked for it.

    Raises:
        UserError: a process ended with an error; what was committed stays.
    """
    command = [*_interpreter(), *_arguments(options, max(1, (os.cpu_count() or 1) // count))]
    index, shards = (int(text) for text in options.shard.split("/"))
    workers = [
        subprocess.Popen([*command, "--shard", f"{index + shards * k}/{shards * count}"])
        for k in range(count)
    ]
    left = set(todo)
    try:
        running = True
        while running:
            time.sleep(0.25)
            running = any(worker.poll() is None for worker in workers)
            done = {frame for frame in left if is_committed(options.out, frame, fingerprint)}
            left -= done
            progress.advance(len(done))
    finally:
        for worker in workers:
            worker.terminate()
            worker.wait()
    failed = [worker.returncode for worker in workers if worker.returncode]
    if failed:
        raise UserError(
            f"{options.out}: a render process ended with status {failed[0]}; repeat the command to go on"
        )


def is_committed(out: Path, frame: int, fingerprint: str) -> bool:
    """Is there a record of the frame, made with ``fingerprint``? Hashes are not checked."""
    try:
        return read_record(frame_paths(out, frame)[2]).fingerprint == fingerprint
    except UserError:
        return False


def _interpreter() -> list[str]:
    """What runs ``render.py``: the Blender we are in, or this Python with its bpy package."""
    bpy = sys.modules.get("bpy")
    binary = bpy.app.binary_path if bpy is not None and hasattr(bpy, "app") else ""
    if binary and not Path(binary).name.startswith("python"):
        flags = ["-b", "--factory-startup", "--disable-autoexec", "--python-exit-code", "3"]
        return [binary, *flags, "-P", str(_RENDER), "--"]
    return [sys.executable, str(_RENDER), "--"]


def _arguments(options: Namespace, threads: int) -> list[str]:
    values = {
        "--profile": options.profile,
        "--split": options.split,
        "--people": options.people,
        "--out": options.out,
        "--device": options.device,
        "--threads": options.threads or threads,
        "--frames": options.frames,
        "--workers": 1,
    }
    flags = ["--quiet", "--member", *(["--update"] if options.update else [])]
    return [text for name, value in values.items() for text in (name, str(value))] + flags
