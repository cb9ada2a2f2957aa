"""Skip stages whose result is up to date, and prepare output folders.

Each stage writes a stamp file with the hashes of its inputs and outputs. File times are not used. After a
changed comment or a fresh checkout no stage must run again; after a changed value exactly the stages that
depend on it must run again.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from blender.contract import UserError, canonical_json, sha256_bytes, sha256_file, write_atomic

OWNER = ".profile-path"
"""File of a run's folder: the path of the run's profile, relative to the folder."""
OTHER_SPLITS = ".other-splits"
"""File of a run's folder: names of the profile's splits beside train, val and test, for the Makefile."""


def is_up_to_date(stamp: Path, inputs: dict[str, Any], outputs: Iterable[Path]) -> bool:
    """Return whether ``outputs``, as they are on disk, were made from ``inputs``.

    Args:
        stamp: the file that ``write_stamp`` wrote; it may be missing.
        inputs: JSON values that determine the outputs.
        outputs: files.
    """
    try:
        saved = json.loads(stamp.read_bytes())
        return bool(saved["inputs"] == _hash_inputs(inputs)) and all(
            saved["outputs"][path.name] == sha256_file(path) for path in outputs
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_stamp(stamp: Path, inputs: dict[str, Any], outputs: Iterable[Path]) -> None:
    """Write ``stamp``, which records that the files ``outputs`` were made from ``inputs``.

    Call it after the outputs are written.
    """
    hashes = {path.name: sha256_file(path) for path in outputs}
    write_atomic(stamp, canonical_json({"inputs": _hash_inputs(inputs), "outputs": hashes}))


def _hash_inputs(inputs: dict[str, Any]) -> str:
    return sha256_bytes(canonical_json(inputs))


def claim_run_dir(run: Path, profile: Path) -> None:
    """Note in the folder of a run which profile it is of, and refuse the folder of another profile's run.

    Profiles of one name in two folders have one default folder for their results. A profile that was moved
    keeps its run: the note then names a file that does not exist.

    Args:
        run: folder of the run; it may be missing.
        profile: the profile.

    Raises:
        UserError: the folder has results of another profile.
    """
    note, path = run / OWNER, os.path.relpath(profile.resolve(), run.resolve())
    try:
        owner = Path(note.read_text(encoding="utf-8").strip())
    except (FileNotFoundError, NotADirectoryError):
        owner = None
    if owner == Path(path):
        return
    if (
        owner is not None
        and (run / owner).is_file()
        and any(file.name not in (OWNER, OTHER_SPLITS) for file in run.iterdir())
    ):
        raise UserError(
            f"{run}: has the results of {os.path.relpath(run / owner)}; give {profile} another folder "
            f"(RUN={run}-2), or delete that one"
        )
    prepare_output_dir(run)
    write_atomic(note, f"{path}\n".encode())


def note_other_splits(run: Path, names: Iterable[str]) -> None:
    """Write the names of the splits beside those that every run has, which ``make`` renders and evaluates.

    Args:
        run: folder of the run.
        names: the names; without any the file is removed.
    """
    note, text = run / OTHER_SPLITS, "".join(f"{name}\n" for name in names)
    if text:
        write_atomic(note, text.encode())
    else:
        note.unlink(missing_ok=True)


def prepare_output_dir(out: Path) -> None:
    """Create the folder ``out`` if necessary, and check that it is writable.

    Raises:
        UserError: ``out`` is a file, or cannot be created or written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=out, prefix=".transpalette-", suffix=".tmp"):
            pass
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"{out}: not a folder; give --out another name") from None
    except OSError as error:
        raise UserError(f"{out}: cannot be written to: {error.strerror}; give another --out") from None
