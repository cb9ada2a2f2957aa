"""tracks: figures that are known by hand, and the tracker beside the baseline on small videos."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from pipeline.cli import main
from pipeline.evaluation.tracks.metrics import (
    FramePair,
    FrameTracks,
    VideoResults,
    compute_track_metrics,
    resample_figures,
    to_intervals,
)
from tests.helpers.squares import HEIGHT, RATE, SIDE, TOPS, WIDTH, draw_squares, left_edges, squares_segmenter

BOX = [10, 10, 20, 40]


def frames_of(ids: Sequence[int | None], box: list[int] = BOX) -> list[FramePair]:
    """Return frames with object 7 in ``BOX``, tracked in ``box`` with these ids (None: not detected)."""
    truth = FrameTracks([7], [BOX])
    return [FramePair(truth, [], FrameTracks([i], [box]) if i else FrameTracks()) for i in ids]


def test_figures_of_an_id_switch_by_hand() -> None:
    """Half of 10 frames with one id, half with another: one switch, AssA = 5 / 10, IDF1 = 10 / 20."""
    perfect = compute_track_metrics([frames_of([3] * 10)])
    assert [perfect[name] for name in ("HOTA", "DetA", "AssA", "IDF1", "MOTA")] == [1, 1, 1, 1, 1]
    switched = compute_track_metrics([frames_of([3] * 5 + [4] * 5)])
    assert (switched["DetA"], switched["AssA"]) == (1, 0.5)
    assert (switched["HOTA"], switched["IDF1"], switched["MOTA"]) == (0.7071, 0.5, 0.9)
    assert (switched["ID_switches"], switched["objects"], switched["tracks"]) == (1, 1, 2)


def test_figures_of_missed_and_false_detections_by_hand() -> None:
    """2 of 10 frames are missed: MOTA 0.8, IDF1 = 16 / 18. A second track elsewhere is 10 false alarms."""
    missed = compute_track_metrics([frames_of([3] * 8 + [None] * 2)])
    assert (missed["MOTA"], missed["IDF1"], missed["DetA"]) == (0.8, round(16 / 18, 4), 0.8)
    elsewhere = [
        FramePair(frame.truth, frame.ignored, FrameTracks([3, 5], [BOX, [200, 10, 20, 40]]))
        for frame in frames_of([3] * 10)
    ]
    assert compute_track_metrics([elsewhere])["MOTA"] == 0.0
    ignored = [FramePair(frame.truth, [[190, 0, 60, 60]], frame.tracked) for frame in elsewhere]
    assert compute_track_metrics([ignored])["MOTA"] == 1.0, "the false alarms lie in an ignore region"
    over_all = [FramePair(frame.truth, [[0, 0, 300, 60]], frame.tracked) for frame in elsewhere]
    assert compute_track_metrics([over_all])["MOTA"] == 1.0, "also if it covers the object itself"


def test_videos_count_by_their_frames_and_ids_of_two_videos_are_apart() -> None:
    videos = [frames_of([3] * 6), frames_of([None] * 4)]
    figures = compute_track_metrics(videos)
    assert (figures["MOTA"], figures["objects"], figures["tracks"], figures["frames"]) == (0.6, 2, 1, 10)


def test_intervals_are_over_videos() -> None:
    """Half of the videos are perfect, half are missed: a resample has any share of them."""
    results = VideoResults([frames_of([3] * 6), frames_of([None] * 6)] * 4)
    draws = resample_figures(results)
    low, high = to_intervals(draws)["MOTA"]
    assert low <= 0.25 and high >= 0.75 and results.figures()["MOTA"] == 0.5
    assert (draws == resample_figures(results)).all()
    perfect = VideoResults([frames_of([3] * 6), frames_of([3] * 2)])
    assert to_intervals(resample_figures(perfect))["HOTA"] == [1, 1]
    assert to_intervals(resample_figures(VideoResults([frames_of([3] * 6)]))) == {}


def write_truth(folder: Path, frames: int, hidden: range = range(0)) -> Path:
    """Write a clip of squares as images and a COCO-VID file; in ``hidden`` frames there is no red pixel."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    folder.mkdir(parents=True)
    for number in range(frames):
        pixels = draw_squares(number, lambda frame: 20 if frame in hidden else 230)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        size = {"width": WIDTH, "height": HEIGHT}
        images.append(
            {"id": 50 + number, "video_id": 4, "frame_id": number, "file_name": f"{number}.png", **size}
        )
        for track, (left, top) in enumerate(zip(left_edges(number), TOPS, strict=True), start=1):
            box = [left, top, SIDE, SIDE]
            polygon = [left, top, left + SIDE, top, left + SIDE, top + SIDE, left, top + SIDE]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": 50 + number, "category_id": 10 * track, "bbox": box,
                 "track_id": track, "iscrowd": 0, "area": SIDE * SIDE, "segmentation": [polygon]}
            )  # fmt: skip
    dataset = {
        "videos": [{"id": 4, "name": "squares", "fps": RATE}],
        "images": images[::-1],
        "annotations": annotations,
        "categories": [{"id": 10, "name": "pedestrian"}, {"id": 20, "name": "pallet_truck"}],
    }
    path = folder / "truth.json"
    path.write_text(json.dumps(dataset))
    return path


