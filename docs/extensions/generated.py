"""Sphinx extension: replaces ``<!-- generated: NAME -->`` in a page by text that is generated from the code.

Nothing generated is committed, so that no page can be out of date.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path

import click
from sphinx.application import Sphinx
from sphinx.ext.autodoc.mock import mock

ROOT = Path(__file__).resolve().parents[2]
MARKER = re.compile(r"^<!-- generated: ([a-z-]+) -->$", re.M)


def render_parser() -> argparse.ArgumentParser:
    """The command line of ``python -m blender.render``, without loading Blender."""
    with mock(["bpy", "bmesh", "mathutils"]):
        from blender.render import _parser

        return _parser()


def render_options() -> str:
    """The renderer's options as a Markdown table."""
    rows = ["| option | default | meaning |", "| --- | --- | --- |"]
    for action in render_parser()._actions:
        name = max(action.option_strings, key=len)
        if name == "--help":
            continue
        if action.choices:
            name += f" {{{','.join(map(str, action.choices))}}}"
        elif action.nargs != 0:  # 0: a flag
            name += f" {action.metavar or action.dest.upper()}"
        default = "" if action.default in (None, False) else f"`{action.default}`"
        rows.append(f"| `{name}` | {'required' if action.required else default} | {action.help} |")
    return "\n".join(rows)


def make_targets() -> str:
    """The Makefile's targets and their descriptions as a Markdown table."""
    lines = re.findall(r"^([a-z-]+):.*?## (.*)$", (ROOT / "Makefile").read_text(), re.M)
    rows = [f"| `make {name}` | {text.replace('|', chr(92) + '|')} |" for name, text in lines]
    return "\n".join(["| command | what it does |", "| --- | --- |", *rows])


def profile_keys() -> str:
    """Every key of a profile, from the dataclasses of both halves, below the page's own sections."""
    from pipeline.config.reference import profile_reference

    return re.sub(r"^#", "##", profile_reference(), flags=re.M)


GENERATORS: dict[str, Callable[[], str]] = {
    "render-options": render_options,
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
