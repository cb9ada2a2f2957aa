"""Was it worth it? Against the general model, stood in for, and against the start."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from torchvision.models.detection import maskrcnn_resnet50_fpn

from pipeline.cli import main
from pipeline.config import CocoConfig, ModelConfig, Profile
from pipeline.data.coco_io import read_coco
from pipeline.data.convert import convert_split
from pipeline.evaluation import baseline as module
from pipeline.evaluation.baseline import compare, load_baseline
from pipeline.evaluation.metrics import bootstrap_intervals
from pipeline.models.checkpoint import load_checkpoint, save_checkpoint
from pipeline.models.pretrained import coco_weights_path
from pipeline.training.train_state import initial_checkpoint
from tests.helpers.synthetic import CATEGORIES, perfect_results, write_split, write_tiny_model


@pytest.fixture(autouse=True)
def closed_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty cache, a proxy that refuses every connection, one thread, small pictures."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setattr(module, "AS_IT_COMES", ModelConfig(min_size=64, max_size=96))
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
def stand_in() -> None:
    """A file of random weights with torchvision's keys and shapes, that says "person" wherever it looks."""
    torch.manual_seed(7)
    network = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=91)
    state = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    for part in (
        "rpn.head.bbox_pred",
        "roi_heads.box_predictor.bbox_pred",
        "roi_heads.box_predictor.cls_score",
    ):
        state[f"{part}.weight"].zero_()  # random features decide nothing: boxes are anchors, scores the bias
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


@pytest.mark.usefixtures("stand_in")
def test_the_general_model_knows_people_and_no_trucks(model: Path, split: Path, tmp_path: Path) -> None:
    base = load_baseline("coco", load_checkpoint(model))
    assert (base.kind, base.fallback, base.labels) == ("coco", "", {"pedestrian": 1})
    found = base.model([torch.rand(3, 60, 80)])[0]
    assert len(found["labels"]) > 0 and set(found["labels"].tolist()) == {1}
    run = evaluate(model, split, tmp_path / "e", "--baseline", "coco")
    assert run.exit_code == 0, run.output
    assert "better than COCO's general model? pedestrian: " in run.output
    table = read(tmp_path / "e")["baseline"]
    assert table["kind"] == "coco" and table["knows"] == ["pedestrian"]
    assert set(table["classes"]) == set(CATEGORIES)
    assert table["classes"]["pallet_truck"]["segm"]["AP"] == 0.0


def test_without_weights_it_says_so_and_takes_the_start(model: Path, split: Path, tmp_path: Path) -> None:
    run = evaluate(model, split, tmp_path / "e", "--baseline", "coco")
    assert run.exit_code == 0, run.output
    assert "the general model can't be had" in run.output and "better than the start?" in run.output
    metrics = read(tmp_path / "e")
    assert metrics["baseline"]["kind"] == "start"
    assert "download failed" in metrics["baseline"]["fallback"]
    assert metrics["training"] == {"seconds": 75.0, "images": 4}
    again = evaluate(model, split, tmp_path / "e", "--baseline", "coco").output
    assert "up to date" in again and "better than the start?" in again
    assert "up to date" not in evaluate(model, split, tmp_path / "e").output
    assert read(tmp_path / "e")["baseline"] is None


@pytest.mark.parametrize("weights", ["embedded", "none"])
def test_the_start_is_the_one_that_training_began_with(weights: str) -> None:
    """Weight for weight, untrained predictors too; the caller's random numbers stay as they are."""
    config = ModelConfig(weights=weights, min_size=64, max_size=96)
    profile = Profile(name="p", seed=3, classes=CATEGORIES, splits={}, model=config)
    checkpoint = initial_checkpoint(profile, 4, "key", torch.device("cpu"))
    torch.manual_seed(3)
    base = load_baseline("start", checkpoint)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))
    state = base.model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in checkpoint.state.items())
    assert (base.kind, base.labels) == ("start", {"pedestrian": 1, "pallet_truck": 2})


def test_a_start_that_is_gone(model: Path, split: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(model)
    gone = dataclasses.replace(
        checkpoint, start={"kind": "checkpoint", "source": "x.safetensors", "fallback": ""}
    )
    save_checkpoint(model, gone)
    run = evaluate(model, split, tmp_path / "e", "--baseline", "start")
    assert run.exit_code == 2 and "leave --baseline out" in run.output
    run = evaluate(model, split, tmp_path / "e", "--baseline", "coco")
    assert run.exit_code == 0 and "note: nothing to compare with" in run.output
    assert read(tmp_path / "e")["baseline"] is None


@pytest.mark.parametrize(
    ("kept_by_us", "kept_by_them", "verdict"),
    [(1.0, 0.3, "yes"), (0.3, 1.0, "no"), (0.6, 0.6, "undecided")],
)
def test_yes_no_and_undecided(tmp_path: Path, kept_by_us: float, kept_by_them: float, verdict: str) -> None:
    write_split(tmp_path / "test", frames=30, size=(60, 80))
    dataset = read_coco(convert_split(tmp_path / "test", CocoConfig()))
    rng = np.random.default_rng(0)
    perfect = perfect_results(dataset)
    ours, theirs = ([r for r in perfect if rng.random() < share] for share in (kept_by_us, kept_by_them))
    table = compare(dataset, ours, theirs, 100)
    for scores in [*table["classes"].values(), table["overall"]]:
        segm = scores["segm"]
        low, high = segm["gain_interval"]["AP"]
        assert scores["verdict"] == verdict and low <= segm["gain"]["AP"] <= high
    assert compare(dataset, ours, theirs, 0)["classes"]["pedestrian"]["verdict"] == "undecided"
    same = compare(dataset, ours, ours, 20)["overall"]["segm"]
    assert same["gain"]["AP"] == 0 and same["gain_interval"]["AP"] == [0, 0]


def test_a_pair_is_surer_than_two_alone(tmp_path: Path) -> None:
    """The same pictures are hard for both: the gain is surer than either figure."""
    write_split(tmp_path / "test", frames=30, size=(60, 80))
    dataset = read_coco(convert_split(tmp_path / "test", CocoConfig()))
    ours = [r for r in perfect_results(dataset) if r["image_id"] % 3]
    theirs = ours[:-4]
    segm = compare(dataset, ours, theirs, 200)["overall"]["segm"]
    low, high = segm["gain_interval"]["AP"]
    alone = bootstrap_intervals(dataset, ours, 200, np.random.default_rng(0))["overall"]["segm"]["AP"]
    assert high - low < (alone[1] - alone[0]) / 2
