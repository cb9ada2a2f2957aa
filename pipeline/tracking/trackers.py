"""Trackers: ByteTrack of the package supervision (the extra ``track``), and IoU matching as a baseline.

A tracker gets the detections of one frame after the other and returns the id of each one's track. Tracks are
of one class: no detection continues the track of another class.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_utils

from pipeline.common.optional import import_optional

LOWEST_SCORE = 0.1
"""Score above which ByteTrack lets a detection below the threshold continue a track."""
NO_TRACK = 0
"""The id of a detection that belongs to no track."""
BASELINE_IOU = 0.3
"""IoU of two boxes from which the baseline connects them; the usual value for SORT."""
_LOST_SECONDS = 1.0
"""Seconds of video after which ByteTrack ends a track that no detection continues; ByteTrack's value."""
Boxes = npt.NDArray[np.float32]
"""(N, 4) xyxy, in pixels."""
Numbers = npt.NDArray[np.int64]
"""(N,): labels, or ids of tracks."""


class Tracker(Protocol):
    """Connects detections over the frames of one video."""

    def update(self, boxes: Boxes, labels: Numbers, scores: npt.NDArray[np.float32]) -> Numbers:
        """Return the id of each detection's track, ``NO_TRACK`` for none.

        Args:
            boxes: the detections in the next frame.
            labels: the class of each detection.
            scores: (N,) in 0..1.
        """
        ...


class ByteTracker:
    """ByteTrack (Zhang et al., ECCV 2022), with a tracker for each class.

    A track starts with a detection whose score is at least 0.1 above the threshold and which the next frame
    confirms; in the first frame of a video it starts at once. Detections with scores between
    ``LOWEST_SCORE`` and the threshold continue tracks, but start none.
    """

    def __init__(self, threshold: float, rate: float, next_id: Callable[[], int] | None = None) -> None:
        """Create a tracker for one video.

        Args:
            threshold: the score threshold.
            rate: frames per second.
            next_id: returns the id of a new track; None: they count from 1.

        Raises:
            UserError: the package supervision is not installed.
        """
        self._package = import_package()
        self._threshold, self._rate = threshold, rate
        self._next_id = next_id or itertools.count(1).__next__
        self._trackers: dict[int, Any] = {}
        self._ids: dict[int, dict[int, int]] = {}
        """Label -> the tracker's own ids -> ids of tracks, without those of tracks that have ended."""

    def update(self, boxes: Boxes, labels: Numbers, scores: npt.NDArray[np.float32]) -> Numbers:
        """Return the id of each detection's track; see ``Tracker.update``."""
        ids = np.full(len(labels), NO_TRACK, np.int64)
        for label in sorted({*self._trackers, *labels.tolist()}):
            if label not in self._trackers:
                self._trackers[label], self._ids[label] = self._new_tracker(), {}
            tracker, own = self._trackers[label], self._ids[label]
            rows = np.flatnonzero(labels == label)
            detections = self._package.Detections(boxes[rows], None, scores[rows], data={"row": rows})
            tracked = tracker.update_with_detections(detections)
            for row, number in zip(tracked.data.get("row", ()), tracked.tracker_id, strict=True):
                if number not in own:
                    own[int(number)] = self._next_id()
                ids[row] = own[int(number)]
            alive = {track.external_track_id for track in (*tracker.tracked_tracks, *tracker.lost_tracks)}
            self._ids[label] = {number: track for number, track in own.items() if number in alive}
        return ids

    def _new_tracker(self) -> Any:
        with warnings.catch_warnings():  # supervision announces that version 0.31 has no trackers any more
            warnings.simplefilter("ignore", FutureWarning)
            return self._package.ByteTrack(
                track_activation_threshold=self._threshold,
                lost_track_buffer=round(30 * _LOST_SECONDS),  # frames of a video with 30 frames a second
                frame_rate=self._rate,
            )


class GreedyTracker:
    """The baseline: connect the detections of two successive frames, the pair with the largest IoU first.

    It has no motion model and no memory: a track ends in the first frame without a matching detection.
    """

    def __init__(self, threshold: float) -> None:
        """Create a tracker for one video; detections below ``threshold`` belong to no track."""
        self._threshold = threshold
        self._count = itertools.count(1)
        self._boxes: Boxes = np.zeros((0, 4), np.float32)
        self._labels: Numbers = np.zeros(0, np.int64)
        self._ids: Numbers = np.zeros(0, np.int64)

    def update(self, boxes: Boxes, labels: Numbers, scores: npt.NDArray[np.float32]) -> Numbers:
        """Return the id of each detection's track; see ``Tracker.update``."""
        ids = np.full(len(labels), NO_TRACK, np.int64)
        chosen = scores >= self._threshold
        iou = box_iou(boxes, self._boxes)
        iou[~chosen[:, None] | (labels[:, None] != self._labels)] = 0.0
        while iou.size and iou.max() >= BASELINE_IOU:
            row, earlier = np.unravel_index(iou.argmax(), iou.shape)
            ids[row] = self._ids[earlier]
            iou[row], iou[:, earlier] = 0.0, 0.0
        for row in np.flatnonzero(chosen & (ids == NO_TRACK)):
            ids[row] = next(self._count)
        self._boxes, self._labels, self._ids = boxes[chosen], labels[chosen], ids[chosen]
        return ids


def import_package() -> Any:
    """Import the package that has ByteTrack.

    Raises:
        UserError: it is not installed.
    """
    with warnings.catch_warnings():  # supervision announces that it does without OpenCV
        warnings.simplefilter("ignore", UserWarning)
        return import_optional("supervision", "track", "tracking")


def box_iou(boxes: npt.NDArray[Any], others: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Compute the IoU of boxes (N, 4) and (M, 4), both xyxy; return (N, M)."""
    if not (len(boxes) and len(others)):
        return np.zeros((len(boxes), len(others)))
    sides = [np.hstack([b[:, :2], b[:, 2:] - b[:, :2]]).astype(float) for b in (boxes, others)]
    return np.asarray(mask_utils.iou(*sides, [0] * len(others)))
