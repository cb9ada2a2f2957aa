"""Videos and cameras: written frames are read again at their times, and damaged videos end early."""

from __future__ import annotations

import csv
import itertools
import json
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from blender.contract import UserError
from pipeline.inference import video
from pipeline.inference.sources import find_sources
from pipeline.inference.video import open_video, read_camera, read_header, read_video
from tests.pipeline.inference.commands import encode_video, predict, read_results


def write_video(path: Path, frames: int = 5, size: tuple[int, int] = (81, 60)) -> Path:
    """Write a video whose frame n has grey 20 n in its left half, and 255 - 20 n in its right half."""
    with open_video(path, size) as append:
        for number in range(frames):
            pixels = np.full((size[1], size[0], 3), 255 - 20 * number, np.uint8)
            pixels[:, : size[0] // 2] = 20 * number
            append(Image.fromarray(pixels), number * 0.1 + (number > 2) * 0.25)
    return path


def test_written_videos_are_read_again(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    assert read_header(path).frames == 5 and [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    frames = list(read_video(path))
    assert [frame.number for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.seconds for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.55, 0.65], abs=1e-3)
    for frame in frames:
        assert frame.pixels.shape == (60, 82, 3), "an odd width gets one column more"
        assert abs(int(frame.pixels[30, 10, 0]) - 20 * frame.number) < 6
        assert abs(int(frame.pixels[30, 70, 2]) - 255 + 20 * frame.number) < 6


def test_videos_are_rotated_by_their_metadata(tmp_path: Path) -> None:
    with av.open(tmp_path / "a.mp4", "w") as container:
        track = container.add_stream("libx264", rate=10)
        track.width, track.height, track.pix_fmt = 80, 60, "yuv420p"
        track.set_display_rotation(90)
        pixels = np.zeros((60, 80, 3), np.uint8)
        pixels[:30] = 255
        container.mux(track.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(track.encode(None))
    (frame,) = read_video(tmp_path / "a.mp4")
    assert frame.pixels.shape == (80, 60, 3)
    assert frame.pixels[:, :20].min() > 200 and frame.pixels[:, 40:].max() < 60


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "container"),
    [
        ("a.mjpeg", "mjpeg", "yuvj420p", "mjpeg"),
        ("a.ts", "mpeg2video", "yuv420p", "mpegts"),
        ("a.3gp", "mpeg4", "yuv420p", "3gp"),
        ("a.flv", "flv", "yuv420p", "flv"),
        ("no-ending", "mpeg4", "yuv420p", "mp4"),
        ("a.dat", "mpeg2video", "yuv420p", "mpeg"),
        ("photo.jpg", "libx264", "yuv420p", "mp4"),
    ],
)
def test_video_is_recognised_whatever_its_ending(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, container: str
) -> None:
    path = encode_video(tmp_path / name, codec, pix_fmt, format=container)
    (source,) = find_sources((path,)).sources
    assert source.is_video
    assert len(list(read_video(path))) == 5


def test_texts_and_damaged_images_are_no_videos(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("a text that FFmpeg would draw\n" * 9)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99))
    (tmp_path / "empty.mp5").write_bytes(b"")
    for name in ("notes.txt", "a.png", "empty.mp5"):
        (source,) = find_sources((tmp_path / name,)).sources
        assert not source.is_video, name


