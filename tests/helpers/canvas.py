"""Fill polygons on an HTML canvas of Chromium."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

_PAGE = """<canvas id=c width={width} height={height}></canvas><pre id=o></pre><script>
const pen = document.getElementById("c").getContext("2d", {{willReadFrequently: true}}), out = [];
for (const polygons of {objects}) {{
  pen.clearRect(0, 0, {width}, {height});
  for (const p of polygons) {{
    pen.beginPath();
    for (let i = 0; i < p.length; i += 2) pen.lineTo(p[i], p[i + 1]);
    pen.fill();
  }}
  const pixels = pen.getImageData(0, 0, {width}, {height}).data, runs = [0];
  for (let i = 3, on = false; i < pixels.length; i += 4) {{
    if ((pixels[i] > 127) !== on) {{ on = !on; runs.push(0); }}
    runs[runs.length - 1]++;
  }}
  out.push(runs);
}}
document.getElementById("o").textContent = JSON.stringify(out);
</script>"""


def canvas_runs(objects: list[Any], size: tuple[int, int], folder: Path) -> list[list[int]]:
    """Fill the polygons of each object on a canvas; return run lengths by rows, background first."""
    folder.mkdir(exist_ok=True)
    page = folder / "page.html"
    page.write_text(_PAGE.format(height=size[0], width=size[1], objects=json.dumps(objects)))
    command = [
        str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'u'}",
        "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    return json.loads(text.partition('<pre id="o">')[2].partition("</pre>")[0])
