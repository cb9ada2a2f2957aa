"""Import packages that only some commands need, and that a user may not have installed."""

from __future__ import annotations

import importlib
from typing import Any

from blender.contract import UserError


def import_optional(module: str, extra: str, purpose: str) -> Any:
    """Import ``module``, which is installed with the optional dependencies ``extra``.

    Args:
        purpose: the option or command that needs it, as the beginning of the error message.

    Raises:
        UserError: it is not installed; says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise UserError(f"{purpose} needs {package}: pip install 'transpalette[{extra}]'") from None
