"""The error for a user's mistake, and the exit of a program that raises it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """One or more mistakes of the user. Each is one line: what is wrong, where, and what to do."""


@contextmanager
def exit_on_user_error() -> Iterator[None]:
    """End the program with exit status 2 and one line per problem on standard error.

    This applies to ``UserError`` and to ``OSError`` (a full disk, a folder that is not writable). Any other
    exception is a bug and keeps its traceback.
    """
    try:
        yield
    except UserError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"error: {error.filename or 'file'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(2)
