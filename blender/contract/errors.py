"""The error that is the user's, and how a program ends with it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """A mistake of the user's: one line that names the thing and the cure; exit status 2."""


@contextmanager
def mistakes_in_a_line() -> Iterator[None]:
    """End the program in one line on standard error and exit status 2: for a mistake of the user's, and for
    what the world refuses (a full disk, a folder that is not writable). Our own faults keep their traceback.
    """
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"error: {error.filename or 'file'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(2)
