"""The Chromium that tests of pages drive."""

from __future__ import annotations

import shutil

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
"""Path of an installed Chromium; None without one."""
