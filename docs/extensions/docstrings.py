"""Sphinx extension: this project's docstrings (Google style) as reStructuredText.

Sphinx's own napoleon takes the words before the first colon for a type, in docstrings of attributes and in
"Returns:". Here types are in the annotations alone, so such text is kept as it is written.
"""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config
from sphinx.ext.napoleon.docstring import GoogleDocstring


class Docstring(GoogleDocstring):
    """A Google-style docstring whose "Returns:" is one description."""

    def _consume_returns_section(self, preprocess_types: bool = False) -> list[tuple[str, str, list[str]]]:
        lines = self._dedent(self._consume_to_next_section())
        return [("", "", lines)] if any(lines) else []


def _process(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    if what not in ("attribute", "data", "property"):
        lines[:] = Docstring(lines, Config(), app, what, name, thing, options).lines()


def _sign(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, arguments: str | None, result: str | None
) -> tuple[str | None, str | None]:
    """Write ``autodoc_type_aliases`` by their names in unions and subscripts too."""
    forward = re.compile(r"TypeAliasForwardRef\('(\w+)'\)")
    return arguments and forward.sub(r"\1", arguments), result and forward.sub(r"\1", result)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("autodoc-process-docstring", _process)
    app.connect("autodoc-process-signature", _sign)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
