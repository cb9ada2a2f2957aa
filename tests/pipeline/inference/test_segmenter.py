"""The Python API: shapes of detections, kinds of images, errors, and the time of an import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender.contract import UserError
from pipeline import load_model
from pipeline.inference.segmenter import AnyImage, Segmenter
from tests.helpers.synthetic import write_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    write_tiny_model(path)
    return load_model(str(path))


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)


def test_detections_have_the_documented_shapes(model: Segmenter, pixels: np.ndarray) -> None:
    detections = model.predict(pixels, threshold=0.0)
    count = len(detections)
    assert count > 0
    assert (detections.boxes.shape, detections.boxes.dtype) == ((count, 4), np.dtype(np.float32))
    assert (detections.labels.shape, detections.labels.dtype) == ((count,), np.dtype(np.int64))
    assert (detections.masks.shape, detections.masks.dtype) == ((count, 60, 90), np.dtype(bool))
    assert detections.scores.dtype == np.float32 and (np.diff(detections.scores) <= 0).all()
    assert {model.classes[label - 1] for label in detections.labels} <= {"pedestrian", "pallet_truck"}
    assert len(detections.rles) == count and detections.image_size == (60, 90)
    assert (detections.boxes[:, 2] <= 90).all() and (detections.boxes[:, 3] <= 60).all()


def test_no_detections_have_the_documented_shapes(model: Segmenter, pixels: np.ndarray) -> None:
    detections = model.predict(pixels, threshold=1.0)
    assert len(detections) == 0 and detections.masks.shape == (0, 60, 90)
    assert detections.boxes.shape == (0, 4) and detections.labels.shape == (0,)


def test_default_threshold_is_the_models_own(model: Segmenter, pixels: np.ndarray) -> None:
    everything, default = model.predict(pixels, threshold=0.0), model.predict(pixels)
    assert model.threshold == 0.3
    assert len(default) == (everything.scores >= 0.3).sum()
    middle = float(np.median(everything.scores))
    some = model.predict(pixels, threshold=middle)
    assert 0 < len(some.scores) < len(everything.scores) or np.ptp(everything.scores) == 0
    assert np.array_equal(some.masks, everything.masks[: len(some.scores)])


def test_all_kinds_of_images_give_the_same_detections(
    model: Segmenter, pixels: np.ndarray, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored rotated by 90 degrees
    Image.fromarray(np.rot90(pixels)).save(tmp_path / "a.png", exif=exif)
    expected = model.predict(pixels, 0.0)
    opened = Image.open(tmp_path / "a.png")
    rgba, view = Image.fromarray(pixels).convert("RGBA"), pixels[:, :, ::-1][:, :, ::-1]
    forms: list[AnyImage] = [
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        opened,
        rgba,
        view,
        np.asarray(Image.fromarray(pixels)),
    ]
    for form in forms:
        assert np.array_equal(model.predict(form, 0.0).boxes, expected.boxes)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((60, 90), np.uint8), np.zeros((60, 90, 3), np.float32), np.zeros((0, 90, 3), np.uint8)],
)
def test_wrong_shape_or_type_of_pixels_is_an_error(model: Segmenter, wrong: np.ndarray) -> None:
    with pytest.raises(UserError, match=r"must be \(H, W, 3\) uint8"):
        model.predict(wrong)


def test_missing_files_are_named(model: Segmenter, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such checkpoint"):
        load_model(tmp_path / "absent.safetensors")
    with pytest.raises(UserError, match="not a readable image"):
        model.predict(tmp_path / "absent.jpg")


def test_importing_the_package_imports_no_large_library() -> None:
    code = "import sys, pipeline; print(sorted({'torch', 'numpy', 'PIL', 'click'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_torchscript_files_are_rejected_with_the_alternative(tmp_path: Path) -> None:
    (tmp_path / "model.torchscript").write_bytes(b"")
    with pytest.raises(UserError, match=r"model\.torchscript: the TorchScript format was dropped; .*\.onnx"):
        load_model(tmp_path / "model.torchscript")
