"""Options of a benchmark run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class BenchOptions:
    """Options of a benchmark run; the command line in ``pipeline.bench.__main__`` sets their defaults."""

    profile: Path
    people: Path
    """Folder with the posed body meshes, written by ``transpalette people``."""
    out: Path
    frames: int
    """Number of frames timed by stage and with Cycles alone; a quarter of them for each setting of a
    sweep."""
    until: int
    """Frames that one process renders before the time of a frame is measured again."""
    images: int
    """Number of images of the training split for training and inference."""
    epochs: int
    """Epochs (passes over the images) for timing the profile's training recipe."""
    masks: tuple[int, ...]
    """Numbers of masks in the sets that are converted and evaluated."""
    annotations: int
    """Annotations in the file that is validated; it has a tenth as many images."""
    model: Path | None = None
    """Model for inference; None: the initial model before training."""
    seeds: tuple[int, ...] = (0, 1)
    """Seeds of the trainings whose accuracy is compared with the reference."""
    accuracy_images: int = 40
    """Number of training images, and of validation images, for those trainings."""
    accuracy_epochs: int = 12
    """Epochs (passes over the images) of those trainings."""
