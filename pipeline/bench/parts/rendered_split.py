"""Images for training and inference: the first frames of the profile's splits, rendered for the benchmark."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from blender.contract import UserError
from pipeline.bench.options import BenchOptions
from pipeline.common.processes import module_command
from pipeline.config import read_profile
from pipeline.data.convert import convert_split


@dataclass(frozen=True)
class RenderedSplit:
    """The first images of a split with their COCO annotations."""

    folder: Path

    @property
    def annotations(self) -> Path:
        """The COCO annotation file."""
        return self.folder / "annotations.json"

    @property
    def images(self) -> Path:
        """The folder of the images."""
        return self.folder / "images"

    def image_paths(self) -> list[Path]:
        """The image files in order."""
        return sorted(self.images.glob("*.png"))


def render_split(options: BenchOptions, name: str, count: int) -> RenderedSplit:
    """Render and convert the first images of one of the profile's splits; existing frames are reused.

    Args:
        options: the options of the benchmark.
        name: name of the split in the profile.
        count: number of images.

    Raises:
        UserError: the profile has no such split, the split has too few images, or rendering failed.
    """
    profile = read_profile(options.profile)
    available = profile.splits.get(name, 0)
    if available < count:
        raise UserError(
            f"{options.profile}: [splits] {name} has {available} images, but the benchmark needs {count}; "
            "use fewer (--images, --accuracy-images) or raise the number in the profile"
        )
    # One folder per number of images, because the annotations of a split list every image in it.
    folder = options.out / profile.name / f"{name}-{count}"
    command = module_command(
        "blender.render", "--profile", options.profile, "--split", name,
        "--people", options.people, "--out", folder, "--frames", f":{count}", "--update",
    )  # fmt: skip
    process = subprocess.run(command, stdout=sys.stderr, check=False)
    if process.returncode:
        raise UserError(f"{folder}: the images could not be rendered, see above")
    convert_split(folder, profile.coco)
    return RenderedSplit(folder)
