"""predict --event-distance on videos of boards with known paths: times, files, interruptions, mistakes."""

from __future__ import annotations

import csv
import functools
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from pycocotools import mask as mask_utils

from pipeline.inference.detections import Detections
from pipeline.inference.segmenter import Segmenter
from pipeline.inference.video import open_video
from pipeline.metres.camera import Camera
from pipeline.metres.results import NOTICE
from tests.helpers.squares import squares_segmenter
from tests.pipeline.inference.commands import encode_video, predict, write_image
from tests.pipeline.metres.boards import SIZE, board

CAMERA = Camera(1.6, -10.0, fov=80.0)
FRAMES, RATE = 24, 8
TRUCK = (0.8, 4.5)
LIMIT = 1.6
"""Metres; the person is closer from frame 8 on."""


@pytest.fixture
def boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that detects red boards as pedestrians and blue ones as pallet trucks."""
    monkeypatch.setattr("pipeline.inference.predict.load", lambda path, classes: squares_segmenter())
    path = tmp_path / "boards.safetensors"
    path.write_bytes(b"model")
    (tmp_path / "camera.toml").write_text("height = 1.6\npitch = -10\nfov = 80\n")
    return path


def person_at(frame: int) -> tuple[float, float]:
    """Return the person's floor position: from the left to the truck's side at 1 m/s, then it stands."""
    return min(-1.65 + frame / RATE, -0.15), 4.2


def true_gap(frame: int) -> float:
    return float(np.hypot(*np.subtract(person_at(frame), TRUCK)))


@functools.cache
def draw(frame: int, hidden: bool = False) -> Image.Image:
    pixels = np.full((SIZE[1], SIZE[0], 3), 20, np.uint8)
    for channel, (x, z), height in ((2, TRUCK, 1.2), (0, person_at(frame), 1.75)):
        if not (hidden and channel == 0):
            pixels[mask_utils.decode(board(CAMERA, x, z, 0.5, height)["segmentation"]) > 0, channel] = 230
    return Image.fromarray(pixels)


def write_boards(path: Path, hidden: range = range(0)) -> Path:
    with open_video(path, SIZE) as append:
        for frame in range(FRAMES):
            append(draw(frame, frame in hidden), frame / RATE)
    return path


def run(model: Path, *words: object, out: Path, distance: float = LIMIT) -> Result:
    options = ["--track", "--camera-file", model.parent / "camera.toml", "--event-distance", distance]
    return predict(model, *words, *options, out=out, threshold=None)


def read_events(out: Path) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = json.loads((out / "events.json").read_bytes())["events"]
    return events


def test_event_of_a_known_path(boards: Path, tmp_path: Path) -> None:
    """A flat board is thinner than a person, so its distance is less exact: 4 frames are 0.5 m."""
    close = [frame for frame in range(FRAMES) if true_gap(frame) < LIMIT]
    assert close[0] == 8 and close[-1] == FRAMES - 1
    video, out = write_boards(tmp_path / "a.mp4", hidden=range(19, 22)), tmp_path / "out"
    done = run(boards, video, out=out)
    assert done.exit_code == 0, done.output
    assert f"note: {NOTICE}" in done.output
    assert "closer than 1.6 m to a truck for longer than 1 s -> " in done.output
    (event,) = read_events(out)
    assert abs(event["start_frame"] - 8) <= 4 and event["end_frame"] == FRAMES - 1 and event["ongoing"]
    assert event["start_seconds"] == pytest.approx(event["start_frame"] / RATE, abs=0.01)
    assert event["closest_low"] <= true_gap(FRAMES - 1) <= event["closest_high"]
    assert event["closest"] == pytest.approx(true_gap(FRAMES - 1), abs=0.25)
    with (out / "events.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row == {name: str(value) for name, value in event.items()}
    assert run(boards, video, out=out, distance=0.3).exit_code == 0
    assert read_events(out) == [], "another distance replaces the file"
    assert run(boards, video, "--event-seconds", 30, out=out).exit_code == 0
    assert read_events(out) == []


def test_interrupted_run_ends_with_the_same_events(
    boards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = [write_boards(tmp_path / name) for name in ("a.mp4", "b.mp4")]
    whole, out = tmp_path / "whole", tmp_path / "out"
    run(boards, *videos, out=whole)
    assert [event["file_name"] for event in read_events(whole)] == ["a.mp4", "b.mp4"]
    real, count = Segmenter.predict, 0

    def interrupt(self: Segmenter, image: Any, threshold: float | None = None) -> Detections:
        nonlocal count
        count += 1
        if count == 46:  # in the second video, during its event
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self, image, threshold)

    monkeypatch.setattr(Segmenter, "predict", interrupt)
    assert run(boards, *videos, out=out).exit_code == 143
    assert len(read_events(out)) == 2, "the events so far are a valid file"
    assert run(boards, *videos, out=out).exit_code == 0
    for name in ("events.json", "events.csv"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()


def test_numbered_images_are_a_video(boards: Path, tmp_path: Path) -> None:
    """One of the images is missing, one is damaged; numbers sort by value, and give the time."""
    frames, out = tmp_path / "frames", tmp_path / "out"
    frames.mkdir()
    for frame in range(FRAMES):
        if frame != 6:
            draw(frame).save(frames / f"hall_{frame + 95}.png")
    (frames / "hall_107.png").write_bytes(b"damaged")
    done = run(boards, frames, "--frame-rate", RATE, out=out)
    assert done.exit_code == 1 and "hall_107.png" in done.output, done.output
    (event,) = read_events(out)
    assert abs(event["start_frame"] - 8) <= 4 and event["end_seconds"] == (FRAMES - 1) / RATE
    assert event["file_name"] == "frames" and (out / "frames.mp4").is_file()
    tracks = json.loads((out / "tracks.json").read_bytes())
    assert [i["frame_id"] for i in tracks["images"]] == [n for n in range(FRAMES) if n not in (6, 12)]
    assert tracks["videos"][0]["fps"] == RATE


def test_mistakes_with_events_are_one_line(
    boards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, video = tmp_path / "out", write_boards(tmp_path / "a.mp4", range(FRAMES))
    raw = encode_video(tmp_path / "raw.mjpeg", "mjpeg", "yuvj420p", format="mjpeg")
    photo = write_image(tmp_path / "frames" / "hall.png")
    (tmp_path / "folder" / "events.csv").mkdir(parents=True)

    def mistake(*words: object, out: Path = out) -> str:
        done = run(boards, *words, out=out)
        assert done.exit_code == 2 and done.output.count("\n") == 1, done.output
        return done.output

    assert "raw.mjpeg: a video that states no rate, which events need; give --frame-rate" in mistake(raw)
    assert "no number in its name" in mistake(photo.parent, "--frame-rate", 8)
    assert "all of these are images (numbered ones: give --frame-rate)" in mistake(photo)
    assert "there are none" in mistake(video, "--frame-rate", 8)
    assert "events.csv: a folder" in mistake(video, out=tmp_path / "folder")
    twice = [write_image(tmp_path / "twice" / name) for name in ("a1.png", "b1.png")]
    assert "the same number as a1.png" in mistake(twice[0].parent, "--frame-rate", 8)
    assert not out.exists()
    people = Segmenter(None, ("pedestrian",), 0.5, lambda pixels: pytest.fail("the model ran"))
    monkeypatch.setattr("pipeline.inference.predict.load", lambda path, classes: people)
    wanted = "--event-distance needs a class of pallet_truck, forklift"
    assert wanted in mistake(video) and not list(out.iterdir())


def test_rate_of_a_raw_video_is_that_of_the_option(boards: Path, tmp_path: Path) -> None:
    raw = encode_video(tmp_path / "raw.mjpeg", "mjpeg", "yuvj420p", format="mjpeg")
    out = tmp_path / "out"
    assert run(boards, raw, "--frame-rate", 4, out=out).exit_code == 0
    tracks = json.loads((out / "tracks.json").read_bytes())
    assert tracks["videos"][0]["fps"] == 4 and len(tracks["images"]) == 5
