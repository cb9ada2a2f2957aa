"""Connections to a Dask scheduler: mistyped addresses, other programs, no workers."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from blender.contract import UserError, scheduler
from blender.contract.scheduler import check_address
from tests.blender.workers.test_dask_backend import local_cluster
from tests.conftest import run

MISTYPED = [
    ("127.0.0.1", "the port is missing; give an address such as tcp://127.0.0.1:8786"),
    ("localhost", "the port is missing; give an address such as tcp://localhost:8786"),
    ("tcp://[::1]", r"the port is missing; give an address such as tcp://\[::1\]:8786"),
    ("https://example", "Dask has no protocol 'https'; give an address such as tcp://example:8786"),
    ("http://node1:8787/status", "no protocol 'http'; give an address such as tcp://node1:8787"),
    ("tcp://node1:8786/", "'/' is too much; give an address such as tcp://node1:8786"),
    ("tcp:/node1:8786", "is too much"),
    ("node1:99999", "not a host and a port from 1 to 65535"),
    ("node1:port", "not a host and a port"),
    (":8786", "host and port are missing"),
    ("node 1:8786", "it contains a space; give an address such as tcp://HOST:8786"),
    ("", "host and port are missing"),
]


@pytest.mark.parametrize(("address", "message"), MISTYPED)
def test_mistyped_address_is_an_error_in_one_line(address: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        check_address(address)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    ["tcp://127.0.0.1:8786", "node1:8786", "tls://node1.example:443", "[::1]:8786", "inproc://a/1/2"],
)
def test_addresses_of_dask_are_accepted(address: str) -> None:
    check_address(address)


def test_renderer_ends_at_once_after_a_mistyped_scheduler() -> None:
    """Dask's client would keep the process for two minutes after the error."""
    start = time.monotonic()
    missing = ["--profile", "none.toml", "--split", "train", "--people", "none", "--out", "none"]
    done = run("-m", "blender.render", *missing, "--scheduler", "127.0.0.1", timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --scheduler 127.0.0.1: ") and done.stderr.count("\n") == 1
    assert time.monotonic() - start < 30


@pytest.fixture
def silent_server() -> Iterator[socket.socket]:
    """Return a socket that accepts connections and sends nothing, as a web server does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_wrong_port_is_reported_whether_something_listens_or_not(
    silent_server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "START_TIMEOUT", 0.5)
    monkeypatch.setattr(scheduler, "REPLY_TIMEOUT", 1)
    port = silent_server.getsockname()[1]
    for address, reason in (
        (f"127.0.0.1:{port}", "something listens, but sent no reply"),
        ("tcp://127.0.0.1:9", "Timed out trying to connect"),
    ):
        with pytest.raises(UserError, match=rf"{address}: no Dask scheduler replies there \({reason}"):
            scheduler.connect(address, str)


def test_wait_for_workers_is_announced_and_has_a_limit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scheduler, "FIRST_WORKER_TIMEOUT", 2)
    with local_cluster(0) as cluster, pytest.raises(UserError, match="the scheduler has no workers"):
        scheduler.connect(cluster.scheduler_address, str)
    assert f"--scheduler {cluster.scheduler_address}: waiting for workers" in capsys.readouterr().err


def test_loss_of_all_workers_is_announced_once(capsys: pytest.CaptureFixture[str]) -> None:
    class Client:
        def __init__(self) -> None:
            self.threads = {"worker": 2}

        def nthreads(self) -> dict[str, int]:
            return self.threads

    client = Client()
    limit = scheduler.TaskLimit(client, "node1:8786")
    for threads in ({"worker": 2}, {}, {}):
        client.threads, limit._counted = threads, float("-inf")
        limit()
    assert capsys.readouterr().err.count("node1:8786: all workers left; waiting for new ones") == 1
