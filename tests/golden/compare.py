"""Render the golden frames and compare them with those kept here, or renew these.

``python -m tests.golden.compare --people DIR --out DIR [--renew]``; ``make check-golden`` and ``make golden``
bake the people first. Goldens are kept by Blender's version (4.5, 5.2, ...), because two versions differ in
most pixels of a picture, and by the processor's maker, with whom some light paths end elsewhere. Masks are
the same on all.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from blender.contract import Manifest, read_manifest

FOLDER = Path(__file__).resolve().parent
PROFILE = FOLDER / "golden.toml"
SPLIT = "golden"
TOLERANCE = 1
"""Of 255: how far RGB may be off. Masks are to be equal."""


def main() -> None:
    """Compare, or renew; exit status 1 if the frames differ or there is nothing to compare with."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden.compare", description="Check the goldens.")
    parser.add_argument("--people", type=Path, required=True, help="folder of the profile's baked bodies")
    parser.add_argument("--out", type=Path, required=True, help="where the frames are rendered")
    parser.add_argument("--renew", action="store_true", help="make what was rendered the goldens")
    options = parser.parse_args()
    done = subprocess.run(render_command(options.people, options.out), check=False)
    if done.returncode:
        sys.exit(done.returncode)
    golden = goldens_of(read_manifest(options.out))
    if options.renew:
        renew(options.out, golden)
        print(f"golden: {golden} renewed; look at the pictures and commit them")
        return
    complaint = complain(golden, options.out)
    print(complaint or f"golden: frames are as in {golden}")
    sys.exit(1 if complaint else 0)


def render_command(people: Path, out: Path) -> list[str]:
    """The command line that renders the golden frames."""
    arguments = ["--profile", PROFILE, "--split", SPLIT, "--people", people, "--out", out, "--update"]
    return [sys.executable, "-m", "blender.render", *map(str, arguments)]


def goldens_of(manifest: Manifest) -> Path:
    """Where the goldens of the Blender that rendered a split, on such a processor, are kept."""
    return FOLDER / ".".join(manifest.blender.split(".")[:2]) / processor()


def processor() -> str:
    """Who made this processor ("GenuineIntel"), or what kind it is ("arm64") where that is not said."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    makers = [line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id")]
    return makers[0] if makers else platform.machine()


def complain(golden: Path, rendered: Path) -> str:
    """What is wrong with the rendered frames and what to do about it; "" if nothing is."""
    now = read_manifest(rendered)
    if not golden.is_dir():
        return f"no goldens for Blender {now.blender} on {golden.name} yet; make them with `make golden`"
    then, found = read_manifest(golden), differences(golden, rendered)
    if not found:
        return ""
    if now.render_version == then.render_version:
        cure = (
            "pixels changed, but RENDER_VERSION in blender/config/run.py did not: if the change is meant, "
            "raise it (or existing renders pass for current ones) and run `make golden`"
        )
    else:
        cure = "RENDER_VERSION was raised; now renew the goldens with `make golden` and look at them"
    return "\n".join([*found, cure])


def differences(golden: Path, rendered: Path) -> list[str]:
    """A line for each picture that is not as it was."""
    lines = []
    for path in sorted(golden.glob("*/*.png")):
        kind, other = path.parent.name, rendered / path.parent.name / path.name
        if not other.is_file():
            lines.append(f"{kind}/{path.name}: not rendered")
            continue
        then, now = (np.asarray(Image.open(p)).astype(int) for p in (path, other))
        if then.shape != now.shape:
            lines.append(f"{kind}/{path.name}: {now.shape}, was {then.shape}")
            continue
        gap = np.abs(then - now)
        wrong = gap > (TOLERANCE if kind == "images" else 0)
        if wrong.any():
            pixels = int(wrong.reshape(*wrong.shape[:2], -1).any(axis=2).sum())
            lines.append(f"{kind}/{path.name}: {pixels} pixels differ, by up to {int(gap.max())}")
    more = {p.name for p in rendered.glob("images/*.png")} - {p.name for p in golden.glob("images/*.png")}
    return lines + [f"images/{name}: no golden" for name in sorted(more)]


def renew(rendered: Path, golden: Path) -> None:
    """Make the rendered frames the goldens."""
    shutil.rmtree(golden, ignore_errors=True)
    for folder in ("images", "masks"):
        shutil.copytree(rendered / folder, golden / folder)
    shutil.copy(rendered / "manifest.json", golden)


if __name__ == "__main__":
    main()
