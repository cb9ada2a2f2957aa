"""The report in a browser: it loads, fits a phone, its tables can be sorted, and checkers find no problem."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline.reporting.report import write_report
from tests.helpers.browser import CHROMIUM
from tests.pipeline.reporting.conftest import PROFILE, add_baseline

PROBE = """<script>
const errors = [];
addEventListener("error", (event) => errors.push(event.message || event.target.tagName), true);
addEventListener("load", () => {
  const images = [...document.images];
  for (const details of document.querySelectorAll("details")) details.open = true;
  const head = document.querySelector("table.sortable th:last-child button");
  const table = head.closest("table");
  const column = [...head.closest("tr").cells].indexOf(head.closest("th"));
  const values = () => [...table.tBodies[0].rows].map((row) => row.cells[column].textContent.trim());
  head.click();
  const up = values();
  head.click();
  parent.postMessage(JSON.stringify({
    errors, up, down: values(),
    broken: images.filter((image) => !image.complete || !image.naturalWidth).length,
    silent: images.filter((image) => !image.alt).length,
    images: images.length,
    width: innerWidth,
    beyond: document.documentElement.scrollWidth - innerWidth,
  }), "*");
});
</script>"""

# The browser's window cannot be as narrow as a phone, but a frame in it can.
FRAME = """<!doctype html><title></title>
<script>addEventListener("message", (event) => { document.title = event.data; });</script>
<iframe src="probe.html" style="border: 0; width: %dpx; height: 800px"></iframe>"""


def probe_page(folder: Path, width: int, *options: str) -> Any:
    """Open probe.html in a frame of a width in CSS pixels; return the JSON message that it posts.

    The console must stay empty.
    """
    page = folder / "frame.html"
    page.write_text(FRAME % width)
    command = [
        str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'u'}",
        "--window-size=1400,900", "--virtual-time-budget=20000", "--enable-logging=stderr", *options,
        "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert title, done.stdout[:500]
    assert "CONSOLE" not in done.stderr
    return json.loads(html.unescape(title[1]))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_the_page_without_errors_or_overflow(
    run_dir: Path, tmp_path: Path, width: int
) -> None:
    """All images load, the page fits a phone, tables can be sorted, and the console stays empty."""
    add_baseline(run_dir, "start", "no network")
    write_report(PROFILE, run_dir)
    text = (run_dir / "report.html").read_text().replace("<head>", f"<head>{PROBE}", 1)
    (tmp_path / "probe.html").write_text(text)
    page_state = probe_page(tmp_path, width)
    assert page_state["errors"] == []
    assert page_state["broken"] == page_state["silent"] == 0 and page_state["images"] >= 5
    assert page_state["width"] == width and page_state["beyond"] <= 0
    up, down = page_state["up"], page_state["down"]
    assert sorted(up) == sorted(down) and up == down[::-1]


NODE_MODULES = Path(__file__).resolve().parents[3] / "node_modules"
"""Packages that ``npm install --no-save html-validate axe-core`` installs, as the nightly workflow does."""
AXE = """<script>%s</script><script>addEventListener("load", async () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  const { violations } = await axe.run();
  parent.postMessage(JSON.stringify(violations.map((v) => [v.id, v.nodes[0].html])), "*");
});</script>"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None or not (NODE_MODULES / "axe-core").is_dir(), reason="no Chromium or axe")
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_accessibility_violation(run_dir: Path, tmp_path: Path, width: int, scheme: str) -> None:
    write_report(PROFILE, run_dir)
    axe = AXE % (NODE_MODULES / "axe-core" / "axe.min.js").read_text()
    (tmp_path / "probe.html").write_text(
        (run_dir / "report.html").read_text().replace("<head>", f"<head>{axe}", 1)
    )
    assert (
        probe_page(tmp_path, width, f"--blink-settings=preferredColorScheme={int(scheme == 'light')}") == []
    )


@pytest.mark.slow
@pytest.mark.skipif(not (NODE_MODULES / "html-validate").is_dir(), reason="no html-validate")
def test_html_validate_finds_no_error(run_dir: Path, tmp_path: Path) -> None:
    add_baseline(run_dir, "start", "no network")
    write_report(PROFILE, run_dir)
    (tmp_path / ".htmlvalidate.json").write_text('{"root": true, "extends": ["html-validate:recommended"]}')
    page = shutil.copy(run_dir / "report.html", tmp_path)
    command = [NODE_MODULES / ".bin" / "html-validate", page]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
