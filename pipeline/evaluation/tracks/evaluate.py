"""The command ``tracks``: track a model's detections in videos, and measure the tracks."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from blender.contract import UserError, canonical_json, write_atomic
from pipeline.common.stages import prepare_output_dir
from pipeline.data.images import read_image
from pipeline.data.rle import as_rle
from pipeline.evaluation.tracks.coco_vid import TrackFile, Video, read_track_file
from pipeline.evaluation.tracks.metrics import (
    FramePair,
    FrameTracks,
    Shape,
    VideoResults,
    import_trackeval,
    resample_figures,
    to_intervals,
)
from pipeline.inference.detections import Detections
from pipeline.inference.segmenter import MAX_PIXELS, load
from pipeline.tracking.trackers import LOWEST_SCORE, NO_TRACK, ByteTracker, GreedyTracker, Tracker

METRICS = "track-metrics.json"
FIGURES = ("HOTA", "DetA", "AssA", "IDF1", "MOTA", "ID_switches", "objects", "tracks")
"""Figures in the printed table."""
GAINS = ("HOTA", "IDF1", "MOTA")
"""Figures of which the gain over the baseline is printed."""
TrackedFrames = list[list[dict[str, FrameTracks]]]
"""Video -> frame -> class -> tracks."""


def evaluate_tracks(
    truth_path: Path,
    model_path: Path | None,
    images: Path | None,
    predictions: Path | None,
    out: Path | None,
    threshold: float | None = None,
    classes: tuple[str, ...] = (),
    iou_type: str = "bbox",
) -> None:
    """Print HOTA, IDF1 and MOTA of each class, and write them to ``out``.

    A model's detections are tracked with ByteTrack and, as a baseline, by frame-by-frame IoU matching.

    Args:
        truth_path: COCO-VID file.
        model_path: the model; None: ``predictions`` are measured.
        images: folder of the frames that the file names.
        predictions: tracks.json of ``predict --track`` for the same videos.
        out: folder for track-metrics.json.
        threshold: the score threshold; None: the model's.
        classes: classes of the model; empty: all.
        iou_type: "bbox" or "segm".

    Raises:
        UserError: a file cannot be read, has other classes or videos, or a package is not installed.
    """
    import_trackeval()
    truth = read_track_file(truth_path)
    if iou_type == "segm" and not truth.has_masks():
        raise UserError(f"{truth_path}: annotations without masks: leave --iou segm out")
    if out is not None:
        prepare_output_dir(out)
    settings: dict[str, Any] = {"iou_type": iou_type}
    if model_path is None or images is None:
        assert predictions is not None
        tracked = {"predictions": _read_predictions(predictions, truth, iou_type)}
    else:
        tracked, more = _track(truth, model_path, images, threshold, classes, iou_type)
        settings |= more
    names = [name for name in truth.classes if all(name in _classes(frames) for frames in tracked.values())]
    if not names:
        raise UserError(f"{truth_path}: no category is a class of the model: {', '.join(truth.classes)}")
    figures: dict[str, dict[str, Any]] = {}
    gains: dict[str, dict[str, Any]] = {}
    for name in names:
        figures[name], gain = _measure(
            {tracker: _pair(truth, frames, name, iou_type) for tracker, frames in tracked.items()}
        )
        gains |= {name: gain} if gain else {}
    click.echo(_format(figures))
    for name, gain in gains.items():
        texts = [f"{key} {value['gain']:+.3f}{_interval(value['interval'])}" for key, value in gain.items()]
        click.echo(f"{name}, ByteTrack against the baseline: {', '.join(texts)}")
    if "seconds" in settings:
        click.echo(f"model: {settings['seconds']['model'] * 1000:.0f} ms a frame; ", nl=False)
        click.echo(f"ByteTrack: {settings['seconds']['ByteTrack'] * 1000:.1f} ms a frame")
    if out is not None:
        write_atomic(out / METRICS, canonical_json(settings | {"classes": figures, "gains": gains}))


def _measure(trackers: dict[str, list[list[FramePair]]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Compute the figures of one class, with 95 % intervals over the videos.

    Returns:
        Name of a tracker -> figures, with ``intervals``; and how much ByteTrack exceeds the baseline: name of
        a figure -> ``gain`` and ``interval`` (of the same resamples), if both are measured.
    """
    results = {name: VideoResults(videos) for name, videos in trackers.items()}
    draws = {name: resample_figures(result) for name, result in results.items()}
    shares = {name: result.figures() for name, result in results.items()}
    figures = {name: shares[name] | {"intervals": to_intervals(draws[name])} for name in shares}
    if len(figures) < 2:
        return figures, {}
    tracker, baseline = figures
    intervals = to_intervals(draws[tracker] - draws[baseline])
    gains = {
        name: {
            "gain": round(shares[tracker][name] - shares[baseline][name], 4),
            "interval": intervals.get(name, []),
        }
        for name in GAINS
    }
    return figures, gains


