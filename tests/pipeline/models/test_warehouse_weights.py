"""The general warehouse detector that comes with Transpalette: its file is whole, and it loads."""

from __future__ import annotations

import hashlib
import re

from blender.contract.shipped import warehouse_path
from pipeline.config import ModelConfig
from pipeline.inference.segmenter import MAIN_CLASSES
from pipeline.models.checkpoint import load_model
from pipeline.models.pretrained import resolve

LARGEST = 12_000_000
"""Bytes by which the file may let the repository grow."""


def test_the_file_is_the_one_that_its_model_card_describes() -> None:
    path = warehouse_path()
    (expected,) = re.findall(r"\b[0-9a-f]{64}\b", (path.parent / "README.md").read_text())
    assert hashlib.sha256(path.read_bytes()).hexdigest() == expected
    assert path.stat().st_size < LARGEST


def test_it_loads_as_a_model_and_as_start_weights() -> None:
    model, checkpoint = load_model(warehouse_path())
    assert checkpoint.classes[:2] == MAIN_CLASSES and not model.training
    start = resolve(ModelConfig(weights="warehouse"))
    assert (start.kind, start.classes) == ("warehouse", checkpoint.classes)
