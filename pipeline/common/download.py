"""Download files with timeouts, so that a command does not hang if the network is blocked.

urllib's own timeout does not cover name resolution. So each step runs in a thread with a time limit.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

import click

from blender.contract import sha256_bytes

T = TypeVar("T")

CONNECT_SECONDS = 5.0
"""Time limit for the server's first response, including name resolution."""
STALL_SECONDS = 15.0
"""Seconds without data after which a download has failed."""


def download(url: str, sha256_prefix: str) -> bytes:
    """Download ``url`` with a progress bar, and return the content.

    Args:
        sha256_prefix: the first digits of the file's SHA-256.

    Raises:
        OSError: no network, a timeout, an interrupted transfer, or the wrong SHA-256.
    """
    data = _read(_with_timeout(CONNECT_SECONDS, lambda: urllib.request.urlopen(url, timeout=CONNECT_SECONDS)))
    if not sha256_bytes(data).startswith(sha256_prefix):
        raise OSError("the downloaded file has the wrong SHA-256")
    return data


def check_reachable(url: str) -> None:
    """Check that a server responds; an HTTP error is a response too.

    Raises:
        OSError: no network, or a timeout.
    """
    with contextlib.suppress(urllib.error.HTTPError):
        _with_timeout(CONNECT_SECONDS, lambda: urllib.request.urlopen(url, timeout=CONNECT_SECONDS)).close()


def _with_timeout(seconds: float, call: Callable[[], T]) -> T:
    """Run ``call`` in a thread and return its result.

    Raises:
        TimeoutError: the call takes longer than ``seconds``.
    """
    result: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            result.append(call())
        except Exception as error:  # raised below, in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not result:
        raise TimeoutError(f"no response within {seconds:.0f} s")
    return result[0]


def _read(stream: Any) -> bytes:
    """Read a response to its end, with a progress bar."""
    length = int(stream.headers.get("Content-Length") or 0)
    parts: list[bytes] = []
    with stream, click.progressbar(length=length, label="COCO weights", file=sys.stderr) as bar:
        while part := _with_timeout(STALL_SECONDS, lambda: stream.read(1 << 20)):
            parts.append(part)
            bar.update(len(part))
    return b"".join(parts)
