"""Is a stage's result current? One small file per stage holds the hash of what went in.

File times say nothing here: a comment changed in the source or a fresh checkout must redo
nothing, and a changed value must redo exactly what depends on it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from blender.contract import UserError, canonical_json, sha256_bytes, sha256_file, write_atomic


def _key(inputs: dict[str, Any]) -> str:
    return sha256_bytes(canonical_json(inputs))


def is_current(stamp: Path, inputs: dict[str, Any], outputs: Iterable[Path]) -> bool:
    """Do ``outputs`` exist, as written, from exactly these ``inputs`` (JSON values)?"""
    try:
        saved = json.loads(stamp.read_bytes())
        return bool(saved["inputs"] == _key(inputs)) and all(
            saved["outputs"][path.name] == sha256_file(path) for path in outputs
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_stamp(stamp: Path, inputs: dict[str, Any], outputs: Iterable[Path]) -> None:
    """Record that ``outputs`` were made from ``inputs``; call it after they are written."""
    hashes = {path.name: sha256_file(path) for path in outputs}
    write_atomic(stamp, canonical_json({"inputs": _key(inputs), "outputs": hashes}))


def claim_out_dir(out: Path) -> None:
    """Make the folder ``out`` and see that a file can be written into it.

    Raises:
        UserError: it is a file, or cannot be made or written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=out, prefix=".transpalette-", suffix=".tmp"):
            pass
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"{out}: not a folder; give --out another name") from None
    except OSError as error:
        raise UserError(f"{out}: cannot be written to: {error.strerror}; give another --out") from None
