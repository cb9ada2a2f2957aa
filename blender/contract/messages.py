"""Messages for people: notes and warnings on standard error, and lists of names."""

from __future__ import annotations

import sys
from collections.abc import Iterable


def print_note(text: str) -> None:
    """Print something that the user should know, in one line."""
    print(f"note: {text}", file=sys.stderr, flush=True)


def print_warning(text: str) -> None:
    """Print something that is probably a mistake, in one line."""
    print(f"warning: {text}", file=sys.stderr, flush=True)


def list_names(names: Iterable[str], limit: int = 5) -> str:
    """Join names for a message, each name once: "'a', 'b' and 3 more".

    Args:
        names: the names.
        limit: number of names that are listed.
    """
    different = list(dict.fromkeys(names))
    text = ", ".join(f"'{name}'" for name in different[:limit])
    return text if len(different) <= limit else f"{text} and {len(different) - limit} more"


def first_line(error: Exception) -> str:
    """Return the first line of an error's message: the system's reason, the text, or the error's type."""
    text = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return str(text).splitlines()[0]
