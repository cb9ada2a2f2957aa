"""Download a file without ever hanging: a closed network costs seconds."""

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
"""Until the server answers, name resolution included."""
STALL_SECONDS = 15.0
"""A download that delivers nothing for this long has failed."""


def fetch(url: str, sha256_prefix: str) -> bytes:
    """Download ``url``, with a progress bar.

    Raises:
        OSError: no network, no answer in time, an interrupted transfer, or the wrong SHA-256.
    """
    data = _read(_within(CONNECT_SECONDS, lambda: urllib.request.urlopen(url, timeout=CONNECT_SECONDS)))
    if not sha256_bytes(data).startswith(sha256_prefix):
        raise OSError("what was downloaded has the wrong SHA-256")
    return data


def reach(url: str) -> None:
    """Ask a server for anything at all.

    Raises:
        OSError: no network, or no answer in time.
    """
    with contextlib.suppress(urllib.error.HTTPError):  # it answered
        _within(CONNECT_SECONDS, lambda: urllib.request.urlopen(url, timeout=CONNECT_SECONDS)).close()


def _within(seconds: float, call: Callable[[], T]) -> T:
    """Run ``call``, waiting for it no longer than ``seconds``: a socket's own limit leaves out DNS."""
    result: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            result.append(call())
        except Exception as error:  # passed on below, in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not result:
        raise TimeoutError(f"no answer within {seconds:.0f} s")
    return result[0]


def _read(stream: Any) -> bytes:
    """Read a response to its end, with a progress bar."""
    length = int(stream.headers.get("Content-Length") or 0)
    parts: list[bytes] = []
    with stream, click.progressbar(length=length, label="COCO weights", file=sys.stderr) as bar:
        while part := _within(STALL_SECONDS, lambda: stream.read(1 << 20)):
            parts.append(part)
            bar.update(len(part))
    return b"".join(parts)
