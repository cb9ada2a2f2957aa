"""Packages that only some commands need: loaded when they are, or named in one line."""

from __future__ import annotations

import importlib
from typing import Any

from blender.contract import UserError


def need(module: str, extra: str, purpose: str) -> Any:
    """Import ``module``, which the extra ``extra`` installs.

    Args:
        purpose: what it is for, as the beginning of a message.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise UserError(f"{purpose} needs {package}: pip install 'transpalette[{extra}]'") from None
