"""Run the program's other commands, one after the other, in processes that end with this one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from blender.contract import UserError
from pipeline.common.processes import module_command


def run_stage(module: str, *arguments: object) -> None:
    """Run a command in a process of its own, without its summary; progress and errors stay visible.

    If this process is killed, the command ends, too: a loop that is repeated must not find another one at
    work in its folder.

    Raises:
        SystemExit: the command failed, and said why.
        UserError: the command was killed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    command = module_command(module, *arguments, ends_with_parent=True)
    status = subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
    if status < 0:
        name = module if module.startswith("blender") else str(arguments[0])
        raise UserError(f"{name}: ended by signal {-status}, perhaps for lack of memory; repeat the command")
    if status:
        raise SystemExit(status)


def render(profile: Path, split: str, people: Path, out: Path, workers: int, frames: str = ":") -> None:
    """Render frames of a split, and write their COCO file."""
    run_stage(
        "blender.render", "--profile", profile, "--split", split, "--people", people, "--out", out,
        "--workers", workers, f"--frames={frames}", "--update",
    )  # fmt: skip
    run_stage("pipeline", "coco", "--profile", profile, out)


def describe_scenes(profile: Path, split: str, people: Path, out: Path, frames: int | None = None) -> None:
    """Describe the scenes of a split without rendering them."""
    count = [] if frames is None else ["--frames", frames]
    run_stage(
        "blender.proposals", "--profile", profile, "--split", split, "--people", people, "--out", out, *count
    )
