"""The exported file in onnxruntime and in OpenVINO: the same detections, and none where there are none."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import openvino
import pytest

from pipeline.export.onnx_model import OnnxModel
from pipeline.inference.exported import OUTPUTS, Pixels, parse_onnx, read_exported
from tests.pipeline.export.images import make_images

Run = Callable[[Pixels], tuple[npt.NDArray[np.float32], ...]]


def onnxruntime_run(data: bytes) -> Run:
    """Load an exported model with onnxruntime."""
    return parse_onnx(data, "model").run


def openvino_run(data: bytes) -> Run:
    """Load an exported model with OpenVINO, in float32 also where the processor has bf16."""
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(pixels: Pixels) -> tuple[npt.NDArray[np.float32], ...]:
        outputs = compiled({"image": pixels})
        return tuple(np.array(outputs[name]) for name in OUTPUTS)

    return run


@pytest.mark.slow
def test_openvino_detects_the_same_as_onnxruntime(folder: Path) -> None:
    data = (folder / "model.onnx").read_bytes()
    first, second = onnxruntime_run(data), openvino_run(data)
    for pixels in make_images():
        expected, actual = first(pixels), second(pixels)
        assert len(expected[0]) > 0
        for a, b, tolerance in zip(expected, actual, (0.1, 0, 1e-3, 1e-2), strict=True):
            assert a.shape == b.shape and np.abs(a - b).max() <= tolerance


@pytest.mark.parametrize("load", [onnxruntime_run, openvino_run])
def test_images_without_detections_give_empty_outputs(folder: Path, load: Callable[[bytes], Run]) -> None:
    metadata = dataclasses.replace(read_exported(folder / "model.onnx").metadata, min_box_score=0.99)
    run = load(OnnxModel(onnx.load(folder / "model.onnx")).serialize(metadata))
    clouds = next(make_images())
    for pixels in (clouds, np.zeros((64, 48, 3), np.uint8), np.full((100, 100, 3), 128, np.uint8), clouds):
        boxes, labels, scores, masks = run(pixels)
        assert boxes.shape == (0, 4) and labels.shape == scores.shape == (0,) and masks.shape == (0, 28, 28)
