"""Baselines: COCO's general model (random weights stand in for it) and the network before training."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from torchvision.models.detection import maskrcnn_resnet50_fpn

from pipeline.cli import main
from pipeline.config import CocoConfig, ModelConfig, Profile
from pipeline.data.convert import convert_split
from pipeline.evaluation import baseline
from pipeline.evaluation.baseline import load_baseline
from pipeline.models.checkpoint import load_checkpoint, save_checkpoint
from pipeline.models.pretrained import coco_weights_path
from pipeline.training.train_state import initial_checkpoint
from tests.helpers.synthetic import CATEGORIES, write_split, write_tiny_model


@pytest.fixture(autouse=True)
def closed_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty cache, a proxy that refuses every connection, one thread, small images."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setattr(
        baseline, "TORCHVISION_CONFIG", ModelConfig(min_size=64, max_size=96, detections_per_img=10)
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def split(tmp_path: Path) -> Path:
    write_split(tmp_path / "test", size=(60, 80))
    convert_split(tmp_path / "test", CocoConfig())
    return tmp_path / "test"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_tiny_model(
        tmp_path / "model.safetensors", start={"kind": "embedded", "source": "Lite2", "fallback": ""}
    )
    return tmp_path / "model.safetensors"


@pytest.fixture
def coco_weights() -> None:
    """A file of random weights with torchvision's keys and shapes, whose model detects persons everywhere."""
    torch.manual_seed(7)
    network = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=91)
    state = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    for part in (
        "rpn.head.bbox_pred",
        "roi_heads.box_predictor.bbox_pred",
        "roi_heads.box_predictor.cls_score",
    ):
        state[f"{part}.weight"].zero_()  # boxes are the anchors, scores are the bias
    state["roi_heads.box_predictor.cls_score.bias"][1] = 20.0
    coco_weights_path().parent.mkdir(parents=True)
    torch.save(state, coco_weights_path())


def evaluate(model: Path, split: Path, out: Path, *options: str) -> Result:
    files = ["--annotations", str(split / "annotations.json"), "--images", str(split / "images")]
    arguments = ["evaluate", str(model), *files, "--out", str(out), "--bootstrap", "20", *options]
    return CliRunner().invoke(main, arguments)


def read(out: Path) -> dict[str, Any]:
    table: dict[str, Any] = json.loads((out / "metrics.json").read_bytes())
    return table


@pytest.mark.usefixtures("coco_weights")
def test_the_general_model_detects_only_classes_of_coco(model: Path, split: Path, tmp_path: Path) -> None:
    general = load_baseline("coco", load_checkpoint(model))
    assert (general.kind, general.fallback, general.labels) == ("coco", "", {"pedestrian": 1})
    detections = general.model([torch.rand(3, 60, 80)])[0]
    assert len(detections["labels"]) > 0 and set(detections["labels"].tolist()) == {1}
    run = evaluate(model, split, tmp_path / "e", "--baseline", "coco")
    assert run.exit_code == 0, run.output
    assert "compared with COCO's general model: pedestrian: " in run.output
    table = read(tmp_path / "e")["baseline"]
    assert table["kind"] == "coco" and table["known_classes"] == ["pedestrian"]
    assert set(table["classes"]) == set(CATEGORIES)
    assert table["classes"]["pallet_truck"]["segm"]["AP"] == 0.0


def test_without_coco_weights_the_baseline_is_the_start(model: Path, split: Path, tmp_path: Path) -> None:
    run = evaluate(model, split, tmp_path / "e", "--baseline", "coco")
    assert run.exit_code == 0, run.output
    assert "COCO's general model is not available" in run.output
    assert "compared with the network before training: pedestrian: " in run.output
    metrics = read(tmp_path / "e")
    assert metrics["baseline"]["kind"] == "start"
    assert "download failed" in metrics["baseline"]["fallback"]
    assert metrics["training"] == {"seconds": 75.0, "images": 4}
    again = evaluate(model, split, tmp_path / "e", "--baseline", "coco").output
    assert "up to date" in again and "compared with the network before training" in again
    assert "up to date" not in evaluate(model, split, tmp_path / "e").output
    assert read(tmp_path / "e")["baseline"] is None


@pytest.mark.parametrize("weights", ["embedded", "none"])
def test_the_start_has_the_weights_that_training_began_with(weights: str) -> None:
    """Every weight is equal, also of untrained predictors. The caller's random state does not change."""
    config = ModelConfig(weights=weights, min_size=64, max_size=96)
    profile = Profile(name="p", seed=3, classes=CATEGORIES, splits={}, model=config)
    checkpoint = initial_checkpoint(profile, 4, "key", torch.device("cpu"))
    torch.manual_seed(3)
    start = load_baseline("start", checkpoint)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))
    state = start.model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in checkpoint.state.items())
    assert (start.kind, start.labels) == ("start", {"pedestrian": 1, "pallet_truck": 2})


def test_unavailable_start_weights_are_an_error_or_a_note(model: Path, split: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(model)
    start = {"kind": "checkpoint", "source": "x.safetensors", "fallback": ""}
    save_checkpoint(model, dataclasses.replace(checkpoint, start=start))
    run = evaluate(model, split, tmp_path / "e", "--baseline", "start")
    assert run.exit_code == 2 and "leave --baseline out" in run.output
    run = evaluate(model, split, tmp_path / "e", "--baseline", "coco")
    assert run.exit_code == 0 and "note: no baseline to compare with" in run.output
    assert read(tmp_path / "e")["baseline"] is None
