"""The report in a browser: it loads, fits a phone, and its tables can be sorted."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.reporting.report import write_report
from tests.pipeline.reporting.conftest import PROFILE, add_baseline

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
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


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_the_page_without_errors_or_overflow(
    run_dir: Path, tmp_path: Path, width: int
) -> None:
    """All images load, the page fits a phone, tables can be sorted, and the console stays empty."""
    add_baseline(run_dir, "start", "no network")
    write_report(PROFILE, run_dir)
    page = tmp_path / "frame.html"
    page.write_text(FRAME % width)
    text = (run_dir / "report.html").read_text().replace("<head>", f"<head>{PROBE}", 1)
    (tmp_path / "probe.html").write_text(text)
    command = [
        str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'u'}",
        "--window-size=1400,900", "--virtual-time-budget=20000", "--enable-logging=stderr",
        "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title, done.stdout[:500]
    page_state = json.loads(html.unescape(title[1]))
    assert page_state["errors"] == [] and "CONSOLE" not in done.stderr
    assert page_state["broken"] == page_state["silent"] == 0 and page_state["images"] >= 5
    assert page_state["width"] == width and page_state["beyond"] <= 0
    up, down = page_state["up"], page_state["down"]
    assert sorted(up) == sorted(down) and up == down[::-1]
