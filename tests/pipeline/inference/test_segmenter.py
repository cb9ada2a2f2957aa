"""The Python API: shapes, kinds of pictures, mistakes, and an import that stays light."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender.contract import UserError
from pipeline import load_model
from pipeline.inference.segmenter import Segmenter
from tests.helpers.synthetic import write_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    write_tiny_model(path)
    return load_model(str(path))


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)


def test_shapes_are_as_documented(model: Segmenter, pixels: np.ndarray) -> None:
    found = model.predict(pixels, threshold=0.0)
    count = len(found.scores)
    assert count > 0
    assert (found.boxes.shape, found.boxes.dtype) == ((count, 4), np.float32)
    assert (found.labels.shape, found.labels.dtype) == ((count,), np.int64)
    assert (found.masks.shape, found.masks.dtype) == ((count, 60, 90), bool)
    assert found.scores.dtype == np.float32 and (np.diff(found.scores) <= 0).all()
    assert {model.classes[label - 1] for label in found.labels} <= {"pedestrian", "pallet_truck"}
    assert len(found.rles) == count and (found.boxes[:, 2] <= 90).all() and (found.boxes[:, 3] <= 60).all()


def test_nothing_found_has_shapes_too(model: Segmenter, pixels: np.ndarray) -> None:
    found = model.predict(pixels, threshold=1.0)
    assert found.masks.shape == (0, 60, 90) and found.boxes.shape == (0, 4) and found.labels.shape == (0,)


def test_the_models_own_threshold_is_the_default(model: Segmenter, pixels: np.ndarray) -> None:
    everything, mine = model.predict(pixels, threshold=0.0), model.predict(pixels)
    assert model.threshold == 0.3
    assert len(mine.scores) == (everything.scores >= 0.3).sum()
    middle = float(np.median(everything.scores))
    some = model.predict(pixels, threshold=middle)
    assert 0 < len(some.scores) < len(everything.scores) or np.ptp(everything.scores) == 0
    assert np.array_equal(some.masks, everything.masks[: len(some.scores)])


def test_a_picture_in_any_form_gives_the_same(model: Segmenter, pixels: np.ndarray, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    Image.fromarray(np.rot90(pixels)).save(tmp_path / "a.png", exif=exif)
    wanted = model.predict(pixels, 0.0)
    opened = Image.open(tmp_path / "a.png")
    forms = [tmp_path / "a.png", str(tmp_path / "a.png"), opened, Image.fromarray(pixels).convert("RGBA")]
    for form in [*forms, pixels[:, :, ::-1][:, :, ::-1]]:
        assert np.array_equal(model.predict(form, 0.0).boxes, wanted.boxes)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((60, 90), np.uint8), np.zeros((60, 90, 3), np.float32), np.zeros((0, 90, 3), np.uint8)],
)
def test_wrong_pixels_are_named(model: Segmenter, wrong: np.ndarray) -> None:
    with pytest.raises(UserError, match=r"must be \(H, W, 3\) uint8"):
        model.predict(wrong)


def test_wrong_files_are_named(model: Segmenter, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such checkpoint"):
        load_model(tmp_path / "absent.pt")
    with pytest.raises(UserError, match="not a readable image"):
        model.predict(tmp_path / "absent.jpg")


def test_the_import_stays_light() -> None:
    code = "import sys, pipeline; print(sorted({'torch', 'numpy', 'PIL', 'click'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
