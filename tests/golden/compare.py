"""Render the golden frames and compare them with the committed ones, or replace the committed ones.

``python -m tests.golden.compare --people DIR --out DIR [--renew]``; ``make check-golden`` and ``make
golden`` create the posed body meshes first. One set of golden frames serves all machines. Masks and records
are the same everywhere. Images are the same with the Blender version and the processor maker of the set;
elsewhere they may be a limited distance away, because both change some light paths.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from blender.contract import Manifest, read_manifest

FOLDER = Path(__file__).resolve().parent
PROFILE = FOLDER / "golden.toml"
SPLIT = "golden"
TOLERANCE = 1
"""Maximum deviation of a value of an image where images must be the same, on a scale of 255."""
PARTS = ("images", "masks", "frames")
"""Folders of a set of golden frames."""

# Limits for other Blender versions and processor makers. Between Blender 4.5 and 5.2, the worst frame has
# 13.8 % of its pixels off and a mean deviation of 3.3; the mean of all frames is 0.8. Walls that are 15 %
# darker, or lamps that are 20 % brighter, change the mean of all frames by 2.7 or 4.0.
FAR = 8
"""A pixel is off if one of its values deviates by more than this."""
MAX_SHARE = 0.22
"""Maximum share of the pixels of a frame that are off."""
MAX_MEAN = 5.0
"""Maximum mean deviation of the values of a frame."""
MAX_MEAN_OF_ALL = 1.5
"""Maximum mean deviation of the values of all frames."""


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
    if options.renew:
        replace_golden(options.out, FOLDER)
        print(f"golden: {FOLDER} was replaced; check the images and commit them")
        return
    report = comparison_report(FOLDER, options.out)
    print(report or f"golden: {success_message(FOLDER, options.out)}")
    sys.exit(1 if report else 0)


def render_command(people: Path, out: Path) -> list[str]:
    """Return the command line that renders the golden frames."""
    arguments = ["--profile", PROFILE, "--split", SPLIT, "--people", people, "--out", out, "--update"]
    return [sys.executable, "-m", "blender.render", *map(str, arguments)]


def must_be_same(golden: Path, manifest: Manifest) -> bool:
    """Return whether a split has the Blender version, and this machine the processor, of a golden set."""
    versions = [blender.split(".")[:2] for blender in (read_manifest(golden).blender, manifest.blender)]
    return versions[0] == versions[1] and processor() == (golden / "processor.txt").read_text().strip()


def success_message(golden: Path, rendered: Path) -> str:
    """Say how the rendered frames agree with the golden frames."""
    new = read_manifest(rendered)
    if must_be_same(golden, new):
        return "the frames equal the golden frames"
    mean = np.mean([deviation(a, b).mean() for a, b in image_pairs(golden, rendered)])
    return (
        f"masks and records equal the golden ones; images are within the limits for Blender {new.blender} "
        f"on {processor()} (mean deviation {mean:.2f} of at most {MAX_MEAN_OF_ALL})"
    )


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
    old, new = read_manifest(golden), read_manifest(rendered)
    lines = differences(golden, rendered, must_be_same(golden, new))
    if not lines:
        return ""
    if new.render_version == old.render_version:
        fix = (
            "frames changed, but RENDER_VERSION in blender/config/profile.py did not: if the change is "
            "intended, raise it (otherwise existing renders count as up to date) and run `make golden`"
        )
    else:
        fix = "RENDER_VERSION was raised: replace the golden frames with `make golden` and check the images"
    return "\n".join([*lines, fix])


def differences(golden: Path, rendered: Path, same: bool) -> list[str]:
    """Describe each image, mask and record that differs, one per line.

    Args:
        golden: folder of the golden frames.
        rendered: folder of the rendered split.
        same: images must be the same; False: they may be as far away as the limits allow.
    """
    lines = []
    for part in PARTS:
        names = {path.name for path in (golden / part).iterdir()}
        others = {path.name for path in (rendered / part).iterdir()}
        lines += [f"{part}/{name}: not rendered" for name in sorted(names - others)]
        lines += [f"{part}/{name}: no golden frame" for name in sorted(others - names)]
        for name in sorted(names & others):
            if text := _difference(golden / part / name, rendered / part / name, same):
                lines.append(f"{part}/{name}: {text}")
    if not lines and not same:
        mean = float(np.mean([deviation(a, b).mean() for a, b in image_pairs(golden, rendered)]))
        if mean > MAX_MEAN_OF_ALL:
            lines.append(f"images: a mean deviation of {mean:.2f}; at most {MAX_MEAN_OF_ALL}")
    return lines


def image_pairs(golden: Path, rendered: Path) -> list[tuple[Path, Path]]:
    """Return the paths of each golden image and of the rendered one."""
    return [(path, rendered / "images" / path.name) for path in sorted(golden.glob("images/*.png"))]


def deviation(old: Path, new: Path) -> np.ndarray:
    """Return the absolute deviations of two PNG files of the same size, (H, W, ...)."""
    first, second = (np.asarray(Image.open(path)).astype(int) for path in (old, new))
    return np.abs(first - second)


def _difference(old: Path, new: Path, same: bool) -> str:
    """Describe how two files differ; "" if they agree."""
    part = old.parent.name
    if part == "frames":
        before, after = _read_record(old), _read_record(new)
        keys = [key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)]
        return f"{', '.join(keys)} differ" if keys else ""
    sizes = [Image.open(path).size for path in (old, new)]
    if sizes[0] != sizes[1]:
        return f"{sizes[1]}, was {sizes[0]}"
    deviations = deviation(old, new)
    worst = deviations.reshape(*deviations.shape[:2], -1).max(2)
    if part == "masks" or same:
        pixels = int((worst > (TOLERANCE if part == "images" else 0)).sum())
        return f"{pixels} pixels differ, by up to {worst.max()}" if pixels else ""
    share, mean = float((worst > FAR).mean()), float(deviations.mean())
    if share > MAX_SHARE or mean > MAX_MEAN:
        return (
            f"{share:.1%} of the pixels are off by more than {FAR} (at most {MAX_SHARE:.0%}), the mean "
            f"deviation is {mean:.2f} (at most {MAX_MEAN})"
        )
    return ""


def _read_record(path: Path) -> dict[str, Any]:
    """Read what must be equal in a frame's record on all machines."""
    record: dict[str, Any] = json.loads(path.read_bytes())
    return {key: value for key, value in record.items() if key not in ("fingerprint", "image_sha256")}


def replace_golden(rendered: Path, golden: Path) -> None:
    """Replace the golden frames by the rendered frames of this machine."""
    for part in PARTS:
        shutil.rmtree(golden / part, ignore_errors=True)
        shutil.copytree(rendered / part, golden / part)
    shutil.copy(rendered / "manifest.json", golden)
    (golden / "processor.txt").write_text(f"{processor()}\n")


if __name__ == "__main__":
    main()
