"""Reading images of any pixel format, any number of frames and any size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from blender.contract import UserError
from pipeline.data import images
from pipeline.data.images import read_image, read_rgb
from pipeline.data.pixel_formats import scale_to_8_bits
from tests.conftest import ROOT

RAMP = np.linspace(0, 1, 256).reshape(16, 16)


def save(path: Path, pixels: np.ndarray[Any, Any], **options: Any) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize(
    ("name", "pixels", "note"),
    [
        ("a.png", (RAMP * 65535).round().astype(np.uint16), None),
        ("a.png", (RAMP * 4095).round().astype(np.uint16), "12 of 16 bits"),
        ("a.tif", (RAMP * 1023).round().astype(np.uint16), "10 of 16 bits"),
        ("a.tif", (RAMP * 16383).round().astype(np.int32), "14 of 16 bits"),
        ("a.tif", (RAMP * 2**24).round().astype(np.int32), "24 of 32 bits"),
        ("a.png", (RAMP * 255).round().astype(np.uint16), "8 of 16 bits"),
        ("a.tif", (RAMP * 2000 - 1000).round().astype(np.int32), "-1000 to 1000 as black to white"),
        ("a.png", (RAMP * 2000 + 7000).round().astype(np.uint16), "7000 to 9000 as black to white"),
        ("a.tif", RAMP.astype(np.float32), None),
        ("a.tif", (RAMP * 255).astype(np.float32), None),
        ("a.tif", (RAMP * 4096).astype(np.float32), "0 to 4096 as black to white"),
        ("a.tif", (RAMP * 1.5).astype(np.float32), "0 to 1.5 as black to white"),
        ("a.tif", (RAMP * 65535).astype(np.float32), "0 to 65535 as black to white"),
    ],
)
def test_deep_grey_is_scaled_by_the_range_that_it_uses(
    tmp_path: Path, name: str, pixels: np.ndarray[Any, Any], note: str | None
) -> None:
    image = read_image(save(tmp_path / name, pixels))
    difference = image.pixels.astype(int) - np.arange(256).reshape(16, 16, 1)
    assert np.abs(difference).max() <= 1
    assert [detail for _, detail in image.notes] == ([note] if note else [])


def test_dark_images_of_8_bits_are_not_scaled(tmp_path: Path) -> None:
    dark = (RAMP * 12).round().astype(np.uint8)
    assert np.array_equal(read_rgb(save(tmp_path / "a.png", dark))[..., 0], dark)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_images_without_any_value_are_black_without_a_note(value: float) -> None:
    levels, note = scale_to_8_bits(np.full((2, 3), value, np.float32))
    assert not levels.any() and note == ""


def test_pixels_without_a_value_do_not_count_for_the_range() -> None:
    values = (RAMP * 4096).astype(np.float32)
    values[0, :3] = np.nan, np.inf, -3.4e38
    assert scale_to_8_bits(values)[0].max() == 255
    assert np.abs(scale_to_8_bits(values)[0].ravel()[3:].astype(int) - np.arange(3, 256)).max() <= 1


@given(
    st.lists(st.floats(width=32), max_size=6).map(lambda values: np.array(values, np.float32))
    | st.lists(st.integers(-(2**31), 2**31 - 1), max_size=6).map(lambda values: np.array(values, np.int32))
)
def test_any_values_can_be_scaled(values: np.ndarray[Any, Any]) -> None:
    levels, _ = scale_to_8_bits(values)
    assert levels.dtype == np.uint8 and levels.shape == values.shape
    finite = np.isfinite(values) & (np.abs(values.astype(np.float64)) < 1e30)
    order = np.argsort(values[finite], kind="stable")
    assert (np.diff(levels[finite][order].astype(int)) >= 0).all(), "brighter values stay brighter"


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("with_pyav", [True, False])
def test_12_bits_in_16_bit_colour_are_not_read_almost_black(
    tmp_path: Path, suffix: str, with_pyav: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = (np.stack([RAMP, RAMP[::-1], RAMP.T], 2) * 4095).round().astype(np.uint16)
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w", format="image2") as container:
        track = container.add_stream(suffix, rate=1)
        track.width, track.height = 16, 16
        track.pix_fmt = "rgb48be" if suffix == "png" else "rgb48le"
        container.mux(track.encode(av.VideoFrame.from_ndarray(pixels, format=track.pix_fmt)))
        container.mux(track.encode(None))
    if not with_pyav:
        monkeypatch.setitem(sys.modules, "av", None)
    image = read_image(path)
    step = 1 if with_pyav else 17  # Pillow reads the upper 8 bits, of which 4 are used
    assert np.abs(image.pixels.astype(float) - pixels / 4095 * 255).max() <= step
    assert [detail for _, detail in image.notes] == ["12 of 16 bits"]


@pytest.mark.parametrize(
    ("suffix", "what"), [("gif", "frames"), ("png", "frames"), ("webp", "frames"), ("tif", "pages")]
)
def test_first_of_several_frames_is_read_with_a_note(tmp_path: Path, suffix: str, what: str) -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("black", "red", "white")]
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    image = read_image(path)
    assert image.notes == (("only the first frame or page is read", f"1 of 3 {what}"),)
    assert image.pixels.max() <= 4


def test_one_frame_gives_no_note(tmp_path: Path) -> None:
    for name in ("a.gif", "a.png", "a.webp", "a.tif", "a.avif", "a.jpg"):
        Image.new("RGB", (40, 30), "red").save(tmp_path / name)
        assert read_image(tmp_path / name).notes == (), name


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("a.jpg", "RGB"),
        ("a.jpg", "L"),
        ("a.jpg", "CMYK"),
        ("a.png", "RGB"),
        ("a.png", "P"),
        ("a.png", "I"),
    ],
)
def test_large_image_is_shrunk_while_it_is_read(tmp_path: Path, name: str, mode: str) -> None:
    wide = Image.linear_gradient("L").resize((1200, 300)).rotate(90, expand=True).rotate(-90, expand=True)
    if mode == "I":
        save(tmp_path / name, np.asarray(wide).astype(np.uint16) * 257)
    else:
        wide.convert(mode).save(tmp_path / name)
    image = read_image(tmp_path / name, max_pixels=10_000)
    assert image.pixels.shape == (50, 200, 3) and image.size == (1200, 300)
    assert image.notes == (("large images are read at a smaller size", "1200x300 at 200x50"),)
    full = read_rgb(tmp_path / name)
    assert np.abs(image.pixels.astype(int) - full[3::6, 3::6].astype(int)).mean() < 4
    unchanged = read_image(tmp_path / name, max_pixels=360_000)
    assert np.array_equal(unchanged.pixels, full) and unchanged.notes == ()


def test_shrunk_image_is_turned_by_its_exif_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (1200, 300), "white").save(tmp_path / "a.jpg", exif=exif)
    image = read_image(tmp_path / "a.jpg", upright=True, max_pixels=10_000)
    assert image.pixels.shape == (200, 50, 3) and image.size == (300, 1200)


def test_damaged_files_of_any_kind_give_one_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 255, (30, 40, 3), np.uint8))
    unreadable = 0
    for suffix in ("png", "jpg", "gif", "tif", "webp", "avif", "jp2", "bmp", "tga", "qoi"):
        image.save(tmp_path / f"a.{suffix}")
        data = (tmp_path / f"a.{suffix}").read_bytes()
        for attempt in range(12):
            broken = bytearray(data[: len(data) * (attempt + 1) // 13] if attempt % 2 else data)
            for place in rng.integers(0, min(200, len(broken)), 8):
                broken[place] = rng.integers(256)
            path = tmp_path / f"broken.{suffix}"
            path.write_bytes(broken)
            try:
                read_rgb(path)
            except UserError as error:
                assert str(error).startswith(f"{path}: not a readable image: ")
                unreadable += 1
    assert unreadable > 60


def test_images_beyond_the_limit_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "bomb.png", np.zeros((300, 300), np.uint8))
    assert 2 * (Image.MAX_IMAGE_PIXELS or 0) == images.MAX_PIXELS
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40_000)
    with pytest.raises(UserError, match="bomb"):
        read_rgb(path)


def test_heic_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"  # phones' files are often renamed
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500))
    with pytest.raises(UserError, match="install pillow-heif or export as JPEG"):
        read_rgb(path)


def test_installed_pillow_heif_is_used(tmp_path: Path) -> None:
    (tmp_path / "pillow_heif.py").write_text("def register_heif_opener():\n    print('registered')\n")
    code = "from pipeline.data.images import IMAGE_SUFFIXES; print('.heic' in IMAGE_SUFFIXES)"
    for path, output in ((f"{ROOT}", "False\n"), (f"{ROOT}:{tmp_path}", "registered\nTrue\n")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path / "..",
            env={"PYTHONPATH": path, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == output
