"""Draw the trails of tracks: the path of each object's foot point during the last seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from PIL import Image, ImageDraw

from pipeline.viz.overlays import Box, class_colour

TRAIL_SECONDS = 3.0
"""Seconds of a track that are drawn."""
Point = tuple[float, float]


class Trails:
    """The recent foot points of the tracks of one video: the middle of the lower side of each box."""

    def __init__(self) -> None:
        """Create a video without tracks."""
        self._points: dict[tuple[int, int], deque[tuple[float, Point]]] = {}
        """(Track, label) -> time in seconds and point, in pixels."""

    def __len__(self) -> int:
        """Return the number of points that are kept."""
        return sum(map(len, self._points.values()))

    def add(self, seconds: float, tracks: Iterable[tuple[int, int, Box]]) -> None:
        """Add a frame, and forget what is older than ``TRAIL_SECONDS``.

        Args:
            seconds: time of the frame.
            tracks: the id, the label (from 1) and the box (xyxy, in pixels) of each track in it.
        """
        for track, label, (left, _, right, bottom) in tracks:
            self._points.setdefault((track, label), deque()).append((seconds, ((left + right) / 2, bottom)))
        for key, points in list(self._points.items()):
            while points and points[0][0] < seconds - TRAIL_SECONDS:
                points.popleft()
            if not points:
                del self._points[key]

    def draw(self, image: Image.Image) -> None:
        """Draw the trails into an RGB image, in the colours of the classes."""
        canvas = ImageDraw.Draw(image)
        width = max(1, round(min(image.size) / 160))
        for (_, label), points in self._points.items():
            line = [point for _, point in points]
            if len(line) > 1:
                canvas.line(line, fill=class_colour(label - 1), width=width, joint="curve")
