"""The written profile and the table of a fit, as text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from pipeline.common.toml import to_toml_value
from pipeline.fitting.ranges import FittedRange


def to_profile(rows: Sequence[FittedRange], name: str, extends: str, photographs: int) -> str:
    """Return the profile with the fitted ranges; a comment on each says where it is from.

    Args:
        rows: the rows of the table; those of one TOML table follow each other.
        name: name of the profile.
        extends: the profile that it extends.
        photographs: number of photographs that were measured.
    """
    lines = [
        f"# Written by `transpalette fit` from {photographs} photographs.",
        "# All that is not here is as in the profile that this one extends.",
        f"extends = {to_toml_value(extends)}",
        f"name = {to_toml_value(name)}",
    ]
    for table, group in groupby((row for row in rows if row.new is not None), key=lambda row: row.table):
        lines += ["", f"[{table}]"]
        for row in group:
            figures = f": {row.photographs}" if row.photographs else ""
            renders = f" (renders: {row.renders})" if row.renders else ""
            lines.append(f"# {row.why}{figures}{renders}; before: {to_toml_value(row.old)}")
            lines.append(f"{row.key} = {to_toml_value(row.new)}")
    return "\n".join(lines) + "\n"


def to_table(rows: Sequence[FittedRange]) -> str:
    """Return the table for people: what photographs and renders have, the old and the new range, and why."""
    head = ("key", "photographs", "renders", "profile", "new")
    cells = [
        (f"{row.table.removeprefix('scene.')}.{row.key}", row.photographs, row.renders,
         to_toml_value(row.old), "stays" if row.new is None else to_toml_value(row.new))
        for row in rows
    ]  # fmt: skip
    widths = [max(len(line[i]) for line in [head, *cells]) for i in range(len(head))]
    lines = []
    for line, why in zip([head, *cells], ["from", *(row.why for row in rows)], strict=True):
        padded = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        lines.append(f"{padded}  {why}".rstrip())
    return "\n".join(lines)
