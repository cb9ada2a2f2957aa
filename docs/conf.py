"""Sphinx configuration of the documentation site: ``make docs`` builds it to build/docs.

Sphinx was chosen because it is maintained, has a strict mode (``-W -n``: a broken reference is an error) and
generates the command-line and Python reference from the code. Material for MkDocs is in maintenance mode, and
Zensical, its successor, is young. Licences: Sphinx BSD-2-Clause; furo, MyST-Parser and sphinx-click MIT.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "extensions"), str(HERE.parent)]

project = "Transpalette"
author = "The Transpalette authors"
copyright = f"2026, {author}. Apache-2.0"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click", "docstrings", "generated", "consistency"]
html_theme = "furo"
html_title = project
exclude_patterns = ["extensions"]
smartquotes = False  # they would turn the two dashes of an option into one

# Headings get GitHub's anchors, so that links work on the site and where GitHub shows the page.
myst_heading_anchors = 4

autodoc_mock_imports = ["bpy", "bmesh", "mathutils"]  # signatures and docstrings do not need Blender
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
ALIASES = ("AnyImage", "ArrayLike", "Colour", "Floats", "Footprint", "Ints", "Params")
autodoc_type_aliases = {name: name for name in ALIASES}

# Nitpicky (make docs, make lint): a reference to a name of this project that is not documented is an error.
# Types of other libraries are not linked: their sites would have to be reached for every build.
nitpick_ignore_regex = [("py:.*", r"(?!blender\.|pipeline\.).*")]
