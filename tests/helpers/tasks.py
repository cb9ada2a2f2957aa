"""Tasks for worker processes, in a module that imports quickly."""

from __future__ import annotations

import os

from blender.contract import UserError


def add_in_process(term: int, number: int) -> tuple[int, int]:
    """Return ``term + number`` and the id of the process; the number 99 raises a UserError."""
    if number == 99:
        raise UserError("99: no such number")
    return number + term, os.getpid()
