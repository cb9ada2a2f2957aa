"""The predictions of an interrupted ``prelabel``, with which the same command continues."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from blender.contract import UserError, canonical_json, from_table, sha256_bytes, sha256_file, write_atomic
from pipeline.labelling.proposals import ProposedObject
from pipeline.labelling.review import Doubt

LOG = "prelabel.resume.jsonl"


@dataclass(frozen=True)
class ImagePrediction:
    """The objects in one image file, and how certain they are."""

    path: Path
    size: tuple[int, int]
    """(width, height) in pixels, upright."""
    objects: tuple[ProposedObject, ...]
    doubt: Doubt


@dataclass(frozen=True)
class _Line:
    """A line of the file."""

    image: str
    """The image's absolute path."""
    state: tuple[int, int]
    """Its size in bytes and its date in nanoseconds."""
    size: tuple[int, int]
    objects: tuple[ProposedObject, ...]
    doubt: Doubt


class PredictionLog:
    """A file with one line per predicted image. The first line is a hash of the settings."""

    def __init__(self, out: Path, model: Path, classes: tuple[str, ...], threshold: float) -> None:
        """Read the predictions of an earlier run with the same settings, if there is one.

        Args:
            out: the folder of the run.
            model: the model's file.
            classes: the classes to detect.
            threshold: lowest score of an object.
        """
        self.path = out / LOG
        self._settings = sha256_bytes(canonical_json([sha256_file(model), classes, threshold])).encode()
        self._lines: dict[tuple[str, tuple[int, int]], _Line] = {}
        kept = [self._settings]
        first, *others = self.path.read_bytes().split(b"\n") if self.path.is_file() else [b""]
        for text in others if first == self._settings else []:
            try:
                line = from_table(_Line, json.loads(text), str(self.path))
            except (ValueError, UserError):
                break  # the end of a line is missing if the process was killed
            self._lines[line.image, line.state] = line
            kept.append(text)
        write_atomic(self.path, b"\n".join(kept) + b"\n")

    def __len__(self) -> int:
        """Return the number of images of the earlier run."""
        return len(self._lines)

    def find(self, path: Path) -> ImagePrediction | None:
        """Return the prediction of an image that has not changed since; None if there is none."""
        line = self._lines.get(_identity(path))
        return ImagePrediction(path, line.size, line.objects, line.doubt) if line else None

    def add(self, prediction: ImagePrediction) -> None:
        """Append the prediction of an image."""
        image, state = _identity(prediction.path)
        line = _Line(image, state, prediction.size, prediction.objects, prediction.doubt)
        with self.path.open("ab") as stream:
            stream.write(canonical_json(dataclasses.asdict(line)).rstrip(b"\n") + b"\n")

    def remove(self) -> None:
        """Delete the file, after the labels are complete."""
        self.path.unlink()


def _identity(path: Path) -> tuple[str, tuple[int, int]]:
    """Return an image's absolute path, and its size and date; zeros if it cannot be read."""
    try:
        status = path.stat()
        state = status.st_size, status.st_mtime_ns
    except OSError:
        state = 0, 0
    return str(path.absolute()), state
