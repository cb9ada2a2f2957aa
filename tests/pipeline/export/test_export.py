"""The export to ONNX: the same detections as the checkpoint, or an error and no file."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from blender.contract import UserError
from pipeline import load_model
from pipeline.cli import main
from pipeline.config import ModelConfig
from pipeline.export.onnx_model import OnnxModel
from pipeline.inference.detections import Detections
from pipeline.inference.exported import METADATA_KEY
from pipeline.models.checkpoint import load_model as load_checkpoint_model
from pipeline.models.registry import COCO, COCO_V2, EMBEDDED, TIMM, build_model
from tests.conftest import run
from tests.helpers.synthetic import write_tiny_model
from tests.pipeline.export.conftest import run_export
from tests.pipeline.export.images import SIZES, make_images


def assert_equal(first: Detections, second: Detections) -> None:
    assert np.array_equal(first.labels, second.labels) and len(first) > 0
    assert np.abs(first.boxes - second.boxes).max() <= 0.1
    assert np.abs(first.scores - second.scores).max() <= 1e-3
    intersection = (first.masks & second.masks).sum((1, 2))
    assert (intersection >= 0.99 * (first.masks | second.masks).sum((1, 2))).all()


def test_exported_model_detects_the_same_as_its_checkpoint(folder: Path) -> None:
    checkpoint, exported = load_model(folder / "model.safetensors"), load_model(folder / "model.onnx")
    assert (exported.classes, exported.threshold) == (checkpoint.classes, checkpoint.threshold)
    for pixels in make_images():
        assert_equal(checkpoint.predict(pixels, 0.0), exported.predict(pixels, 0.0))
    assert exported.predict(pixels, 1.0).masks.shape == (0, *SIZES[-1])
    with pytest.raises(UserError, match="run on the CPU"):
        load_model(folder / "model.onnx", device="cuda")


def test_onnx_file_runs_without_this_package(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    metadata = json.loads(session.get_modelmeta().custom_metadata_map[METADATA_KEY])
    assert metadata["classes"] == ["pedestrian", "pallet_truck"] and metadata["score_threshold"] == 0.3
    assert (metadata["min_size"], metadata["max_size"], metadata["precision"]) == (96, 128, "fp32")
    assert metadata["image_mean"] == pytest.approx([127 / 255] * 3) and metadata["version"]
    boxes, labels, scores, masks = session.run(None, {"image": next(make_images())})
    assert boxes.shape == (len(scores), 4) and masks.shape == (len(scores), 28, 28) and labels.min() >= 1
    onnx.checker.check_model(onnx.load(folder / "model.onnx"))
    assert capfd.readouterr().err == "", "onnxruntime warns of the model"


@pytest.mark.slow
def test_difference_is_reported_and_no_file_is_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = load_checkpoint_model(folder / "model.safetensors")
    data = (folder / "model.onnx").read_bytes()
    with torch.no_grad():
        model.roi_heads.mask_predictor.mask_fcn_logits.bias += 0.5
        model.roi_heads.box_predictor.bbox_pred.bias += 0.1
    write_tiny_model(tmp_path / "model.safetensors", auxiliary=("forklift",), state=model.state_dict())
    monkeypatch.setattr(OnnxModel, "serialize", lambda self, metadata: data)  # another model's file
    done = run_export(tmp_path / "model.safetensors", tmp_path / "other.onnx")
    assert done.exit_code == 2
    match = re.search(r"boxes within (\S+) px, scores within (\S+), mask IoU at least (\S+);", done.output)
    assert match and float(match[1]) > 0.1 and float(match[3]) < 0.99, done.output
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def run_without_torch(*words: object) -> subprocess.CompletedProcess[str]:
    """Run the command line where torch, and other packages that .onnx files do not need, are missing."""
    code = (
        "import sys\n"
        "for name in ('torch', 'torchvision', 'timm', 'onnx', 'av'): sys.modules[name] = None\n"
        "from pipeline.cli import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
    )
    return run("-c", code, *words)


def test_predict_with_an_onnx_file_needs_no_torch(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number, pixels in enumerate(make_images()):
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}.png")
    results = {}
    for name in ("model.safetensors", "model.onnx"):
        out = tmp_path / name
        words = ["predict", folder / name, tmp_path / "in", "--out", out, "--threshold", "0.01"]
        if name == "model.onnx":
            done = run_without_torch(*words)
            assert done.returncode == 0, done.stderr
        else:
            assert CliRunner().invoke(main, list(map(str, words))).exit_code == 0
        assert len(list(out.glob("*.png"))) == len(SIZES) and (out / "predictions.csv").exists()
        results[name] = json.loads((out / "predictions.json").read_bytes())
    expected, actual = results.values()
    assert len(actual) == len(expected) > 0
    for first, second in zip(expected, actual, strict=True):
        assert first["bbox"] == pytest.approx(second["bbox"], abs=0.2)
        assert (first["image_id"], first["category_id"]) == (second["image_id"], second["category_id"])


def test_wrong_arguments_and_missing_packages_are_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = folder / "model.safetensors"
    assert "must be named *.onnx" in run_export(model, tmp_path / "a.bin").output
    done = run_export(model, tmp_path / "a.onnx", "--format", "torchscript")
    assert done.exit_code == 2 and "'torchscript' is not one of" in done.output
    done = run_export(model, tmp_path / "a.safetensors", "--format", "safetensors")
    assert done.exit_code == 2 and "--format safetensors needs --int8" in done.output
    assert "must be named *.onnx" in run_export(model, tmp_path / "a.safetensors").output
    for options in ([], ["--images", folder]):
        done = run_export(model, tmp_path / "a.onnx", "--int8", *options)
        assert done.exit_code == 2 and "--annotations FILE and --images DIR" in done.output
    assert "no such checkpoint" in run_export(tmp_path / "no.safetensors", tmp_path / "a.onnx").output
    for missing in ("onnx", "onnxruntime"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, missing, None)
            done = run_export(model, tmp_path / "a.onnx")
            message = f"needs {missing}: pip install 'transpalette[export]'"
            assert done.exit_code == 2 and message in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [COCO, COCO_V2, EMBEDDED, f"{TIMM}resnet18", f"{TIMM}convnext_atto"])
def test_every_model_can_be_exported(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = ModelConfig(min_size=96, max_size=128, detections_per_img=10)
    model = build_model(name, 3, config)
    with torch.no_grad():  # random weights give all boxes about the same score: rounding would choose
        model.rpn.head.cls_logits.weight *= 20
        model.roi_heads.box_predictor.cls_score.weight *= 5
    fields = {"model": name, "config": dataclasses.asdict(config), "state": model.state_dict()}
    write_tiny_model(tmp_path / "model.safetensors", **fields)
    done = run_export(tmp_path / "model.safetensors", tmp_path / "model.onnx")
    assert done.exit_code == 0, done.output
