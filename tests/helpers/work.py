"""A task for worker processes, in a module that imports nothing slow."""

from __future__ import annotations

import os

from blender.contract import UserError


def shifted(by: int, number: int) -> tuple[int, int]:
    """Return ``number + by`` and the id of this process; 99 raises a UserError."""
    if number == 99:
        raise UserError("99: no such number")
    return number + by, os.getpid()
