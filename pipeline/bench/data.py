"""What is trained on and predicted: the first frames of the profile's own splits, rendered here."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from blender.contract import UserError
from pipeline.bench.plan import Plan
from pipeline.config import read_profile
from pipeline.data.convert import convert_split


@dataclass(frozen=True)
class Split:
    """A split's first images."""

    folder: Path

    @property
    def annotations(self) -> Path:
        """Its COCO file."""
        return self.folder / "annotations.json"

    @property
    def images(self) -> Path:
        """The folder that the file names in it lie in."""
        return self.folder / "images"

    def pictures(self) -> list[Path]:
        """The images' files, in order."""
        return sorted(self.images.glob("*.png"))


def split(plan: Plan, name: str, count: int) -> Split:
    """The first images of one of the profile's splits; what is rendered already stays.

    Raises:
        UserError: the profile has no such split, or too few images in it.
    """
    profile = read_profile(plan.profile)
    has = profile.splits.get(name, 0)
    if has < count:
        raise UserError(
            f"{plan.profile}: [splits] {name} has {has} images, and the benchmark wants {count}: ask for less"
        )
    # A folder for each number, because a split's annotations name all that lies in it.
    folder = plan.out / profile.name / f"{name}-{count}"
    command = [
        sys.executable, "-m", "blender.render", "--profile", plan.profile, "--split", name,
        "--people", plan.people, "--out", folder, "--frames", f":{count}", "--update",
    ]  # fmt: skip
    done = subprocess.run([str(part) for part in command], stdout=sys.stderr, check=False)
    if done.returncode:
        raise UserError(f"{folder}: the images could not be rendered, see above")
    convert_split(folder, profile.coco)
    return Split(folder)
