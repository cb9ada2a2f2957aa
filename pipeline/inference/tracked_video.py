"""Track the objects of one video while its frames are predicted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.inference.detections import Detections
from pipeline.inference.video import Frame
from pipeline.tracking.files import TrackedVideo
from pipeline.tracking.trackers import LOWEST_SCORE, NO_TRACK, ByteTracker
from pipeline.tracking.trails import Trails


class VideoTracker:
    """ByteTrack on one video, and the trails of its tracks."""

    def __init__(self, threshold: float, video: TrackedVideo, next_id: Callable[[], int]) -> None:
        """Create a tracker.

        Args:
            threshold: the score threshold of the run.
            video: gets the number of each frame.
            next_id: returns the id of a new track.
        """
        self.trails = Trails()
        self.lowest_score = min(threshold, LOWEST_SCORE)
        """Score from which detections are needed: weak ones may continue a track."""
        self._threshold, self._video = threshold, video
        self._tracker = ByteTracker(threshold, video.rate, next_id)
        self._seconds = 0.0

    def start_frame(self, frame: Frame) -> None:
        """Note the number and the time of the next frame."""
        self._video.add(frame.number)
        self._seconds = frame.seconds

    def update(self, detections: Detections) -> tuple[Detections, list[int | None]]:
        """Track the detections in the frame.

        Args:
            detections: those with at least ``lowest_score``.

        Returns:
            The detections with at least the run's threshold or with a track; and the track of each of them.
        """
        ids = self._tracker.update(detections.boxes, detections.labels, detections.scores)
        rows = np.flatnonzero((detections.scores >= self._threshold) | (ids != NO_TRACK))
        kept, tracks = detections.select(rows), ids[rows].tolist()
        drawn = zip(tracks, kept.labels.tolist(), kept.boxes.tolist(), strict=True)
        self.trails.add(self._seconds, ((t, label, (*box,)) for t, label, box in drawn if t != NO_TRACK))
        return kept, [None if track == NO_TRACK else track for track in tracks]
