"""HOTA, IDF1 and MOTA of the tracks of one class, computed by TrackEval (the extra ``track-metrics``).

HOTA: Luiten et al., IJCV 2021, the mean over the IoU thresholds 0.05 to 0.95. IDF1: Ristani et al., 2016.
MOTA: Bernardin and Stiefelhagen, 2008. IDF1 and MOTA are at IoU 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_utils

from pipeline.common.optional import import_optional

MATCH_IOU = 0.5
"""IoU from which a track's detection is that of an object."""
IGNORED_SHARE = 0.5
"""Share of an unmatched detection in an ignore region from which it is no error; MOTChallenge's value."""
Shape = Any
"""A box [x, y, width, height] in pixels, or a compressed RLE."""


@dataclass(frozen=True)
class FrameTracks:
    """The objects of one class in one frame."""

    ids: list[int] = field(default_factory=list)
    """The id of each object's track."""
    shapes: list[Shape] = field(default_factory=list)
    """The box or the mask of each object; all of one kind."""


@dataclass(frozen=True)
class FramePair:
    """The ground truth and the tracks of one class in one frame."""

    truth: FrameTracks
    ignored: list[Shape]
    """Ignore regions of the ground truth."""
    tracked: FrameTracks


def import_trackeval() -> Any:
    """Import TrackEval's metrics.

    Raises:
        UserError: it is not installed.
    """
    return import_optional("trackeval.metrics", "track-metrics", "tracks")


def compute_track_metrics(videos: Sequence[Sequence[FramePair]]) -> dict[str, float]:
    """Compute the figures of one class over several videos.

    Args:
        videos: the frames of each video, in the order of time.

    Returns:
        HOTA, DetA, AssA, IDF1 and MOTA (1 is perfect; MOTA can be negative); ID_switches; objects and
        tracks, the number of tracks in the ground truth and of those measured; frames.
    """
    package = import_trackeval()
    sequences = {str(number): _to_sequence(frames) for number, frames in enumerate(videos)}
    figures: dict[str, Any] = {}
    quiet = {"PRINT_CONFIG": False, "THRESHOLD": MATCH_IOU}
    for metric in (package.HOTA(), package.CLEAR(quiet), package.Identity(quiet)):
        each = {name: metric.eval_sequence(data) for name, data in sequences.items()}
        figures |= metric.combine_sequences(each)
    shares = {
        name: round(float(np.mean(figures[name])), 4) for name in ("HOTA", "DetA", "AssA", "IDF1", "MOTA")
    }
    return shares | {
        "ID_switches": int(figures["IDSW"]),
        "objects": sum(data["num_gt_ids"] for data in sequences.values()),
        "tracks": sum(data["num_tracker_ids"] for data in sequences.values()),
        "frames": sum(data["num_timesteps"] for data in sequences.values()),
    }


def _to_sequence(frames: Sequence[FramePair]) -> dict[str, Any]:
    """Convert the frames of one video to TrackEval's form, without detections in ignore regions."""
    truth_ids, track_ids, similarity = [], [], []
    for frame in frames:
        iou = shape_iou(frame.tracked.shapes, frame.truth.shapes)
        kept = np.ones(len(frame.tracked.ids), bool)
        if frame.ignored and len(kept):
            inside = shape_iou(frame.tracked.shapes, frame.ignored, crowd=True).max(1)
            matched = iou.max(1, initial=0.0) >= MATCH_IOU
            kept = matched | (inside < IGNORED_SHARE)
        truth_ids.append(frame.truth.ids)
        track_ids.append([track for track, keep in zip(frame.tracked.ids, kept, strict=True) if keep])
        similarity.append(iou[kept].T)
    numbered_truth, truths = _number(truth_ids)
    numbered_tracks, tracks = _number(track_ids)
    return {
        "num_timesteps": len(frames),
        "num_gt_ids": truths,
        "num_tracker_ids": tracks,
        "num_gt_dets": sum(map(len, truth_ids)),
        "num_tracker_dets": sum(map(len, track_ids)),
        "gt_ids": numbered_truth,
        "tracker_ids": numbered_tracks,
        "similarity_scores": similarity,
    }


def _number(frames: list[list[int]]) -> tuple[list[npt.NDArray[np.int64]], int]:
    """Number ids from 0, as TrackEval needs them; return those of each frame, and how many there are."""
    numbers: dict[int, int] = {}
    numbered = [
        np.array([numbers.setdefault(track, len(numbers)) for track in ids], np.int64) for ids in frames
    ]
    return numbered, len(numbers)


def shape_iou(shapes: list[Shape], others: list[Shape], crowd: bool = False) -> npt.NDArray[np.float64]:
    """Compute the IoU of N and M boxes or masks; return (N, M).

    Args:
        shapes: boxes or masks.
        others: boxes or masks of the same kind.
        crowd: divide by the area of ``shapes`` instead, as pycocotools does for ignore regions.
    """
    if not (shapes and others):
        return np.zeros((len(shapes), len(others)))
    return np.asarray(mask_utils.iou(shapes, others, [int(crowd)] * len(others)))
