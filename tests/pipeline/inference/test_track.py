"""predict --track: ids that stay over a video, the files of tracks, interruptions, and memory."""

from __future__ import annotations

import csv
import json
import os
import signal
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from pycocotools.coco import COCO

from pipeline.inference.detections import Detections
from pipeline.inference.segmenter import Segmenter
from pipeline.inference.video import open_video, read_video
from tests.helpers.squares import HEIGHT, RATE, WIDTH, draw_squares, squares_segmenter
from tests.pipeline.inference.commands import predict, read_results, write_image


@pytest.fixture
def squares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that detects red squares as pedestrians and blue ones as pallet trucks."""
    monkeypatch.setattr("pipeline.inference.predict.load", lambda path, classes: squares_segmenter())
    path = tmp_path / "squares.safetensors"
    path.write_bytes(b"model")
    return path


def write_squares(path: Path, frames: int = 16, red: Callable[[int], int] = lambda frame: 230) -> Path:
    """Write a video of squares; see ``draw_squares``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_video(path, (WIDTH, HEIGHT)) as append:
        for frame in range(frames):
            append(Image.fromarray(draw_squares(frame, red)), frame / RATE)
    return path


def track(model: Path, *words: object, out: Path) -> Result:
    return predict(model, *words, "--track", out=out, threshold=None)


def read_tracks(out: Path) -> dict[str, Any]:
    tracks: dict[str, Any] = json.loads((out / "tracks.json").read_bytes())
    return tracks