@pytest.mark.parametrize(
    ("aspect", "rotation", "size"),
    [
        (Fraction(2), 0, (60, 160)),
        (Fraction(8, 9), 0, (60, 71)),
        (Fraction(16, 11), 90, (116, 60)),
        (Fraction(1, 100), 0, (60, 80)),
    ],
)
def test_frames_are_stretched_to_square_pixels(
    tmp_path: Path, aspect: Fraction, rotation: int, size: tuple[int, int]
) -> None:
    path = tmp_path / "a.mp4"
    with av.open(path, "w") as container:
        track = container.add_stream("libx264", rate=10)
        track.width, track.height, track.pix_fmt = 80, 60, "yuv420p"
        track.codec_context.sample_aspect_ratio = aspect
        if rotation:
            track.set_display_rotation(rotation)
        pixels = np.zeros((60, 80, 3), np.uint8)
        pixels[:, :40] = 255
        container.mux(track.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(track.encode(None))
    (frame,) = read_video(path)
    assert frame.pixels.shape[:2] == size
    assert frame.pixels.mean() == pytest.approx(127.5, abs=4), "half of the picture stays white"


def test_predict_names_stretched_videos_and_draws_them_as_shown(quick_model: Path, tmp_path: Path) -> None:
    path = encode_video(
        tmp_path / "dvd.mp4", "libx264", "yuv420p", frames=2, sample_aspect_ratio=Fraction(3, 2)
    )
    run = predict(quick_model, path, out=tmp_path / "out")
    assert run.exit_code == 0, run.output
    assert "note: pixels of videos are made square: dvd.mp4 (80x60 to 120x60)" in run.output
    assert {r["segmentation"]["size"] == [60, 120] for r in read_results(tmp_path / "out")} == {True}
    assert [frame.pixels.shape for frame in read_video(tmp_path / "out" / "dvd.mp4")] == [(60, 120, 3)] * 2


def test_file_with_sound_alone_is_named(quick_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(path, "w") as container:
        track = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
    run = predict(quick_model, path, out=tmp_path / "out")
    assert run.exit_code == 1
    assert "sound.mp4: not a readable video: it has no video stream" in run.output


def test_predict_takes_videos_and_images_together(model: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "in" / "a.mp4")
    Image.new("RGB", (80, 60), (90, 120, 60)).save(tmp_path / "in" / "b.png")
    out = tmp_path / "out"
    run = predict(model, tmp_path / "in" / "*", "--frames", 3, out=out)
    assert run.exit_code == 0, run.output
    assert "in 4 of 4 images" in run.output
    assert sorted(p.name for p in out.iterdir()) == ["a.mp4", "b.png", "predictions.csv", "predictions.json"]
    drawn = list(read_video(out / "a.mp4"))
    assert [frame.seconds for frame in drawn] == pytest.approx([0, 0.1, 0.2], abs=1e-3)
    results = json.loads((out / "predictions.json").read_bytes())
    assert {(r["image_id"], r["file_name"], r.get("frame"), r.get("seconds")) for r in results} == {
        (1, "a.mp4", 0, 0.0), (2, "a.mp4", 1, 0.1), (3, "a.mp4", 2, 0.2), (4, "b.png", None, None),
    }  # fmt: skip
    with (out / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(results)
    for row, result in zip(rows, results, strict=True):
        assert [float(row[side]) for side in ("left", "top", "width", "height")] == result["bbox"]
        assert (row["category_name"], float(row["score"])) == (result["category_name"], result["score"])
        assert row["frame"] == str(result.get("frame", ""))


def test_damaged_frame_costs_that_frame_only(model: Path, tmp_path: Path) -> None:
    intact = tmp_path / "intact.mkv"
    with av.open(intact, "w") as container:
        track = container.add_stream("mjpeg", rate=10)
        track.width, track.height, track.pix_fmt = 80, 60, "yuvj420p"
        for number in range(6):
            pixels = np.random.default_rng(number).integers(0, 256, (60, 80, 3), np.uint8)
            container.mux(track.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(track.encode(None))
    data = bytearray(intact.read_bytes())
    starts = [i for i in range(len(data)) if data[i : i + 3] == b"\xff\xd8\xff"]  # of JPEG frames
    data[starts[3] : starts[4] - 60] = bytes(starts[4] - 60 - starts[3])
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(data)
    run = predict(model, broken, out=tmp_path / "out")
    assert run.exit_code == 1
    assert "broken.mkv: 1 frame cannot be decoded: frame 3 (" in run.output
    assert "in 5 of 6 images" in run.output
    drawn = list(read_video(tmp_path / "out" / "broken.mp4"))
    assert [frame.seconds for frame in drawn] == pytest.approx([0, 0.1, 0.2, 0.4, 0.5], abs=1e-3)
    results = json.loads((tmp_path / "out" / "predictions.json").read_bytes())
    assert {r["frame"] for r in results} == {0, 1, 2, 4, 5}


def test_unreadable_videos_and_missing_cameras_are_named(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_video(tmp_path / "a.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(data[: len(data) // 2])
    run = predict(model, tmp_path / "half.mp4", out=tmp_path / "out")
    assert run.exit_code == 1 and "half.mp4: not a readable video: " in run.output
    assert not (tmp_path / "out" / "half.mp4").exists()
    run = predict(model, "--camera", 63, out=tmp_path / "none")
    assert run.exit_code == 2 and "error: camera 63: cannot be read (" in run.output
    assert list((tmp_path / "none").iterdir()) == []
    monkeypatch.setitem(sys.modules, "av", None)
    run = predict(model, tmp_path / "a.mp4", out=tmp_path / "out")
    assert run.exit_code == 2 and "pip install 'transpalette[video]'" in run.output
    with pytest.raises(UserError, match=r"pip install 'transpalette\[video\]'"):
        next(read_camera(0))


def test_camera_frames_are_predicted_in_real_time(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FFmpeg's test image, in real time, takes the place of a camera."""
    monkeypatch.setitem(video._CAMERAS, sys.platform, ("testsrc=rate=20:size=96x64,realtime", "lavfi"))
    done = predict(model, "--camera", 0, "--frames", 4, out=tmp_path / "out")
    assert done.exit_code == 0, done.output
    frames = list(read_video(tmp_path / "out" / "camera-0.mp4"))
    assert [frame.pixels.shape for frame in frames] == [(64, 96, 3)] * 4
    results = json.loads((tmp_path / "out" / "predictions.json").read_bytes())
    assert {(r["file_name"], r["picture"]) for r in results} == {("camera 0", "camera-0.mp4")}
    times = sorted({(r["frame"], r["seconds"]) for r in results})
    assert len(times) == 4 and all(seconds == pytest.approx(frame / 20, abs=2e-3) for frame, seconds in times)


def test_slow_reader_of_a_camera_skips_late_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(video._CAMERAS, sys.platform, ("testsrc=rate=20:size=96x64,realtime", "lavfi"))
    start, numbers = time.monotonic(), []
    for frame in itertools.islice(read_camera(0), 4):
        assert time.monotonic() - start - frame.seconds < 1.0, "the reader falls behind the camera"
        numbers.append(frame.number)
        time.sleep(0.5)
    assert numbers == sorted(set(numbers)) and numbers[-1] >= 15, "late frames are skipped"
