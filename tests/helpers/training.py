"""Helpers for tests of training: a profile with small images, splits of shapes, and the command line."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path
from typing import Any

import torch

from blender.contract import from_table
from pipeline.config import Profile
from pipeline.models.checkpoint import Checkpoint
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
"""The text of a profile; further lines are keys of [train]."""

PROFILE = from_table(Profile, tomllib.loads(TOML + "processes = 1"), "test")


def with_train(profile: Profile = PROFILE, **changes: Any) -> Profile:
    """Return the profile with some keys of [train] changed."""
    return dataclasses.replace(profile, train=dataclasses.replace(profile.train, **changes))


def write_splits(folder: Path, train: int = 4, val: int = 2) -> tuple[Path, Path]:
    """Write a training and a validation split with these numbers of images; return their folders."""
    write_split(folder / "train", train, seed=1)
    write_split(folder / "val", val, seed=2)
    return folder / "train", folder / "val"


def train_command(splits: tuple[Path, Path], out: Path, keys: str) -> list[str]:
    """Return the arguments for Python that train with ``TOML`` and further ``keys`` of [train].

    The profile is written beside ``out``.
    """
    profile = out.with_suffix(".toml")
    profile.write_text(TOML + keys)
    folders = ["--train", str(splits[0]), "--val", str(splits[1]), "--out", str(out)]
    return ["-m", "pipeline", "train", "--profile", str(profile), *folders]


def same_weights(first: Checkpoint, second: Checkpoint) -> bool:
    """Return whether the weights of two checkpoints are equal to the bit."""
    return all(torch.equal(first.state[name], second.state[name]) for name in first.state)
