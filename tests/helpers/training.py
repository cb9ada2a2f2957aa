"""What the tests of training share: a profile that sees small pictures, and a process that trains by it."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path
from typing import Any

from blender.contract import from_table
from pipeline.config import Profile
from tests.helpers.shapes import CLASSES, write_split

TOML = f"""
name = "test"
seed = 0
classes = {json.dumps(CLASSES)}
splits = {{ train = 4, val = 2 }}
model = {{ weights = "embedded", min_size = 96, max_size = 96, detections_per_img = 8 }}
[train]
box_batch_size_per_image = 16
precision = "fp32"
ema = 0.5
"""
"""A profile's text; more lines are keys of [train]."""

PROFILE = from_table(Profile, tomllib.loads(TOML + "processes = 1"), "test")


def with_train(profile: Profile = PROFILE, **changes: Any) -> Profile:
    """The profile with other keys of [train]."""
    return dataclasses.replace(profile, train=dataclasses.replace(profile.train, **changes))


def write_splits(folder: Path, train: int = 4, val: int = 2) -> tuple[Path, Path]:
    """Write a training and a validation split of so many pictures; return their folders."""
    write_split(folder / "train", train, seed=1)
    write_split(folder / "val", val, seed=2)
    return folder / "train", folder / "val"


def train_command(splits: tuple[Path, Path], out: Path, keys: str) -> list[str]:
    """The command that trains by TOML and more ``keys`` of [train]; what follows Python's own name.

    The profile is written beside ``out``.
    """
    profile = out.with_suffix(".toml")
    profile.write_text(TOML + keys)
    folders = ["--train", str(splits[0]), "--val", str(splits[1]), "--out", str(out)]
    return ["-m", "pipeline", "train", "--profile", str(profile), *folders]
