"""Sphinx extension: replaces ``<!-- generated: NAME -->`` in a page by text that is generated from the code.

Nothing generated is committed, so that no page can be out of date.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import click
from sphinx.application import Sphinx

from pipeline.cli import SECTIONS
from pipeline.config.reference import profile_reference

ROOT = Path(__file__).resolve().parents[2]
MARKER = re.compile(r"^<!-- generated: ([a-z-]+) -->$", re.M)


def make_targets() -> str:
    """The Makefile's targets and their descriptions as a Markdown table."""
    lines = re.findall(r"^([a-z-]+):.*?## (.*)$", (ROOT / "Makefile").read_text(), re.M)
    rows = [f"| `make {name}` | {text.replace('|', chr(92) + '|')} |" for name, text in lines]
    return "\n".join(["| command | what it does |", "| --- | --- |", *rows])


def profile_keys() -> str:
    """Every key of a profile, from the dataclasses; headings fit below a section of a page."""
    return re.sub(r"^#", "##", profile_reference(), flags=re.M)


def commands() -> str:
    """The commands in the sections of ``transpalette --help``, as directives of sphinx-click."""
    lines = []
    for title, members in SECTIONS.items():
        lines += [f"### {title}", "```{eval-rst}"]
        for command in members:
            module = command.callback.__module__
            lines += [f".. click:: {module}:{command.name}", f"   :prog: transpalette {command.name}", ""]
        lines.append("```")
    return "\n".join(lines)


GENERATORS: dict[str, Callable[[], str]] = {
    "commands": commands,
    "make-targets": make_targets,
    "profile-keys": profile_keys,
}


def _replace_markers(app: Sphinx, name: str, source: list[str]) -> None:
    source[0] = MARKER.sub(lambda match: GENERATORS[match.group(1)](), source[0])


def _plain(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    """Keep a star in a help text (``*.onnx``) from starting emphasis; write paths as a user types them."""
    escaped = (re.sub(r"(?<![*\\])\*(?!\*)", r"\\*", line) for line in lines)
    lines[:] = [re.sub(r"PosixPath\('(.*?)'\)", r"\1", line) for line in escaped]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    for part in ("description", "options", "arguments", "epilog"):
        app.connect(f"sphinx-click-process-{part}", _plain)
    app.connect("source-read", _replace_markers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
