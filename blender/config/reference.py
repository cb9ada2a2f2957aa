"""Generate a Markdown reference of the renderer's tables of a profile."""

from __future__ import annotations

from blender.config.objects import RANGES
from blender.config.profile import RendererProfile
from blender.contract.reference import nested_tables, table_reference
from blender.kinds import find_kind, kind_names

FIXED = ("hall", "rack", "carried")
"""Kinds of object that a scene has without a table in [scene.objects]."""


def renderer_tables() -> dict[str, type]:
    """Return the tables that the renderer reads: table name -> dataclass."""
    tables = nested_tables(RendererProfile)
    del tables[""], tables["model"]  # the pipeline's reference has the complete [model]
    tables = {"render": tables.pop("render")} | tables
    tables |= {f"scene.{name}": find_kind(name).Ranges for name in RANGES}
    movable = [name for name in kind_names() if name not in FIXED]
    return tables | {
        f'scene.objects.NAME.ranges with builder = "{name}"': find_kind(name).Ranges for name in movable
    }


def renderer_reference() -> str:
    """Return the reference as Markdown with a section for each table."""
    return table_reference(renderer_tables())
