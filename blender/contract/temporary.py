"""The folder for temporary files, and errors that name it when it is full or not writable."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from blender.contract.errors import UserError

TEMPORARY_PREFIX = "transpalette-"
"""Start of the names of the renderer's own temporary folders."""
_PROBE = 16 * 2**20
"""Bytes that a test file has. A folder that cannot hold them is too full for a frame's images."""


def temporary_root() -> Path:
    """Return the folder for temporary files: TMPDIR, or without it the system's.

    Python's ``tempfile`` would silently use another folder if TMPDIR is missing or not writable.

    Raises:
        UserError: TMPDIR is not set, and no usual folder can be written to.
    """
    try:
        return Path(os.environ.get("TMPDIR") or tempfile.gettempdir())
    except FileNotFoundError as error:
        raise UserError(f"{error.strerror}; set TMPDIR to a writable folder with free space") from None


@contextlib.contextmanager
def explain_temporary_errors(folder: Path) -> Iterator[None]:
    """Replace errors of writing temporary files to ``folder`` by one that says "set TMPDIR".

    Blender reports a full disk as a RuntimeError without a reason, or as "Success". So after such an error a
    test file is written: the error is replaced only if that fails too. Errors of files elsewhere, such as a
    frame's output, are unchanged.

    Raises:
        UserError: a file in ``folder`` could not be written. The message names the folder that TMPDIR sets.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        name = error.filename if isinstance(error, OSError) else None
        inside = name is not None and Path(str(name)).is_relative_to(folder)
        reason = None if name is not None and not inside else _write_error(folder)
        if reason is None and inside and isinstance(error, OSError):
            reason = error.strerror
        if reason is None:
            raise
        root = folder
        while root.name.startswith(TEMPORARY_PREFIX):
            root = root.parent
        raise UserError(
            f"{root}: cannot write temporary files: {reason}; set TMPDIR to a writable folder with free space"
        ) from None


def _write_error(folder: Path) -> str | None:
    """Write and delete a test file in a folder; return the reason if that fails."""
    try:
        with tempfile.TemporaryFile(dir=folder) as stream:
            stream.write(bytes(_PROBE))
            stream.flush()
    except OSError as error:
        return str(error.strerror or error)
    return None
