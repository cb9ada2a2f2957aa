"""Rendering: run the benchmark of the Blender half in its own process and read its figures."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from blender.contract import UserError
from pipeline.bench.options import BenchOptions
from pipeline.common.processes import module_command


def measure(options: BenchOptions) -> dict[str, Any]:
    """Run ``python -m blender.bench``.

    Raises:
        UserError: the command failed; it has printed the reason.
    """
    with tempfile.TemporaryDirectory(prefix="transpalette-bench-") as folder:
        out = Path(folder) / "render.json"
        command = module_command(
            "blender.bench", "--profile", options.profile, "--people", options.people,
            "--out", out, "--frames", options.frames, "--sweep-frames", max(1, options.frames // 4),
            "--until", options.until,
        )  # fmt: skip
        process = subprocess.run(command, check=False)
        if process.returncode:
            raise UserError(f"{options.profile}: rendering could not be measured, see above")
        return dict(json.loads(out.read_bytes()))
