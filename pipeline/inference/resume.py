"""The state of an interrupted ``predict``, with which the same command continues where it stopped."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from blender.contract import canonical_json, print_note, sha256_bytes, sha256_file, write_atomic
from pipeline.inference.sources import Source
from pipeline.inference.writers import RESULTS, START, TABLE, Position
from pipeline.tracking.files import TrackedVideo

STATE = "predictions.resume.json"
_EXAMPLES = 3
"""Number of images that a note names."""


@dataclass
class Progress:
    """What a run has done so far, as values of JSON."""

    sources: int = 0
    """Number of images and videos that are done, in the order of the command; unreadable ones included."""
    next_image_id: int = 1
    images: int = 0
    """Number of predicted images and frames."""
    unreadable: int = 0
    """Number of images and videos that could not be read to their end."""
    objects: dict[str, int] = field(default_factory=dict)
    """Detections by class name."""
    errors: list[str] = field(default_factory=list)
    """A message for each image, video or drawing that failed."""
    notes: dict[str, list[str]] = field(default_factory=dict)
    """What was done that a user may not expect -> examples ("a.gif (1 of 3 frames)")."""
    note_counts: dict[str, int] = field(default_factory=dict)
    """The same notes -> number of images and videos."""
    videos: list[TrackedVideo] = field(default_factory=list)
    """The tracked videos."""
    tracks: int = 0
    """Number of tracks in them."""
    position: Position = START
    """Where the results of the done sources end."""

    def new_track_id(self) -> int:
        """Return the id of a new track; ids count from 1 over all videos."""
        self.tracks += 1
        return self.tracks

    def note(self, text: str, file_name: str, detail: str) -> None:
        """Add an image or video to a note."""
        self.note_counts[text] = self.note_counts.get(text, 0) + 1
        examples = self.notes.setdefault(text, [])
        if len(examples) < _EXAMPLES:
            examples.append(f"{file_name} ({detail})")

    def describe_notes(self) -> list[str]:
        """Return a line for each note."""
        lines = []
        for text, examples in self.notes.items():
            more = self.note_counts[text] - len(examples)
            lines.append(f"{text}: {', '.join(examples)}" + (f" and {more} more" if more else ""))
        return lines


def hash_inputs(
    model: Path,
    classes: tuple[str, ...],
    threshold: float,
    frames: int | None,
    sources: Iterable[Source],
    names: Iterable[str],
    more: list[Any],
) -> str:
    """Return a hash of everything that determines the results; sources count by path, size and date.

    ``more`` are further settings, as values of JSON.
    """
    files = []
    for source, name in zip(sources, names, strict=True):
        paths = [path for _, path in source.frames] or [source.path]
        files.append([str(source.path.absolute()), source.file_name, name, *map(_state, paths)])
    return sha256_bytes(canonical_json([sha256_file(model), classes, threshold, frames, files, *more]))


def _state(path: Path) -> list[Any]:
    """Return the name, the size and the date of a file; its name alone if it cannot be read."""
    try:
        status = path.stat()
    except OSError:
        return [path.name]
    return [path.name, status.st_size, status.st_mtime_ns]


def save_progress(out: Path, inputs: str, progress: Progress) -> None:
    """Write the state of an interrupted run next to its results."""
    hashes = [sha256_file(out / name) for name in (RESULTS, TABLE)]
    state = {"inputs": inputs, "results": hashes, "progress": dataclasses.asdict(progress)}
    write_atomic(out / STATE, canonical_json(state))


def load_progress(out: Path, inputs: str) -> Progress | None:
    """Return what an interrupted run with the same inputs has done.

    Returns:
        The progress; None if there is none, the inputs differ, or the results were changed since.
    """
    try:
        state: dict[str, Any] = json.loads((out / STATE).read_bytes())
        if state["inputs"] != inputs:
            return None
        if state["results"] != [sha256_file(out / name) for name in (RESULTS, TABLE)]:
            return None
        progress = Progress(**state["progress"])
        progress.videos = [TrackedVideo(**video) for video in state["progress"].get("videos", ())]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    progress.position = (progress.position[0], progress.position[1])
    return progress


def earlier_progress(out: Path, inputs: Callable[[], str], total: int) -> Progress:
    """Return the progress of an interrupted run with the same inputs, or that of a new run."""
    if not (out / STATE).exists():
        return Progress()
    progress = load_progress(out, inputs())
    if progress is None:
        print_note(f"the interrupted run in {out} had other inputs: all images are predicted")
        return Progress()
    click.echo(f"predict: {progress.sources} of {total} images done before")
    return progress


def remove_progress(out: Path) -> None:
    """Delete the state of an earlier interrupted run."""
    (out / STATE).unlink(missing_ok=True)
