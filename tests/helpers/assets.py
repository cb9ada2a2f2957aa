"""The assets of tests whose objects need no files."""

from __future__ import annotations

from pathlib import Path

from blender.assets import Assets

NO_ASSETS = Assets(Path(), (), "")
