"""Is the folder for the results any good? Asked before the long work, not after it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from blender.contract import UserError


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
