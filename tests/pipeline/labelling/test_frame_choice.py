"""Frames of a video that are kept: the least certain ones, a limit, no near duplicates."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.data.rle import encode_mask
from pipeline.inference.detections import Detections
from pipeline.labelling.frame_choice import Candidate, choose_frames, to_thumbnail

SIZE = (48, 64)
"""Height and width."""


def candidate(*objects: tuple[float, int], level: int = 90, label: int = 1) -> Candidate:
    """Return a frame of one grey with objects (score, left edge) of 10 x 20 pixels."""
    masks = np.zeros((len(objects), *SIZE), np.uint8)
    for mask, (_, left) in zip(masks, objects, strict=True):
        mask[20:40, left : left + 10] = 1
    boxes = np.array([[left, 20, left + 10, 40] for _, left in objects], np.float32).reshape(-1, 4)
    detections = Detections(
        boxes,
        np.full(len(objects), label),
        np.array([score for score, _ in objects], np.float32),
        [encode_mask(mask) for mask in masks],
        SIZE,
    )
    return Candidate(detections, to_thumbnail(np.full((*SIZE, 3), level, np.uint8)))


def test_the_least_certain_frames_are_chosen_in_the_order_of_time() -> None:
    """Scores near the threshold 0.5, nearest first; 0.9 is certain and no reason to look."""
    scores = [0.9, 0.58, 0.9, 0.49, 0.9, 0.53]
    frames = [candidate((score, 10), level=40 * n) for n, score in enumerate(scores)]
    assert choose_frames(frames, 0.5, 3) == [1, 3, 5]
    assert choose_frames(frames, 0.5, 2) == [3, 5]
    assert choose_frames([], 0.5, 2) == []


def test_a_video_without_doubt_gives_its_least_certain_frame() -> None:
    assert choose_frames([candidate((0.9, 10)), candidate((0.7, 10)), candidate((0.8, 10))], 0.5, 3) == [1]


@pytest.mark.parametrize(
    ("other", "chosen"),
    [
        (candidate((0.55, 11)), [0]),
        (candidate((0.55, 30)), [0, 1]),
        (candidate((0.55, 10), level=120), [0, 1]),
        (candidate((0.55, 10), level=93), [0]),
        (candidate((0.55, 10), label=2), [0, 1]),
        (candidate((0.55, 10), (0.9, 30)), [0, 1]),
        (candidate(), [0, 1]),
        (candidate((0.55, 10), (0.42, 40)), [0]),
    ],
    ids=["moved-1px", "moved", "other-picture", "noise", "other-class", "more", "none", "below-threshold"],
)
def test_near_duplicates_are_left_out(other: Candidate, chosen: list[int]) -> None:
    assert choose_frames([candidate((0.51, 10)), other], 0.5, 5) == chosen


def test_an_empty_hall_is_kept_once() -> None:
    assert choose_frames([candidate() for _ in range(5)], 0.5, 5) == [0]
