"""The registry of object kinds: each module or package in ``blender/objects`` is one, found by its name."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any

from blender import objects
from blender.contract import UserError


@cache  # asked for hundreds of times a frame, and looking through the folder takes 40 microseconds
def kind(name: str) -> Any:
    """The module of one kind.

    Raises:
        UserError: there is no such kind.
    """
    known = sorted(m.name for m in pkgutil.iter_modules(objects.__path__))
    if name not in known:
        raise UserError(f"unknown kind of object '{name}'; known: {', '.join(known)}")
    return importlib.import_module(f"{objects.__name__}.{name}")
