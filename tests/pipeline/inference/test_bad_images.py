"""One bad image costs that image, by its name: the others are predicted, and all results are written."""

from __future__ import annotations

import contextlib
import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from blender.contract import write_atomic
from pipeline import load_model
from pipeline.data.rle import encode_mask
from pipeline.evaluation.run_model import run_model
from pipeline.inference.detections import Detections
from pipeline.inference.segmenter import Segmenter
from tests.pipeline.inference.commands import encode_video, noise, predict, read_results, write_image


def predicted(out: Path) -> set[str]:
    return {result["file_name"] for result in read_results(out)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png", "c.png"):
        write_image(tmp_path / "in" / name)
    return tmp_path / "in"


@pytest.mark.parametrize("name", ["L" * 250 + ".png", "漢" * 80 + ".jpg", "é" * 125 + ".gif"])
def test_images_with_long_names_are_drawn(quick_model: Path, folder: Path, tmp_path: Path, name: str) -> None:
    write_image(folder / name)
    run = predict(quick_model, folder, out=tmp_path / "out")
    assert run.exit_code == 0, run.output
    assert name in predicted(tmp_path / "out") and len(list((tmp_path / "out").iterdir())) == 6


@pytest.mark.parametrize("size", [(1, 3000), (3000, 1), (2, 900), (1, 1)])
def test_lines_of_pixels_are_predicted(model: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    write_image(tmp_path / "in" / "line.png", size=size)
    write_image(tmp_path / "in" / "z.png")
    run = predict(model, tmp_path / "in", out=tmp_path / "out")
    assert run.exit_code == 0, run.output
    assert "in 2 of 2 images" in run.output and "z.png" in predicted(tmp_path / "out")
    assert Image.open(tmp_path / "out" / "line.png").size == size


@pytest.mark.parametrize(("video", "number"), [(True, errno.ENOSPC), (False, errno.EDQUOT)])
def test_full_disk_keeps_the_results_of_earlier_images(
    quick_model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, video: bool, number: int
) -> None:
    last = encode_video(folder / "d.mp4", "libx264", "yuv420p") if video else folder / "c.png"

    class FullDisk(io.BytesIO):
        def write(self, data: Any) -> int:
            if self.tell() + len(data) > 100:
                raise OSError(number, os.strerror(number))
            return super().write(data)

    def fails(path: Path, *data: bytes) -> Any:
        if path.stem == last.stem:
            raise OSError(number, os.strerror(number), str(path))
        return write_atomic(path, *data)

    @contextlib.contextmanager
    def opens(path: Path) -> Iterator[FullDisk]:
        yield FullDisk()

    whole, out = tmp_path / "whole", tmp_path / "out"
    assert predict(quick_model, folder, last, out=whole).exit_code == 0
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.inference.drawings.write_atomic", fails)
        patch.setattr("pipeline.inference.video.open_atomic", opens)
        run = predict(quick_model, folder, last, out=out)
    assert run.exit_code == 2 and run.output.splitlines()[-1].endswith(os.strerror(number))
    assert predicted(out) == {"a.png", "b.png"} | ({"c.png"} if video else set())
    assert predict(quick_model, folder, last, out=out).exit_code == 0
    assert (out / "predictions.json").read_bytes() == (whole / "predictions.json").read_bytes()


@pytest.mark.parametrize("number", [errno.ENAMETOOLONG, errno.EIO, errno.EACCES, errno.EISDIR])
def test_drawing_that_cannot_be_written_keeps_its_results(
    quick_model: Path, folder: Path, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: Path, data: bytes) -> None:
        if path.name == "b.png":
            raise OSError(number, "as on a strange disk")
        write_atomic(path, data)

    monkeypatch.setattr("pipeline.inference.drawings.write_atomic", fails)
    run = predict(quick_model, folder, out=tmp_path / "out")
    assert run.exit_code == 1
    assert "b.png: the drawing cannot be written: as on a strange disk" in run.output
    assert "in 3 of 3 images" in run.output and predicted(tmp_path / "out") == {"a.png", "b.png", "c.png"}


def test_folder_in_the_place_of_a_drawing_is_named(quick_model: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "b.png").mkdir(parents=True)
    run = predict(quick_model, folder, out=tmp_path / "out")
    assert run.exit_code == 1 and "b.png: the drawing cannot be written: Is a directory" in run.output
    assert predicted(tmp_path / "out") == {"a.png", "b.png", "c.png"}


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("CUDA out of memory. Tried to allocate 9 GiB"),
    ],
)
def test_image_for_which_the_memory_does_not_suffice_is_named(
    quick_model: Path, folder: Path, tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(folder / "b.png", size=(90, 50))
    works = Segmenter.predict

    def fails(self: Segmenter, image: Any, threshold: float | None = None) -> Detections:
        if image.shape[1] == 90:
            raise error
        return works(self, image, threshold)

    monkeypatch.setattr(Segmenter, "predict", fails)
    run = predict(quick_model, folder, out=tmp_path / "out")
    assert run.exit_code == 1
    assert "b.png: too large for the memory of this machine" in run.output
    assert "in 2 of 3 images" in run.output and predicted(tmp_path / "out") == {"a.png", "c.png"}


def test_errors_of_the_program_are_not_taken_for_bad_images(
    quick_model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Segmenter, image: Any, threshold: float | None = None) -> Detections:
        raise RuntimeError("sizes do not match")

    monkeypatch.setattr(Segmenter, "predict", fails)
    run = predict(quick_model, folder, out=tmp_path / "out")
    assert isinstance(run.exception, RuntimeError)


def test_unreadable_files_of_several_kinds_are_named_together(
    quick_model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
    write_image(folder / "bomb.png", size=(300, 200))
    (folder / "cut.jpg").write_bytes(write_image(tmp_path / "x.jpg").read_bytes()[:500])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.tif").write_text("no image")
    run = predict(quick_model, folder, out=tmp_path / "out")
    assert run.exit_code == 1
    reasons = {"empty.png": "the file is empty", "text.tif": "its content is not that of an image"}
    for name in ("bomb.png", "cut.jpg", "empty.png", "text.tif"):
        assert f"{name}: not a readable image: {reasons.get(name, '')}" in run.output
    assert "in 3 of 7 images" in run.output and predicted(tmp_path / "out") == {"a.png", "b.png", "c.png"}


def test_large_image_is_predicted_at_a_smaller_size_with_results_of_its_own(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "wide.png"
    noise((300, 200)).resize((1200, 800)).save(path)
    whole = load_model(path=model).predict(path, threshold=0.0)
    monkeypatch.setattr("pipeline.inference.segmenter.MAX_PIXELS", 300_000)
    monkeypatch.setattr("pipeline.inference.prediction_run.MAX_PIXELS", 300_000)
    shrunk = load_model(path=model).predict(path, threshold=0.0)
    assert shrunk.image_size == whole.image_size == (800, 1200)
    assert shrunk.masks.shape[1:] == (800, 1200)
    for box, mask in zip(shrunk.boxes, shrunk.masks, strict=True):
        if mask.any():
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            assert box[0] < columns[-1] and box[2] > columns[0] and box[1] < rows[-1] and box[3] > rows[0]
    run = predict(model, path, out=tmp_path / "out")
    assert run.exit_code == 0, run.output
    assert "note: large images are read at a smaller size: wide.png (1200x800 at 600x400)" in run.output
    assert {tuple(r["segmentation"]["size"]) for r in read_results(tmp_path / "out")} == {(800, 1200)}
    assert Image.open(tmp_path / "out" / "wide.png").size == (600, 400)


def test_evaluation_predicts_large_images_as_predict_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def model(pixels: npt.NDArray[np.uint8]) -> Detections:
        assert pixels.shape == (400, 600, 3)
        mask = encode_mask(np.ones((400, 600), np.uint8))
        box = np.array([[0, 0, 600, 400]], np.float32)
        return Detections(box, np.array([1]), np.array([0.5], np.float32), [mask], (400, 600))

    monkeypatch.setattr("pipeline.evaluation.run_model.MAX_PIXELS", 300_000)
    path = write_image(tmp_path / "a.png", size=(1200, 800))
    (result,), _ = run_model(model, [{"id": 7, "width": 1200, "height": 800}], {7: path}, {1: 1})
    assert result["bbox"] == [0, 0, 1200, 800] and result["segmentation"]["size"] == [800, 1200]


def test_resized_detections_cover_the_same_part_of_the_image() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((20, 30)) < 0.5
    detections = Detections(
        np.array([[3, 4, 12, 16]], np.float32), np.array([1]), np.array([0.5], np.float32),
        [encode_mask(mask)], (20, 30),
    )  # fmt: skip
    doubled = detections.resize((60, 40))
    assert np.array_equal(doubled.masks[0], mask.repeat(2, 0).repeat(2, 1))
    assert doubled.boxes.tolist() == [[6, 8, 24, 32]]
    assert np.array_equal(doubled.resize((30, 20)).masks[0], mask)
    assert detections.resize((30, 20)) is detections
    assert detections.resize((91, 33)).masks.shape == (1, 33, 91)
