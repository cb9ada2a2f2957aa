"""Render the golden frames and compare them with the committed ones, or replace the committed ones.

``python -m tests.golden.compare --people DIR --out DIR [--renew]``; ``make check-golden`` and ``make
golden`` create the posed body meshes first. There is one set of golden frames for each Blender version
(4.5, 5.2, ...), because versions differ in most pixels of an image, and for each processor vendor, because
the vendor changes some light paths. The masks are the same on all processors.
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
"""Maximum deviation of a value of an image, on a scale of 255. Masks must be equal."""


def main() -> None:
    """Compare or replace the golden frames. Exit status 1: the frames differ, or no golden frames exist."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.golden.compare", description="Compare rendered frames with the golden frames."
    )
    parser.add_argument("--people", type=Path, required=True, help="folder with the posed body meshes")
    parser.add_argument("--out", type=Path, required=True, help="folder for the rendered frames")
    parser.add_argument(
        "--renew", action="store_true", help="replace the golden frames by the rendered frames"
    )
    options = parser.parse_args()
    process = subprocess.run(render_command(options.people, options.out), check=False)
    if process.returncode:
        sys.exit(process.returncode)
    golden = golden_folder(read_manifest(options.out))
    if options.renew:
        replace_golden(options.out, golden)
        print(f"golden: {golden} was replaced; check the images and commit them")
        return
    report = comparison_report(golden, options.out)
    print(report or f"golden: the frames equal those in {golden}")
    sys.exit(1 if report else 0)


def render_command(people: Path, out: Path) -> list[str]:
    """Return the command line that renders the golden frames."""
    arguments = ["--profile", PROFILE, "--split", SPLIT, "--people", people, "--out", out, "--update"]
    return [sys.executable, "-m", "blender.render", *map(str, arguments)]


def golden_folder(manifest: Manifest) -> Path:
    """Return the folder of the golden frames for the Blender version of a split and for this processor."""
    return FOLDER / ".".join(manifest.blender.split(".")[:2]) / processor()


def processor() -> str:
    """Return this processor's vendor, such as "GenuineIntel", or its architecture if no vendor is known."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    vendors = [line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id")]
    return vendors[0] if vendors else platform.machine()


def comparison_report(golden: Path, rendered: Path) -> str:
    """Report the differences of the rendered frames and what to do; "" if there are none."""
    new = read_manifest(rendered)
    if not golden.is_dir():
        return (
            f"no golden frames for Blender {new.blender} on {golden.name} yet; create them with `make golden`"
        )
    old, lines = read_manifest(golden), differences(golden, rendered)
    if not lines:
        return ""
    if new.render_version == old.render_version:
        fix = (
            "pixels changed, but RENDER_VERSION in blender/config/profile.py did not: if the change is "
            "intended, raise it (otherwise existing renders count as up to date) and run `make golden`"
        )
    else:
        fix = "RENDER_VERSION was raised: replace the golden frames with `make golden` and check the images"
    return "\n".join([*lines, fix])


def differences(golden: Path, rendered: Path) -> list[str]:
    """Describe each image and mask that differs, one per line."""
    lines = []
    for path in sorted(golden.glob("*/*.png")):
        kind, other = path.parent.name, rendered / path.parent.name / path.name
        if not other.is_file():
            lines.append(f"{kind}/{path.name}: not rendered")
            continue
        old, new = (np.asarray(Image.open(p)).astype(int) for p in (path, other))
        if old.shape != new.shape:
            lines.append(f"{kind}/{path.name}: {new.shape}, was {old.shape}")
            continue
        deviation = np.abs(old - new)
        wrong = deviation > (TOLERANCE if kind == "images" else 0)
        if wrong.any():
            pixels = int(wrong.reshape(*wrong.shape[:2], -1).any(axis=2).sum())
            lines.append(f"{kind}/{path.name}: {pixels} pixels differ, by up to {int(deviation.max())}")
    extra = {p.name for p in rendered.glob("images/*.png")} - {p.name for p in golden.glob("images/*.png")}
    return lines + [f"images/{name}: no golden frame" for name in sorted(extra)]


def replace_golden(rendered: Path, golden: Path) -> None:
    """Replace the golden frames by the rendered frames."""
    shutil.rmtree(golden, ignore_errors=True)
    for folder in ("images", "masks"):
        shutil.copytree(rendered / folder, golden / folder)
    shutil.copy(rendered / "manifest.json", golden)


if __name__ == "__main__":
    main()