def _track(
    truth: TrackFile,
    model_path: Path,
    images: Path,
    threshold: float | None,
    classes: tuple[str, ...],
    iou_type: str,
) -> tuple[dict[str, TrackedFrames], dict[str, Any]]:
    """Track a model's detections in all videos.

    Returns:
        Name of a tracker -> its tracks; and the settings and the seconds per frame.
    """
    segmenter = load(model_path, classes=classes)
    score = segmenter.threshold if threshold is None else threshold
    tracked: dict[str, TrackedFrames] = {"ByteTrack": [], "IoU baseline": []}
    seconds = {"model": 0.0, **dict.fromkeys(tracked, 0.0)}
    count = sum(len(video.frames) for video in truth.videos)
    with click.progressbar(length=count, label="tracks", show_pos=True, file=sys.stderr) as bar:
        for video in truth.videos:
            trackers: dict[str, Tracker] = {
                "ByteTrack": ByteTracker(score, video.rate),
                "IoU baseline": GreedyTracker(score),
            }
            for frames in tracked.values():
                frames.append([])
            for entry in video.frames.values():
                size = entry["width"], entry["height"]
                image = read_image(images / entry["file_name"], size, max_pixels=MAX_PIXELS)
                start = time.perf_counter()
                found = segmenter.predict_all(image.pixels).filter(min(score, LOWEST_SCORE)).resize(size)
                seconds["model"] += time.perf_counter() - start
                for name, tracker in trackers.items():
                    start = time.perf_counter()
                    ids = tracker.update(found.boxes, found.labels, found.scores)
                    seconds[name] += time.perf_counter() - start
                    tracked[name][-1].append(_by_class(found, ids.tolist(), segmenter.classes, iou_type))
                bar.update(1)
    means = {name: round(value / max(count, 1), 5) for name, value in seconds.items()}
    return tracked, {"threshold": score, "seconds": means}


def _by_class(
    detections: Detections, ids: list[int], classes: Sequence[str], iou_type: str
) -> dict[str, FrameTracks]:
    """Group the tracked detections in one frame by class."""
    frame = {name: FrameTracks() for name in classes}
    for row, track in enumerate(ids):
        if track == NO_TRACK:
            continue
        left, top, right, bottom = detections.boxes[row].tolist()
        tracks = frame[classes[detections.labels[row] - 1]]
        tracks.ids.append(track)
        box = [left, top, right - left, bottom - top]
        tracks.shapes.append(box if iou_type == "bbox" else detections.rles[row])
    return frame


def _read_predictions(path: Path, truth: TrackFile, iou_type: str) -> TrackedFrames:
    """Read tracks.json, and find its frames of each video of the ground truth.

    Videos of the same name belong together; a single video belongs to a single one of any name.

    Raises:
        UserError: a video of the ground truth is missing, or masks are.
    """
    tracks = read_track_file(path)
    if iou_type == "segm" and not tracks.has_masks():
        raise UserError(f"{path}: annotations without masks: leave --iou segm out")
    videos = {video.name: video for video in tracks.videos}
    if len(videos) == len(truth.videos) == 1:
        videos = {truth.videos[0].name: tracks.videos[0]}
    missing = [video.name for video in truth.videos if video.name not in videos]
    if missing:
        raise UserError(f"{path}: no video '{missing[0]}', which {truth.path} has; give tracks of its videos")
    return [
        [
            {
                name: _objects(tracks, videos[video.name].frames.get(number), category, iou_type)[0]
                for name, category in tracks.classes.items()
            }
            for number in video.frames
        ]
        for video in truth.videos
    ]


def _pair(truth: TrackFile, tracked: TrackedFrames, name: str, iou_type: str) -> list[list[FramePair]]:
    """Pair the ground truth of a class with its tracks: video -> frame -> both."""
    category = truth.classes[name]

    def pair(video: Video, frames: list[dict[str, FrameTracks]]) -> list[FramePair]:
        pairs = []
        for image, tracks in zip(video.frames.values(), frames, strict=True):
            objects, ignored = _objects(truth, image, category, iou_type)
            pairs.append(FramePair(objects, ignored, tracks.get(name, FrameTracks())))
        return pairs

    return [pair(video, frames) for video, frames in zip(truth.videos, tracked, strict=True)]


def _objects(
    file: TrackFile, image: dict[str, Any] | None, category: int, iou_type: str
) -> tuple[FrameTracks, list[Shape]]:
    """Return the objects and the ignore regions of a category in a frame; none if there is no frame."""
    objects, ignored = FrameTracks(), list[Shape]()
    for annotation in file.annotations[image["id"]] if image else ():
        if annotation["category_id"] != category:
            continue
        assert image is not None
        shape: Shape = annotation["bbox"]
        if iou_type == "segm":
            shape = as_rle(annotation["segmentation"], image["width"], image["height"])
        if annotation.get("iscrowd"):
            ignored.append(shape)
        else:
            objects.ids.append(annotation["track_id"])
            objects.shapes.append(shape)
    return objects, ignored


def _classes(frames: TrackedFrames) -> set[str]:
    """Return the classes of which there are tracks or could be."""
    return {name for video in frames for frame in video for name in frame}


def _interval(ends: list[float]) -> str:
    """Format a 95 % interval, or nothing if there is none."""
    return f" [{ends[0]:.2f}, {ends[1]:.2f}]" if ends else ""


def _format(figures: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Format the figures as a table: for each class and tracker the figures, and below them the intervals."""
    rows = [["class", "tracker", *(name.replace("_", " ") for name in FIGURES)]]
    for name, trackers in figures.items():
        for tracker, values in trackers.items():
            numbers = [values[key] for key in FIGURES]
            texts = [f"{value:.3f}" if isinstance(value, float) else str(value) for value in numbers]
            rows.append([name, tracker, *texts])
            intervals = values["intervals"]
            if intervals:
                rows.append(["", "95 %", *(_interval(intervals.get(key, [])).strip() for key in FIGURES)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = zip(row, widths, strict=True)
        lines.append("  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(cells)))
    return "\n".join(lines)
