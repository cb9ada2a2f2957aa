"""The error that is the user's."""

from __future__ import annotations


class UserError(Exception):
    """A mistake of the user's: one line that names the thing and the cure; exit status 2."""
