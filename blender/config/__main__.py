"""``python -m blender.config PROFILE``: check the renderer's tables of a profile."""

from __future__ import annotations

import sys
from pathlib import Path

from blender.config.run import load_config
from blender.contract import mistakes_in_a_line

if __name__ == "__main__":
    with mistakes_in_a_line():
        load_config(Path(sys.argv[1]))
