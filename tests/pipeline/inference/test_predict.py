"""The command predict: images of all kinds, drawings and COCO results."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from blender.contract import UserError
from pipeline import load_model
from pipeline.cli import main
from pipeline.data.images import read_rgb
from pipeline.data.rle import encode_mask
from pipeline.inference.sources import find_images, find_sources
from pipeline.viz.overlays import IGNORED, Overlay, class_colour, draw_overlays
from tests.conftest import ROOT
from tests.pipeline.inference.commands import noise, predict, read_results, write_image


def test_only_the_named_classes_are_detected(model: Path, tmp_path: Path) -> None:
    image, out = write_image(tmp_path / "a.png"), tmp_path / "out"
    words = ["predict", str(model), str(image), "--out", str(out), "--threshold", "0"]
    run = CliRunner().invoke(main, [*words, "--classes", "pallet_truck"])
    assert run.exit_code == 0, run.output
    assert {(r["category_name"], r["category_id"]) for r in read_results(out)} == {("pallet_truck", 1)}
    run = CliRunner().invoke(main, [*words, "--classes", "pallet_trucks"])
    assert run.exit_code == 2 and "no class 'pallet_trucks'; it has: pedestrian, pallet_truck" in run.output


@pytest.mark.usefixtures("warehouse_file")
def test_without_a_model_the_shipped_detector_finds_people_and_trucks(tmp_path: Path) -> None:
    image, out = write_image(tmp_path / "a.png"), tmp_path / "out"
    words = ["predict", str(image), "--out", str(out), "--threshold", "0"]
    run = CliRunner().invoke(main, words)
    assert run.exit_code == 0, run.output
    found = {r["category_name"] for r in read_results(out)}
    assert found and found <= {"pedestrian", "pallet_truck"}
    run = CliRunner().invoke(main, [*words, "--classes", "forklift"])
    assert run.exit_code == 0, run.output
    assert {(r["category_name"], r["category_id"]) for r in read_results(out)} == {("forklift", 1)}
    assert load_model().classes == ("pedestrian", "pallet_truck")
    assert load_model(classes=["cage"]).classes == ("cage",)


def test_predict_writes_drawings_and_results(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_image(folder / "b.jpg")
    write_image(folder / "a.png", size=(60, 90))
    (folder / "notes.txt").write_text("no picture")
    out = tmp_path / "out"
    run = predict(model, folder, out=out)
    assert run.exit_code == 0, run.output
    assert sorted(p.name for p in out.iterdir()) == ["a.png", "b.jpg", "predictions.csv", "predictions.json"]
    results = json.loads((out / "predictions.json").read_bytes())
    assert {(r["image_id"], r["file_name"], r["picture"]) for r in results} == {
        (1, "a.png", "a.png"),
        (2, "b.jpg", "b.jpg"),
    }
    for r in results:
        assert r["category_name"] == ("pedestrian", "pallet_truck")[r["category_id"] - 1]
        assert r["segmentation"]["size"] == ([90, 60] if r["image_id"] == 1 else [60, 80])
        assert len(r["bbox"]) == 4 and 0 <= r["score"] <= 1
    assert Image.open(out / "b.jpg").format == "JPEG" and Image.open(out / "a.png").size == (60, 90)
    assert "in 2 of 2 images" in run.output


def test_threshold_that_is_no_number_is_refused(model: Path, tmp_path: Path) -> None:
    run = predict(model, write_image(tmp_path / "a.png"), out=tmp_path / "out", threshold=float("nan"))
    assert run.exit_code == 2 and "NaN is not in the range" in run.output


def test_default_threshold_is_the_checkpoints_own(model: Path, tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png")
    everything = predict(model, path, out=tmp_path / "o1")
    assert "score from 0.00" in everything.output
    own = predict(model, path, out=tmp_path / "o2", threshold=None)
    assert "score from 0.30" in own.output
    nothing = predict(model, path, out=tmp_path / "o3", threshold=1.0)
    assert "nothing in 1 of 1 images" in nothing.output
    assert json.loads((tmp_path / "o3" / "predictions.json").read_bytes()) == []
    assert np.array_equal(read_rgb(tmp_path / "o3" / "a.png"), read_rgb(path))


def test_drawings_of_equal_names_get_numbers(model: Path, tmp_path: Path) -> None:
    paths = [write_image(tmp_path / d / n) for d, n in (("x", "a.png"), ("y", "a.png"), ("z", "A.png"))]
    out = tmp_path / "out"
    assert predict(model, *paths, out=out).exit_code == 0
    assert sorted(p.name for p in out.glob("*.png")) == ["A-3.png", "a-2.png", "a.png"]
    results = json.loads((out / "predictions.json").read_bytes())
    assert {(r["image_id"], r["picture"]) for r in results} == {(1, "a.png"), (2, "a-2.png"), (3, "A-3.png")}


def test_the_input_image_is_never_replaced(model: Path, tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png")
    before = path.read_bytes()
    run = predict(model, path, out=tmp_path)
    assert run.exit_code == 2 and "give another --out" in run.output
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("L", "png"), ("P", "png"), ("RGBA", "png"), ("LA", "png"), ("1", "png"), ("CMYK", "jpg"), ("L", "tif")],
)
def test_images_of_any_mode_are_read_as_rgb(tmp_path: Path, mode: str, suffix: str) -> None:
    pixels = read_rgb(write_image(tmp_path / f"a.{suffix}", mode))
    assert pixels.shape == (60, 80, 3) and pixels.dtype == np.uint8 and pixels.std() > 10


def test_16_bit_grey_is_scaled_and_not_clipped(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, axis=0)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    assert np.array_equal(read_rgb(tmp_path / "a.png")[0, :, 0], np.arange(256))
    Image.fromarray((ramp / 65535).astype(np.float32)).save(tmp_path / "a.tif")
    assert np.array_equal(read_rgb(tmp_path / "a.tif")[0, :, 1], np.arange(256))
    palette = Image.new("P", (4, 4))
    palette.putpalette([10, 20, 30])
    palette.save(tmp_path / "p.png", transparency=b"\x80")
    assert read_rgb(tmp_path / "p.png")[0, 0].tolist() == [10, 20, 30]


def test_photographs_are_rotated_by_their_exif_data(model: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = write_image(tmp_path / "a.jpg", exif=exif)
    assert predict(model, path, out=tmp_path / "out").exit_code == 0
    assert Image.open(tmp_path / "out" / "a.jpg").size == (60, 80)


def test_damaged_image_is_reported_and_skipped(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_image(folder / "a.png")
    write_image(folder / "c.png")
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes()[:4000])
    run = predict(model, folder, out=tmp_path / "out")
    assert run.exit_code == 1
    assert "b.png: not a readable image" in run.output and "in 2 of 3 images" in run.output
    assert sorted(p.name for p in (tmp_path / "out").glob("*.png")) == ["a.png", "c.png"]
    results = json.loads((tmp_path / "out" / "predictions.json").read_bytes())
    assert {r["file_name"] for r in results} == {"a.png", "c.png"}


def test_wrong_arguments_are_named(model: Path, tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png")
    run = predict(model, tmp_path / "no.png", out=tmp_path / "out")
    assert run.exit_code == 2 and "no such image or folder" in run.output
    (tmp_path / "empty").mkdir()
    run = predict(model, tmp_path / "empty", out=tmp_path / "out")
    assert run.exit_code == 2 and "no image in this folder" in run.output
    (tmp_path / "file").write_text("")
    run = predict(model, path, out=tmp_path / "file" / "sub")
    assert run.exit_code == 2 and "give --out another name" in run.output
    run = predict(tmp_path / "no.safetensors", path, out=tmp_path / "out")
    assert run.exit_code == 2 and "no.safetensors" in run.output
    with pytest.raises(UserError, match="no image given"):
        find_sources(())


def test_overlays_change_only_the_mask_and_its_label() -> None:
    mask = np.zeros((60, 80), np.uint8)
    mask[30:50, 10:40] = 1
    grey = Image.new("RGB", (80, 60), (100, 100, 100))
    drawn = np.asarray(draw_overlays(grey, [Overlay(encode_mask(mask), class_colour(0))]))
    changed = (drawn != 100).any(axis=2)
    assert np.array_equal(changed, mask.astype(bool))
    assert drawn[30, 10, 2] > drawn[40, 20, 2] > 100, "the outline is stronger than the fill"
    labelled = np.asarray(draw_overlays(grey, [Overlay(encode_mask(mask), IGNORED, "pallet truck 0.87")]))
    assert (labelled[:29] != 100).any(), "the label is above the mask"
    assert np.array_equal(np.asarray(grey), np.full((60, 80, 3), 100)), "the input image is not changed"
    empty = Overlay(encode_mask(np.zeros((60, 80), np.uint8)), IGNORED, "x")
    assert np.array_equal(np.asarray(draw_overlays(grey, [empty])), np.asarray(grey))
    scaled = draw_overlays(grey.resize((160, 120)), [Overlay(encode_mask(mask), class_colour(1))])
    assert scaled.getpixel((40, 80)) != (100, 100, 100) and scaled.getpixel((150, 10)) == (100, 100, 100)


def test_patterns_match_images_in_folders(model: Path, tmp_path: Path) -> None:
    for name in ("a.png", "deep/b.png", "deep/c.jpg", "deep/notes.txt"):
        write_image(tmp_path / "in" / name) if name[-3:] != "txt" else (tmp_path / "in" / name).write_text("")
    assert [p.name for p in find_images((tmp_path / "in" / "**" / "*",))] == ["a.png", "b.png", "c.jpg"]
    assert [p.name for p in find_images((tmp_path / "in" / "dee?" / "[bc].*",))] == ["b.png", "c.jpg"]
    odd = write_image(tmp_path / "a[1].png")
    assert find_images((odd,)) == [odd], "an existing file is not a pattern"
    run = predict(model, tmp_path / "in" / "*.tif", out=tmp_path / "out")
    assert run.exit_code == 2 and "no image or video matches this pattern" in run.output


def test_results_are_written_completely_or_not_at_all(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / "in" / "a.png")
    write_image(tmp_path / "in" / "b.png")
    out = tmp_path / "out"
    assert predict(model, tmp_path / "in", out=out).exit_code == 0
    before = {path: path.read_bytes() for path in out.iterdir()}
    real = Image.Image.save

    def fails(self: Image.Image, stream: Any, **options: Any) -> None:
        if self.size == (30, 20):
            raise OSError(28, "No space left on device")
        real(self, stream, **options)

    write_image(tmp_path / "in" / "c.png", size=(30, 20))
    monkeypatch.setattr(Image.Image, "save", fails)
    assert predict(model, tmp_path / "in", out=out).exit_code == 2
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    (tmp_path / "o2" / "predictions.csv").mkdir(parents=True)
    run = predict(model, tmp_path / "in", out=tmp_path / "o2")
    assert run.exit_code == 2 and "predictions.csv: a folder" in run.output
    assert [p.name for p in (tmp_path / "o2").iterdir()] == ["predictions.csv"]


MEMORY = """
import sys
from pipeline.bench.measurement import own_peak_megabytes
from pipeline import load_model
from pipeline.cli import main
main(sys.argv[1:], standalone_mode=False)
print("PEAK", round(own_peak_megabytes()))
"""


def peak(*words: object) -> int:
    """The peak memory of a process with this command line, in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split("PEAK")[1])


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(model: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    (tmp_path / "in").mkdir()
    Image.fromarray(pixels).save(tmp_path / "in" / "000.png", compress_level=1)
    for number in range(1, 1000):
        (tmp_path / "in" / f"{number:03}.png").hardlink_to(tmp_path / "in" / "000.png")
    words = ("--threshold", 0, "--out", tmp_path / "out")
    few = peak("predict", model, tmp_path / "in" / "0[0-9]?.png", *words)
    many = peak("predict", model, tmp_path / "in", *words)
    size = (tmp_path / "out" / "predictions.json").stat().st_size / 2**20
    print(few, many, size)
    assert many - few < 10  # MiB


@pytest.mark.slow
def test_a_panorama_of_180_megapixels_fits_into_3_gb(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.png"  # the worst case: a JPEG can be decoded at a smaller size
    noise((200, 90)).resize((20_000, 9_000)).save(path, compress_level=1)
    assert peak("predict", model, path, "--threshold", 0, "--out", tmp_path / "out") < 3000
    assert Image.open(tmp_path / "out" / path.name).size == (10_000, 4_500)
    results = read_results(tmp_path / "out")
    assert results and {tuple(r["segmentation"]["size"]) for r in results} == {(9_000, 20_000)}


@pytest.mark.slow
def test_an_image_of_50_megapixels_fits_into_4_gb(model: Path, tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.jpg", size=(8660, 5774))
    assert peak("predict", model, path, "--threshold", 0, "--out", tmp_path / "out") < 4000
    assert Image.open(tmp_path / "out" / "a.jpg").size == (8660, 5774)
