"""Files written whole or not at all, and what they are known by: their hashes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that the file is whole or, on any failure, as it was before.

    Raises:
        OSError: the disk is full, the folder is not writable, ...; nothing is left behind.
    """
    with open_atomic(path) as stream:
        stream.write(data)


@contextlib.contextmanager
def open_atomic(path: Path) -> Iterator[BinaryIO]:
    """Open ``path`` to be written bit by bit: it appears whole at the end, or stays as it was before.

    Raises:
        OSError: the disk is full, the folder is not writable, ...; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if fs := getattr(path, "fs", None):  # a store of fsspec's: what a transaction opens appears at its end
        with fs.transaction, fs.open(str(path), "wb") as stream:
            yield stream
        return
    fragment = path.with_name(f".{path.name}.{_host()}.{os.getpid()}.tmp")
    try:
        with fragment.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        fragment.replace(path)
    except BaseException as error:
        fragment.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(fragment)):
            error.filename = str(path)  # a write that fails does not say where, and a fragment is no help
        raise


def remove_fragments(folder: Path) -> None:
    """Delete what killed processes of this machine left behind in ``write_atomic``, at any depth."""
    if hasattr(folder, "fs"):
        return  # a store shows nothing of what was not committed
    for path in folder.rglob(f".*.{_host()}.*.tmp"):
        owner = path.name.split(".")[-2]
        if owner.isdigit() and not _is_alive(int(owner)):
            path.unlink(missing_ok=True)


def _host() -> str:
    return platform.node().replace(".", "-") or "localhost"


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def canonical_json(value: Any) -> bytes:
    """Encode as JSON with one spelling: sorted keys, no spaces to choose, a final newline."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode() + b"\n"


def sha256_bytes(data: bytes) -> str:
    """SHA-256 of ``data``, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