@pytest.fixture
def squares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.evaluation.tracks.evaluate.load", lambda path, classes: squares_segmenter())
    monkeypatch.setattr("pipeline.inference.predict.load", lambda path, classes: squares_segmenter())


def evaluate(*words: object) -> Result:
    return CliRunner().invoke(main, ["tracks", *map(str, words)])


@pytest.mark.usefixtures("squares")
@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_tracker_keeps_the_id_that_the_baseline_loses(tmp_path: Path, iou_type: str) -> None:
    """The red square is hidden in 3 of 16 frames: the baseline starts a new track, ByteTrack does not."""
    truth = write_truth(tmp_path / "clip", 16, hidden=range(6, 9))
    run = evaluate(truth, "--images", tmp_path / "clip", "--out", tmp_path / "out", "--iou", iou_type)
    assert run.exit_code == 0, run.output
    metrics = json.loads((tmp_path / "out" / "track-metrics.json").read_bytes())
    pedestrian, truck = (metrics["classes"][name] for name in ("pedestrian", "pallet_truck"))
    assert all(truck[name]["MOTA"] == truck[name]["HOTA"] == 1 for name in ("ByteTrack", "IoU baseline"))
    tracked, baseline = pedestrian["ByteTrack"], pedestrian["IoU baseline"]
    assert (tracked["ID_switches"], baseline["ID_switches"]) == (0, 1)
    assert (tracked["MOTA"], baseline["MOTA"]) == (round(13 / 16, 4), round(12 / 16, 4))
    assert tracked["IDF1"] == round(26 / 29, 4) and baseline["IDF1"] == round(14 / 29, 4)
    assert tracked["HOTA"] > baseline["HOTA"] + 0.1
    assert metrics["iou_type"] == iou_type and metrics["threshold"] == 0.5
    lines = [line.split() for line in run.output.splitlines()]
    assert ["pedestrian", "ByteTrack", f"{tracked['HOTA']:.3f}"] in [line[:3] for line in lines]


@pytest.mark.usefixtures("squares")
def test_tracks_of_predict_are_measured(tmp_path: Path) -> None:
    from pipeline.inference.video import open_video

    truth = write_truth(tmp_path / "clip", 8)
    with open_video(tmp_path / "other-name.mp4", (WIDTH, HEIGHT)) as append:
        for number in range(8):
            append(Image.open(tmp_path / "clip" / f"{number}.png"), number / RATE)
    arguments = ["predict", str(tmp_path / "other-name.mp4"), "--track", "--out", str(tmp_path / "out")]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    run = evaluate(truth, "--predictions", tmp_path / "out" / "tracks.json", "--out", tmp_path / "figures")
    assert run.exit_code == 0, run.output
    metrics = json.loads((tmp_path / "figures" / "track-metrics.json").read_bytes())
    for trackers in metrics["classes"].values():
        assert trackers["predictions"]["MOTA"] == 1 and trackers["predictions"]["IDF1"] == 1


@pytest.mark.usefixtures("squares")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"videos": []}, "no list 'videos': give a COCO-VID file"),
        (
            {"images": [{"id": 1, "file_name": "0.png", "width": 9, "height": 9}]},
            "image 1: it needs video_id",
        ),
        (
            {"annotations": [{"id": 9, "image_id": 50, "bbox": BOX, "category_id": 10}]},
            "9: it has no track_id",
        ),
        ({"annotations": [{"id": 9, "image_id": 1}]}, "annotation 9: no image has its image_id"),
        ({"categories": [{"id": 1, "name": "cat"}]}, "no category is a class of the model: cat"),
    ],
)
def test_wrong_ground_truth_is_named_in_one_line(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    truth = write_truth(tmp_path / "clip", 2)
    truth.write_text(json.dumps(json.loads(truth.read_bytes()) | change))
    run = evaluate(truth, "--images", tmp_path / "clip")
    assert run.exit_code == 2 and message in run.output
    assert run.output.splitlines()[-1].startswith("error: ") and str(truth) in run.output


@pytest.mark.usefixtures("squares")
def test_wrong_options_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    truth = write_truth(tmp_path / "clip", 2)
    for words, message in (
        ([], "give one GROUND_TRUTH"),
        ([truth], "give the folder of the --images, or --predictions"),
        ([truth, "--images", "x", "--predictions", truth], "--predictions replaces a MODEL"),
    ):
        run = evaluate(*words)
        assert run.exit_code == 2 and message in run.output, run.output
    monkeypatch.setitem(sys.modules, "trackeval.metrics", None)
    run = evaluate(truth, "--images", tmp_path / "clip")
    assert run.exit_code == 2
    assert run.output == "error: tracks needs trackeval: pip install 'transpalette[track-metrics]'\n"


def test_tracking_and_its_metrics_work_without_opencv() -> None:
    """TrackEval installs opencv-python, which cannot be imported without the libraries of a desktop."""
    code = (
        "import sys; sys.modules['cv2'] = None\n"
        "import numpy as np, pipeline.evaluation.tracks.evaluate as e\n"
        "e.import_trackeval().HOTA()\n"
        "boxes = np.array([[0, 0, 9, 9]], np.float32)\n"
        "print(e.ByteTracker(0.5, 10).update(boxes, np.array([1]), np.array([0.9], np.float32)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[1]" and done.stderr == ""
