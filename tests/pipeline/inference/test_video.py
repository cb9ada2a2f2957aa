"""Videos and cameras: what is written is read again, at its times, upright; what is broken costs the rest."""

from __future__ import annotations

import csv
import itertools
import json
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from blender.contract import UserError
from pipeline.cli import main
from pipeline.inference import video
from pipeline.inference.video import frames_of, open_video, read_camera, read_video
from tests.helpers.synthetic import write_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    write_tiny_model(path)
    return path


def film(path: Path, frames: int = 5, size: tuple[int, int] = (81, 60)) -> Path:
    """A video whose frame n is of grey 20 n on the left, and the reverse on the right."""
    with open_video(path, size) as show:
        for number in range(frames):
            pixels = np.full((size[1], size[0], 3), 255 - 20 * number, np.uint8)
            pixels[:, : size[0] // 2] = 20 * number
            show(Image.fromarray(pixels), number * 0.1 + (number > 2) * 0.25)
    return path


def predict(model: Path, *words: object) -> Result:
    return CliRunner().invoke(main, ["predict", str(model), *map(str, words)])


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4")
    assert frames_of(path) == 5 and [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    shots = list(read_video(path))
    assert [shot.number for shot in shots] == [0, 1, 2, 3, 4]
    assert [shot.seconds for shot in shots] == pytest.approx([0, 0.1, 0.2, 0.55, 0.65], abs=1e-3)
    for shot in shots:
        assert shot.pixels.shape == (60, 82, 3), "an odd width gets one column more"
        assert abs(int(shot.pixels[30, 10, 0]) - 20 * shot.number) < 6
        assert abs(int(shot.pixels[30, 70, 2]) - 255 + 20 * shot.number) < 6


def test_videos_are_turned_as_they_say(tmp_path: Path) -> None:
    with av.open(tmp_path / "a.mp4", "w") as container:
        track = container.add_stream("libx264", rate=10)
        track.width, track.height, track.pix_fmt = 80, 60, "yuv420p"
        track.set_display_rotation(90)
        pixels = np.zeros((60, 80, 3), np.uint8)
        pixels[:30] = 255
        container.mux(track.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(track.encode(None))
    (shot,) = read_video(tmp_path / "a.mp4")
    assert shot.pixels.shape == (80, 60, 3)
    assert shot.pixels[:, :20].min() > 200 and shot.pixels[:, 40:].max() < 60


def test_a_video_beside_a_picture(model: Path, tmp_path: Path) -> None:
    film(tmp_path / "in" / "a.mp4")
    Image.new("RGB", (80, 60), (90, 120, 60)).save(tmp_path / "in" / "b.png")
    out = tmp_path / "out"
    run = predict(model, tmp_path / "in" / "*", "--out", out, "--threshold", 0, "--frames", 3)
    assert run.exit_code == 0, run.output
    assert "in 4 of 4 images" in run.output
    assert sorted(p.name for p in out.iterdir()) == ["a.mp4", "b.png", "predictions.csv", "predictions.json"]
    drawn = list(read_video(out / "a.mp4"))
    assert [shot.seconds for shot in drawn] == pytest.approx([0, 0.1, 0.2], abs=1e-3)
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


def test_a_broken_video_keeps_what_was_seen(model: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.mkv"
    with av.open(whole, "w") as container:
        track = container.add_stream("mjpeg", rate=10)
        track.width, track.height, track.pix_fmt = 80, 60, "yuvj420p"
        for number in range(6):
            pixels = np.random.default_rng(number).integers(0, 256, (60, 80, 3), np.uint8)
            container.mux(track.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(track.encode(None))
    data = bytearray(whole.read_bytes())
    at = [i for i in range(len(data)) if data[i : i + 3] == b"\xff\xd8\xff"]  # where a JPEG starts
    data[at[3] : at[4] - 60] = bytes(at[4] - 60 - at[3])
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(data)
    run = predict(model, broken, "--out", tmp_path / "out", "--threshold", 0)
    assert run.exit_code == 1
    assert (
        "broken.mkv: not a readable video from frame 3 on" in run.output and "in 3 of 4 images" in run.output
    )
    assert len(list(read_video(tmp_path / "out" / "broken.mp4"))) == 3
    results = json.loads((tmp_path / "out" / "predictions.json").read_bytes())
    assert {r["frame"] for r in results} == {0, 1, 2}


def test_no_video_and_no_camera(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = film(tmp_path / "a.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    run = predict(model, tmp_path / "half.mp4", "--out", tmp_path / "out")
    assert run.exit_code == 1 and "half.mp4: not a readable video: " in run.output
    assert not (tmp_path / "out" / "half.mp4").exists()
    run = predict(model, "--camera", 63, "--out", tmp_path / "none")
    assert run.exit_code == 2 and "error: camera 63: cannot be read (" in run.output
    assert list((tmp_path / "none").iterdir()) == []
    monkeypatch.setitem(sys.modules, "av", None)
    run = predict(model, tmp_path / "a.mp4", "--out", tmp_path / "out")
    assert run.exit_code == 2 and "pip install 'transpalette[video]'" in run.output
    with pytest.raises(UserError, match=r"pip install 'transpalette\[video\]'"):
        next(read_camera(0))


def test_a_camera_is_filmed_as_it_runs(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg's test picture, in real time, stands for the camera."""
    monkeypatch.setitem(video._CAMERAS, sys.platform, ("testsrc=rate=20:size=96x64,realtime", "lavfi"))
    done = predict(model, "--camera", 0, "--frames", 4, "--threshold", 0, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    shots = list(read_video(tmp_path / "out" / "camera-0.mp4"))
    assert [shot.pixels.shape for shot in shots] == [(64, 96, 3)] * 4
    results = json.loads((tmp_path / "out" / "predictions.json").read_bytes())
    assert {(r["file_name"], r["picture"]) for r in results} == {("camera 0", "camera-0.mp4")}
    times = sorted({(r["frame"], r["seconds"]) for r in results})
    assert len(times) == 4 and all(seconds == pytest.approx(frame / 20, abs=2e-3) for frame, seconds in times)


def test_a_slow_program_sees_what_the_camera_sees_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(video._CAMERAS, sys.platform, ("testsrc=rate=20:size=96x64,realtime", "lavfi"))
    began, shots = time.monotonic(), []
    for shot in itertools.islice(read_camera(0), 4):
        late = time.monotonic() - began - shot.seconds
        assert late < 1.0, "it does not fall behind"
        shots.append(shot.number)
        time.sleep(0.5)
    assert shots == sorted(set(shots)) and shots[-1] >= 15, "frames that nobody waited for are left out"
