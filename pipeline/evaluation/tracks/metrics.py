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
from pipeline.evaluation.bootstrap import SEED

MATCH_IOU = 0.5
"""IoU from which a track's detection is that of an object."""
IGNORED_SHARE = 0.5
"""Share of an unmatched detection in an ignore region from which it is no error; MOTChallenge's value."""
SHARES = ("HOTA", "DetA", "AssA", "IDF1", "MOTA")
"""The figures that are shares, of which there are intervals."""
RESAMPLES = 200
"""Number of resamples of the videos for the 95 % intervals."""
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


class VideoResults:
    """What TrackEval computes in each of several videos, and the figures of any selection of them."""

    def __init__(self, videos: Sequence[Sequence[FramePair]]) -> None:
        """Evaluate each video once.

        Args:
            videos: the frames of each video, in the order of time.
        """
        package = import_trackeval()
        quiet = {"PRINT_CONFIG": False, "THRESHOLD": MATCH_IOU}
        self._metrics = (package.HOTA(), package.CLEAR(quiet), package.Identity(quiet))
        self._sequences = [_to_sequence(frames) for frames in videos]
        self._each = [[metric.eval_sequence(s) for metric in self._metrics] for s in self._sequences]

    def __len__(self) -> int:
        """Return the number of videos."""
        return len(self._sequences)

    def figures(self, chosen: Sequence[int] | None = None) -> dict[str, float]:
        """Compute the figures of a class over the videos ``chosen``, which may repeat; None: all of them.

        Returns:
            ``SHARES`` (1 is perfect; MOTA can be negative); ID_switches; objects and tracks, the number of
            tracks in the ground truth and of those measured; frames.
        """
        videos = range(len(self)) if chosen is None else chosen
        figures: dict[str, Any] = {}
        for number, metric in enumerate(self._metrics):
            each = {str(position): self._each[video][number] for position, video in enumerate(videos)}
            figures |= metric.combine_sequences(each)
        sequences = [self._sequences[video] for video in videos]
        return {name: round(float(np.mean(figures[name])), 4) for name in SHARES} | {
            "ID_switches": int(figures["IDSW"]),
            "objects": sum(data["num_gt_ids"] for data in sequences),
            "tracks": sum(data["num_tracker_ids"] for data in sequences),
            "frames": sum(data["num_timesteps"] for data in sequences),
        }


def compute_track_metrics(videos: Sequence[Sequence[FramePair]]) -> dict[str, float]:
    """Compute the figures of one class over several videos; see ``VideoResults.figures``."""
    return VideoResults(videos).figures()


def resample_figures(results: VideoResults, resamples: int = RESAMPLES) -> npt.NDArray[np.float64]:
    """Compute ``SHARES`` on resamples of the videos, drawn with replacement (Efron 1979).

    Two results with the same number of videos get the same resamples, so that their draws are paired.

    Returns:
        (resamples, ``SHARES``); no resamples if there are fewer than two videos.
    """
    rng, count = np.random.default_rng(SEED), len(results)
    draws = [rng.integers(0, count, count).tolist() for _ in range(resamples if count > 1 else 0)]
    rows = [[results.figures(draw)[name] for name in SHARES] for draw in draws]
    return np.array(rows, np.float64).reshape(len(draws), len(SHARES))


def to_intervals(draws: npt.NDArray[np.float64]) -> dict[str, list[float]]:
    """Return the 95 % interval of each of ``SHARES``; empty without draws."""
    if not len(draws):
        return {}
    ends = np.quantile(draws, [0.025, 0.975], axis=0).round(4)
    return dict(zip(SHARES, ends.T.tolist(), strict=True))


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