def test_ids_stay_over_a_video_and_are_in_all_files(squares: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = track(squares, write_squares(tmp_path / "a.mp4"), out=out)
    assert run.exit_code == 0, run.output
    assert "16 pallet truck, 16 pedestrian on 2 tracks in 16 of 16 images" in run.output
    results = read_results(out)
    ids = {(r["category_name"], r["track_id"]) for r in results}
    assert len(ids) == 2 and {name for name, _ in ids} == {"pedestrian", "pallet_truck"}
    with (out / "predictions.csv").open(newline="") as stream:
        assert [int(row["track_id"]) for row in csv.DictReader(stream)] == [r["track_id"] for r in results]
    with (out / "tracks.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(int(row["frame"]), float(row["seconds"]), int(row["track_id"])) for row in rows] == [
        (r["frame"], r["seconds"], r["track_id"]) for r in results
    ]
    coco = COCO(str(out / "tracks.json"))
    assert coco.dataset["videos"] == [
        {"fps": pytest.approx(RATE, abs=0.5), "height": 96, "id": 1, "name": "a.mp4", "width": 160}
    ]
    assert [(i["video_id"], i["frame_id"]) for i in coco.dataset["images"]] == [(1, n) for n in range(16)]
    for annotation, result in zip(coco.dataset["annotations"], results, strict=True):
        assert annotation["track_id"] == annotation["instance_id"] == result["track_id"]
        assert annotation["bbox"] == result["bbox"] and annotation["image_id"] == result["image_id"]
        assert coco.annToMask(annotation).sum() == annotation["area"] > 0
    assert not (out / "predictions.resume.json").exists()


def test_trails_are_drawn_behind_the_objects(squares: Path, tmp_path: Path) -> None:
    video, out = write_squares(tmp_path / "a.mp4"), tmp_path / "out"
    track(squares, video, out=out)
    predict(squares, video, out=tmp_path / "plain", threshold=None)
    tracked, plain = (list(read_video(folder / "a.mp4"))[-1].pixels for folder in (out, tmp_path / "plain"))
    # The red square's foot point went from x = 16 to 91 at y = 32.
    behind = np.s_[30:34, 30:70]
    assert plain[behind].max() < 60
    assert tracked[behind].max(axis=(0, 2)).min() > 150


def test_weak_detection_continues_a_track_and_starts_none(squares: Path, tmp_path: Path) -> None:
    """Frames 5 to 7 are below the threshold of 0.5; ByteTrack connects them. Weak from the start: nothing."""
    video = write_squares(tmp_path / "a.mp4", red=lambda frame: 100 if 5 <= frame <= 7 else 230)
    weak = write_squares(tmp_path / "weak.mp4", red=lambda frame: 100)
    out = tmp_path / "out"
    assert track(squares, video, weak, out=out).exit_code == 0
    results = [r for r in read_results(out) if r["category_name"] == "pedestrian"]
    assert {r["file_name"] for r in results} == {"a.mp4"}
    assert [r["frame"] for r in results] == list(range(16)), "also those below the threshold"
    assert len({r["track_id"] for r in results}) == 1
    assert len([r for r in results if r["score"] < 0.5]) == 3
    predict(squares, video, out=tmp_path / "plain", threshold=None)
    assert all(r["score"] >= 0.5 and "track_id" not in r for r in read_results(tmp_path / "plain"))


def test_undetected_object_keeps_its_id_for_a_second(squares: Path, tmp_path: Path) -> None:
    """5 frames of 10 a second are within ByteTrack's second, 15 are not."""
    gaps = {"short.mp4": range(8, 13), "long.mp4": range(8, 23)}

    def write(name: str, gap: range) -> Path:
        return write_squares(tmp_path / name, 26, red=lambda frame: 20 if frame in gap else 230)

    videos = [write(name, gap) for name, gap in gaps.items()]
    assert track(squares, *videos, out=tmp_path / "out").exit_code == 0
    results = [r for r in read_results(tmp_path / "out") if r["category_name"] == "pedestrian"]
    count = {n: len({r["track_id"] for r in results if r["file_name"] == n} - {None}) for n in gaps}
    assert count == {"short.mp4": 1, "long.mp4": 2}


def test_ids_of_videos_differ_and_images_have_none(squares: Path, tmp_path: Path) -> None:
    videos = [write_squares(tmp_path / name, 4) for name in ("a.mp4", "b.mp4")]
    photo = write_image(tmp_path / "photo.png", size=(WIDTH, HEIGHT))
    out = tmp_path / "out"
    assert track(squares, videos[0], photo, videos[1], out=out).exit_code == 0
    tracks = read_tracks(out)
    videos_of = {a["track_id"]: a["video_id"] for a in tracks["annotations"]}
    assert videos_of == {1: 1, 2: 1, 3: 2, 4: 2}
    assert {i["id"] for i in tracks["images"]} == {1, 2, 3, 4, 6, 7, 8, 9}, "5 is the photograph"
    assert all("track_id" not in r for r in read_results(out) if r["file_name"] == "photo.png")


@pytest.mark.parametrize("at", [2, 9])
def test_interrupted_tracking_starts_the_video_over_and_ends_with_the_same_files(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    videos = [write_squares(tmp_path / name, 6) for name in ("a.mp4", "b.mp4")]
    whole, out = tmp_path / "whole", tmp_path / "out"
    track(squares, *videos, out=whole)
    real, count = Segmenter.predict, 0

    def interrupt(self: Segmenter, image: Any, threshold: float | None = None) -> Detections:
        nonlocal count
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self, image, threshold)

    monkeypatch.setattr(Segmenter, "predict", interrupt)
    run = track(squares, *videos, out=out)
    assert run.exit_code == 143
    assert "continue (a video that was interrupted starts over)" in run.output
    assert len(read_tracks(out)["images"]) == at, "the tracks so far are a valid file"
    count = -100
    run = track(squares, *videos, out=out)
    assert run.exit_code == 0 and f"{(at - 1) // 6} of 2 images done before" in run.output, run.output
    assert count == -100 + 12 - 6 * ((at - 1) // 6), "finished videos are not predicted again"
    assert sorted(p.name for p in out.iterdir()) == sorted(p.name for p in whole.iterdir())
    for path in whole.iterdir():
        if path.suffix != ".mp4":  # x264 with threads does not always write the same bytes
            assert (out / path.name).read_bytes() == path.read_bytes(), path.name
    assert [len(list(read_video(out / name))) for name in ("a.mp4", "b.mp4")] == [6, 6]


def test_results_without_tracks_are_not_continued_with_tracks(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos, out = [write_squares(tmp_path / name, 3) for name in ("a.mp4", "b.mp4")], tmp_path / "out"
    real = Segmenter.predict

    def interrupt(self: Segmenter, image: Any, threshold: float | None = None) -> Detections:
        os.kill(os.getpid(), signal.SIGTERM)
        return real(self, image, threshold)

    monkeypatch.setattr(Segmenter, "predict", interrupt)
    assert predict(squares, *videos, out=out, threshold=None).exit_code == 143
    monkeypatch.setattr(Segmenter, "predict", real)
    run = track(squares, *videos, out=out)
    assert run.exit_code == 0 and "had other inputs: all images are predicted" in run.output
    assert len(read_tracks(out)["images"]) == 6


def test_mistakes_with_tracking_are_named_before_anything_is_written(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, out = write_image(tmp_path / "photo.png"), tmp_path / "out"
    run = track(squares, photo, out=out)
    assert run.exit_code == 2 and run.output.count("\n") == 1
    assert "--track needs a video or a --camera" in run.output and not out.exists()
    (tmp_path / "folder" / "tracks.json").mkdir(parents=True)
    run = track(squares, write_squares(tmp_path / "a.mp4", 2), out=tmp_path / "folder")
    assert run.exit_code == 2 and "tracks.json: a folder, but the tracks need this name" in run.output
    monkeypatch.setitem(__import__("sys").modules, "supervision", None)
    run = track(squares, tmp_path / "a.mp4", out=out)
    assert run.exit_code == 2 and not out.exists()
    assert run.output == "error: tracking needs supervision: pip install 'transpalette[track]'\n"


def test_memory_does_not_grow_with_the_length_of_a_video(squares: Path, tmp_path: Path) -> None:
    """The red square disappears for two of three seconds, so tracks start and end all the time."""

    def peak(frames: int) -> int:
        video = write_squares(
            tmp_path / f"{frames}.mp4", frames, red=lambda frame: 230 if frame % 30 < 10 else 20
        )
        out = tmp_path / f"out-{frames}"
        tracemalloc.start()
        assert track(squares, video, out=out).exit_code == 0
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len({a["track_id"] for a in read_tracks(out)["annotations"]}) > frames / 35
        return size

    peak(30)  # imports
    short, long = peak(60), peak(600)
    assert long < short + 150_000, "540 frames more: less than 300 bytes for each"
