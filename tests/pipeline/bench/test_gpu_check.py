"""The check of a GPU: its steps with the CPU in its place, and differences that it must find."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from pipeline.bench import gpu_check
from pipeline.inference.predictor import predict_array
from pipeline.models.checkpoint import load_model
from tests.helpers.synthetic import write_tiny_model


def test_without_a_gpu_it_says_so(
    tiny_profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    words = ["--profile", str(tiny_profile), "--people", str(tmp_path), "--out", str(tmp_path / "out")]
    run = CliRunner().invoke(gpu_check.main, words)
    assert run.exit_code == 0 and "skipped: torch finds no GPU" in run.output
    assert not (tmp_path / "out").exists()


def test_all_checks_pass_with_the_cpu_in_the_place_of_a_gpu(
    tiny_profile: Path, tiny_people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_check, "STEPS", 24)
    out = tmp_path / "out"
    (out / "train").mkdir(parents=True)
    (out / "train" / "old.txt").write_text("of an earlier run")
    renders, training, predictions = gpu_check.run_checks(tiny_profile, tiny_people, out, 2, "cpu", "cpu")
    assert renders.passed and "2 of 2 masks are equal" in renders.text and "images/min" in renders.text
    assert training.passed and "images/s" in training.text, training.text
    assert predictions.passed, predictions.text
    assert not (out / "train" / "old.txt").exists()


def test_other_masks_and_brighter_images_are_found(tiny_split: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_split, copy)
    assert gpu_check.compare_renders(tiny_split, copy).passed
    mask = copy / "masks" / "000001.png"
    pixels = np.asarray(Image.open(mask)).copy()
    pixels[:4] += 1
    Image.fromarray(pixels).save(mask)
    result = gpu_check.compare_renders(tiny_split, copy)
    assert not result.passed and "3 of 4 masks are equal" in result.text
    shutil.copy(tiny_split / "masks" / "000001.png", mask)
    image = copy / "images" / "000002.png"
    brighter = np.clip(np.asarray(Image.open(image)).astype(int) + 8, 0, 255).astype(np.uint8)
    Image.fromarray(brighter).save(image)
    assert not gpu_check.compare_renders(tiny_split, copy).passed


def test_detections_agree_only_within_the_tolerances(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model.safetensors", score_threshold=0.0)
    image = np.random.default_rng(0).integers(0, 256, (72, 96, 3)).astype(np.uint8)
    found = predict_array(load_model(tmp_path / "model.safetensors")[0], image)
    assert gpu_check.count_agreeing(found, found) == len(found) > 0
    for other in (
        replace(found, boxes=found.boxes + 1000),
        replace(found, scores=found.scores + 2 * gpu_check.SCORE_DISTANCE),
        replace(found, labels=found.labels + 2),
        found.filter(2.0),
    ):
        assert gpu_check.count_agreeing(found, other) == 0
