"""Write files atomically, encode canonical JSON, and hash files."""

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
    """Write ``data`` to ``path`` atomically: if writing fails, the file stays as it was.

    Raises:
        OSError: the disk is full, the folder is not writable, ...; no temporary file is left.
    """
    with open_atomic(path) as stream:
        stream.write(data)


@contextlib.contextmanager
def open_atomic(path: Path) -> Iterator[BinaryIO]:
    """Open ``path`` for atomic writing: the file appears at the end of the block, or stays as it was.

    Raises:
        OSError: the disk is full, the folder is not writable, ...; no temporary file is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if fs := getattr(path, "fs", None):  # an object store: files appear at the end of fsspec's transaction
        with fs.transaction, fs.open(str(path), "wb") as stream:
            yield stream
        return
    # A hash instead of the name, because the two together could be longer than a file system allows.
    digest = sha256_bytes(os.fsencode(path.name))[:16]
    temporary = path.with_name(f".{digest}.{_host()}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename = str(path)  # for the message; a failed write has no name, or the temporary file's
        raise


def remove_fragments(folder: Path) -> None:
    """Delete the temporary files that killed processes of this machine left in ``folder``, at any depth."""
    if hasattr(folder, "fs"):
        return  # an object store shows committed files only
    for path in folder.rglob(f".*.{_host()}.*.tmp"):
        owner = path.name.split(".")[-2]
        if owner.isdigit() and not _is_alive(int(owner)):
            path.unlink(missing_ok=True)


def _host() -> str:
    """Return this machine's name without dots, as part of the names of temporary files."""
    return platform.node().replace(".", "-") or "localhost"


def _is_alive(process: int) -> bool:
    """Return whether a process of this machine still runs; True if that cannot be determined."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def canonical_json(value: Any) -> bytes:
    """Encode as JSON in one canonical form: sorted keys, no spaces, a final newline; NaN is an error."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode() + b"\n"


def sha256_bytes(data: bytes) -> str:
    """Return the SHA-256 of ``data`` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
