"""Generate the Markdown reference of every key of a profile from the dataclasses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from blender.contract.profiles import ProfileHeader
from blender.contract.reference import nested_tables, table_reference
from pipeline.config.profile import Profile
from pipeline.config.tables import PeopleConfig


def pipeline_tables() -> dict[str, type]:
    """Return the tables that the pipeline reads: name to dataclass; "" stands for the top-level keys."""
    tables = nested_tables(Profile)
    del tables[""]
    return {"": ProfileHeader, "people": PeopleConfig} | tables


def profile_reference() -> str:
    """Generate the reference as Markdown: a section for each table, in the order of a profile.

    ``pipeline`` never imports ``blender.config``, so a separate process generates the renderer's part. It
    does not load Blender.
    """
    tables = pipeline_tables()
    first = {name: tables.pop(name) for name in ("", "people")}
    command = [sys.executable, "-m", "blender.config", "--reference"]
    folder = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    return "\n".join([table_reference(first), done.stdout, table_reference(tables)])
