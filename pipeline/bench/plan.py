"""What a run of the benchmark is to measure, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Plan:
    """The options of one run; their defaults are in ``pipeline.bench.__main__``."""

    profile: Path
    people: Path
    """Baked bodies: what ``transpalette people`` wrote."""
    out: Path
    frames: int
    """Rendered by stage, beside Cycles alone; and a quarter of them for each value of a sweep."""
    until: int
    """Frames rendered in one process when their cost is measured again."""
    images: int
    """Of the training split: learnt from, and predicted."""
    rounds: int
    """Through the images, in timing our recipe."""
    masks: tuple[int, ...]
    """Sizes of the sets that are converted and judged."""
    annotations: int
    """Of the file that is validated, with a tenth as many images."""
    model: Path | None = None
    """Predicts; None: the untrained start."""
    seeds: tuple[int, ...] = (0, 1)
    """Of the trainings whose accuracy is compared with the reference's."""
    accuracy_images: int = 40
    """For those: images to learn from, and as many to validate ..."""
    accuracy_rounds: int = 12
    """... and rounds through them."""
