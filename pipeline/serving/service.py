"""What the page does: detect objects in an upload, show a selection of them, keep it for correction."""

from __future__ import annotations

import itertools
import math
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from blender.contract import UserError
from pipeline.data.images import read_image
from pipeline.inference.detections import Detections
from pipeline.inference.segmenter import Segmenter
from pipeline.inference.video import Frame, read_header, read_video
from pipeline.labelling.collection import Collection
from pipeline.labelling.frame_choice import Candidate, choose_frames, to_thumbnail
from pipeline.labelling.proposals import without_empty_masks
from pipeline.labelling.review import NEAR
from pipeline.serving.results import Shown, write_results
from pipeline.serving.uploads import check_upload

LOWEST_SCORE = 0.05
"""Lowest score that a user can choose; detections below it are not stored."""
KEPT_FRAMES = 10
"""Largest number of frames of a video that are kept at once for correction."""
STORED_RESULTS = 20
"""Number of drawings and result files that are stored, over all visitors."""


@dataclass(frozen=True)
class AnalysedFrame:
    """The detections of any class, from ``LOWEST_SCORE`` on, in a picture or in one frame of a video."""

    number: int
    """Number of the frame in the video, from 0."""
    seconds: float
    """Time of the frame in the video."""
    detections: Detections
    thumbnail: npt.NDArray[np.uint8] | None = None
    """Of a frame of a video; see ``to_thumbnail``."""


@dataclass(frozen=True)
class Analysis:
    """The network's output for one upload, of which the page shows a selection."""

    path: Path
    is_video: bool
    frames: tuple[AnalysedFrame, ...]
    """One for a picture."""
    milliseconds: float
    """Time of the network and of reading, in all."""
    skipped: int = 0
    """Number of the video's frames that were not predicted."""
    stride: int = 1
    """Every ``stride``-th frame of the video was predicted."""


