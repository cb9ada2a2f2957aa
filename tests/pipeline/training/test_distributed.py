"""Memory that training processes share."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest

from pipeline.training import distributed
from tests.conftest import run


def test_what_the_leader_computes_is_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def receive(values: list[object]) -> None:
        values[0] = "the leader's"

    def compute() -> str:
        computed.append(distributed.rank())
        return "computed here"

    computed: list[int] = []
    assert distributed.from_leader(compute) == "computed here" and computed == [0]
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr("torch.distributed.broadcast_object_list", receive)
    assert distributed.from_leader(compute) == "the leader's" and computed == [0]


@pytest.mark.skipif(sys.platform != "linux", reason="memfd_create")
@pytest.mark.slow
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
