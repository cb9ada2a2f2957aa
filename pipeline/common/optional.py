"""Import packages that only some commands need, and that a user may not have installed."""

from __future__ import annotations

import importlib
from typing import Any

from blender.contract import UserError


def import_optional(module: str, extra: str, purpose: str) -> Any:
    """Import ``module``, which is installed with the optional dependencies ``extra``.

    Args:
        module: name of the module.
        extra: name of the optional dependencies in pyproject.toml.
        purpose: the option or command that needs the module; the error message begins with it.

    Raises:
        UserError: the package is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise UserError(f"{purpose} needs {package}: pip install 'transpalette[{extra}]'") from None