@dataclass
class Service:
    """The model, and the files that belong to a running page."""

    segmenter: Segmenter
    folder: Path
    """A temporary folder for results."""
    collection: Collection
    """The kept pictures and frames."""
    max_frames: int
    """Largest number of frames of a video that are predicted."""
    _busy: threading.Lock = field(default_factory=threading.Lock)
    """Held while the model runs: the page predicts one upload at a time."""
    _ended: threading.Event = field(default_factory=threading.Event)
    _results: deque[Path] = field(default_factory=deque)

    def analyse(
        self, path: Path, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> Analysis:
        """Run the model on an upload.

        Args:
            path: the file.
            progress: called before each frame of a video, with the number of predicted and of all frames.

        Raises:
            UserError: the file is refused or damaged; one line that names it without its folder.
        """
        try:
            is_video = check_upload(path)
            with self._busy:
                return self._analyse_video(path, progress) if is_video else self._analyse_picture(path)
        except UserError as error:
            raise UserError(_without_folder(error, path)) from None
        except (MemoryError, RuntimeError) as error:
            if not isinstance(error, MemoryError) and "memory" not in str(error):  # torch's RuntimeError
                raise
            raise UserError(
                f"{path.name}: too large for the memory of this machine; make it smaller"
            ) from None

    def _analyse_picture(self, path: Path) -> Analysis:
        start = time.perf_counter()
        frame = AnalysedFrame(0, 0.0, self.segmenter.predict(path, LOWEST_SCORE))
        return Analysis(path, False, (frame,), _milliseconds(start))

    def _analyse_video(self, path: Path, progress: Callable[[int, int], None]) -> Analysis:
        start, total = time.perf_counter(), read_header(path).frames
        stride = math.ceil(total / self.max_frames)
        expected, frames = math.ceil(total / stride), list[AnalysedFrame]()
        for frame in read_frames(path, stride, self.max_frames):
            if self._ended.is_set():
                raise UserError(f"{path.name}: the page has ended")
            progress(len(frames), max(expected, len(frames) + 1))
            detections = self.segmenter.predict(frame.pixels, LOWEST_SCORE)
            thumbnail = to_thumbnail(frame.pixels)
            frames.append(AnalysedFrame(frame.number, frame.seconds, detections, thumbnail))
        skipped = max(0, total - len(frames))
        return Analysis(path, True, tuple(frames), _milliseconds(start), skipped, stride)

    def end(self) -> None:
        """Wait until the model has predicted its picture or frame, and let it predict no other.

        Python must not end while another thread runs the network.
        """
        self._ended.set()
        self._busy.acquire()

    def show(self, analysis: Analysis, threshold: float, classes: Sequence[str]) -> Shown:
        """Draw a selection of the detections and write it as COCO results and as CSV.

        Args:
            analysis: the network's output.
            threshold: the lowest score.
            classes: names of the classes.

        Raises:
            UserError: the upload cannot be read any more.
        """
        folder = Path(tempfile.mkdtemp(dir=self.folder, prefix="result-"))
        self._results.append(folder)
        if len(self._results) > STORED_RESULTS:
            shutil.rmtree(self._results.popleft(), ignore_errors=True)
        names = self.segmenter.classes
        selected = [
            (frame.number, frame.seconds, select(frame.detections, names, threshold, classes))
            for frame in analysis.frames
        ]
        pixels: Iterator[Image.Image]
        if analysis.is_video:
            frames = read_frames(analysis.path, analysis.stride, len(selected))
            pixels = (Image.fromarray(frame.pixels) for frame in frames)
        else:
            pixels = (Image.fromarray(read_image(path, upright=True).pixels) for path in (analysis.path,))
        return write_results(folder, analysis.path.name, analysis.is_video, pixels, selected, names)

    def keep(self, analysis: Analysis, threshold: float, classes: Sequence[str]) -> str:
        """Keep the selected detections for correction, with the picture or with frames of the video.

        Of a video, at most ``KEPT_FRAMES`` frames are kept: the least certain ones, without near duplicates
        (see ``choose_frames``).

        Returns:
            A line that says where they are.

        Raises:
            UserError: the upload cannot be read any more, or the files cannot be written.
        """
        names, lowest = self.segmenter.classes, max(0.0, threshold - NEAR)
        selected = [select(frame.detections, names, lowest, classes) for frame in analysis.frames]
        folder = self.collection.out / "images"
        try:
            if analysis.is_video:
                chosen = self._keep_frames(analysis, selected, threshold)
                text = f"kept {chosen} of {len(selected)} frames, the least certain ones, in {folder}"
            else:
                text = f"kept as {folder / self.collection.add(analysis.path, selected[0], threshold)}"
        except OSError as error:
            raise UserError(f"{self.collection.out}: cannot be written to: {error.strerror}") from None
        count = len(self.collection)
        return f"{text}; {count} picture{'s' * (count != 1)} in all"

    def _keep_frames(self, analysis: Analysis, selected: list[Detections], threshold: float) -> int:
        """Keep the frames of a video that are worth correcting, and return their number."""
        candidates = [
            Candidate(without_empty_masks(detections), frame.thumbnail)
            for frame, detections in zip(analysis.frames, selected, strict=True)
            if frame.thumbnail is not None
        ]
        chosen = choose_frames(candidates, threshold, KEPT_FRAMES)
        frames = read_frames(analysis.path, analysis.stride, chosen[-1] + 1 if chosen else 0)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="frames-") as folder:
            for index, frame in enumerate(frames):
                if index in chosen:
                    path = Path(folder) / f"{analysis.path.stem}-{frame.number:06d}.png"
                    Image.fromarray(frame.pixels).save(path)
                    self.collection.add(path, selected[index], threshold)
        return len(chosen)


def select(
    detections: Detections, names: Sequence[str], threshold: float, classes: Sequence[str]
) -> Detections:
    """Return the detections of some classes from a score on.

    Args:
        detections: detections in one image.
        names: the model's class names.
        threshold: the lowest score.
        classes: names of the classes to return.
    """
    labels = [label for label, name in enumerate(names, start=1) if name in classes]
    rows = np.isin(detections.labels, labels) & (detections.scores >= threshold)
    return detections.select(np.flatnonzero(rows))


def read_frames(path: Path, stride: int, count: int) -> Iterator[Frame]:
    """Read every ``stride``-th frame of a video, at most ``count`` of them.

    Raises:
        UserError: the file cannot be read.
    """
    return itertools.islice(read_video(path), 0, stride * count, stride)


def _milliseconds(start: float) -> float:
    return 1000 * (time.perf_counter() - start)


def _without_folder(error: UserError, path: Path) -> str:
    """Return the first line of a message, with the file's name in place of its temporary path."""
    return str(error).replace(str(path), path.name).splitlines()[0]
