"""Rendering is measured by the other half, in its own process: here, only its answer is read."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from blender.contract import UserError
from pipeline.bench.plan import Plan


def measure(plan: Plan) -> dict[str, Any]:
    """Run ``python -m blender.bench``.

    Raises:
        UserError: it failed, and has said why.
    """
    with tempfile.TemporaryDirectory(prefix="transpalette-bench-") as folder:
        out = Path(folder) / "render.json"
        command = [
            sys.executable, "-m", "blender.bench", "--profile", plan.profile, "--people", plan.people,
            "--out", out, "--frames", plan.frames, "--sweep-frames", max(1, plan.frames // 4),
            "--until", plan.until,
        ]  # fmt: skip
        done = subprocess.run([str(part) for part in command], check=False)
        if done.returncode:
            raise UserError(f"{plan.profile}: rendering could not be measured, see above")
        return dict(json.loads(out.read_bytes()))
