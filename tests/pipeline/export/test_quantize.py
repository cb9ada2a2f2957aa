"""8-bit weights: a quarter of the size, and accepted only if they cost little AP50."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils

from blender.contract import UserError
from pipeline import load_model
from pipeline.export.int8_accuracy import check_int8, read_comparison_set
from pipeline.export.quantize import quantize_file
from pipeline.inference.exported import ExportedModel, Pixels, RawDetections, parse_onnx, read_exported
from pipeline.inference.segmenter import Segmenter
from tests.helpers.synthetic import write_tiny_model
from tests.pipeline.export.conftest import run_export
from tests.pipeline.export.images import make_images


def write_own_detections(model: Segmenter, folder: Path) -> Path:
    """Write a COCO file that holds the model's own detections as labels: its AP is 1."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    (folder / "images").mkdir(parents=True)
    for number, pixels in enumerate(make_images(), start=1):
        height, width = pixels.shape[:2]
        name = f"{number}.png"
        Image.fromarray(pixels).save(folder / "images" / name)
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        detections = model.predict(pixels, 0.0)
        for label, rle in zip(detections.labels, detections.rles, strict=True):
            if mask_utils.area(rle) > 0:
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": int(label),
                        "segmentation": rle,
                        "bbox": mask_utils.toBbox(rle).tolist(),
                        "area": int(mask_utils.area(rle)),
                        "iscrowd": 0,
                    }
                )
    categories = [{"id": label, "name": name} for label, name in enumerate(model.classes, start=1)]
    table = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(table))
    return folder / "annotations.json"


class ShiftedModel(ExportedModel):
    """A model whose boxes are shifted by 40 pixels."""

    def run(self, pixels: Pixels) -> RawDetections:
        boxes, *others = super().run(pixels)
        return np.clip(boxes + 40, 0, 60).astype(np.float32), *others


@pytest.mark.slow
def test_int8_is_accepted_only_if_it_costs_little_ap50(folder: Path, tmp_path: Path) -> None:
    fp32 = read_exported(folder / "model.onnx")
    data = quantize_file((folder / "model.onnx").read_bytes(), fp32.metadata)
    assert len(data) < 0.32 * (folder / "model.onnx").stat().st_size
    int8 = parse_onnx(data, "int8.onnx")
    assert int8.metadata == dataclasses.replace(fp32.metadata, precision="int8")
    for pixels in make_images():
        assert len(int8.predict(pixels)) == len(fp32.predict(pixels)) > 0
    annotations = write_own_detections(load_model(folder / "model.onnx"), tmp_path)
    evaluation_set = read_comparison_set(annotations, tmp_path / "images", fp32.metadata.classes)
    line = check_int8(fp32.predict, fp32.predict, evaluation_set, "int8.onnx")
    assert "boxes 1.000 -> 1.000, masks 1.000 -> 1.000 on 4 images" in line
    shifted = ShiftedModel(fp32.metadata, fp32.session, fp32.name)
    with pytest.raises(UserError, match=r"AP50 boxes 1.000 -> .* the largest allowed loss is 0.02"):
        check_int8(fp32.predict, shifted.predict, evaluation_set, "int8.onnx")


def test_a_checkpoint_in_8_bits_is_written_only_if_it_costs_little_ap50(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, out = folder / "model.safetensors", tmp_path / "small.safetensors"
    annotations = write_own_detections(load_model(model), tmp_path)
    options = (
        "--format",
        "safetensors",
        "--int8",
        "--annotations",
        annotations,
        "--images",
        tmp_path / "images",
    )
    monkeypatch.setattr("pipeline.export.command.MAX_CHECKPOINT_LOSS", -1)
    done = run_export(model, out, *options)
    assert done.exit_code == 2 and "the largest allowed loss is -1" in done.output and not out.exists()
    monkeypatch.setattr("pipeline.export.command.MAX_CHECKPOINT_LOSS", 0.9)
    done = run_export(model, out, *options)
    assert done.exit_code == 0 and "int8: AP50 boxes 1.000 -> " in done.output, done.output
    assert out.stat().st_size < 0.3 * model.stat().st_size
    assert load_model(out).classes == load_model(model).classes


@pytest.mark.slow
def test_int8_is_refused_if_the_model_detects_nothing(folder: Path, tmp_path: Path) -> None:
    annotations = write_own_detections(load_model(folder / "model.onnx"), tmp_path)
    model, out = tmp_path / "other.safetensors", tmp_path / "other.onnx"
    write_tiny_model(model)
    done = run_export(model, out, "--int8", "--annotations", annotations, "--images", tmp_path / "images")
    assert done.exit_code == 2 and "too low to measure a loss" in done.output
    assert not out.exists()
