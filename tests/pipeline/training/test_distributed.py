"""Memory that training processes share."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest

from tests.conftest import run


@pytest.mark.skipif(sys.platform != "linux", reason="memfd_create")
def test_shared_rows_are_the_same_memory_in_all_processes() -> None:
    code = (
        "from pipeline.training import distributed as d\n"
        "def work():\n"
        "    rows = d.shared_rows(2, 3)\n"
        "    rows[d.rank()] = d.rank() + 1\n"
        "    d.barrier()\n"
        "    assert rows.tolist() == [[1.0] * 3, [2.0] * 3], rows\n"
    )
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import shared\n"
        "from pipeline.training.launch import launch; launch(2, shared.work)"
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "shared.py").write_text(code)
        done = run("-c", program, folder)
    assert done.returncode == 0, done.stderr
