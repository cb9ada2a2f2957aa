"""Predict images and videos one by one, draw them, and write their results."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from blender.contract import UserError
from pipeline.common.interrupts import Interrupts
from pipeline.data.images import read_image
from pipeline.inference.detections import to_named_results
from pipeline.inference.drawings import drawing_problem, write_drawing
from pipeline.inference.frames import read_frames
from pipeline.inference.resume import Progress
from pipeline.inference.segmenter import MAX_PIXELS, Segmenter
from pipeline.inference.sources import Source
from pipeline.inference.tracked_video import VideoTracker
from pipeline.inference.video import DEFAULT_RATE, Frame, VideoHeader, open_video
from pipeline.inference.writers import ResultsWriter
from pipeline.metres.results import Metres
from pipeline.tracking.events import EventRule
from pipeline.tracking.files import TrackedVideo
from pipeline.viz.overlays import detection_overlays, draw_overlays


@dataclass
class PredictionRun:
    """The model, the outputs and the progress of one run of the command."""

    segmenter: Segmenter
    threshold: float
    """Lowest score that is drawn and written."""
    out: Path
    writer: ResultsWriter
    update_progress: Callable[[], None]
    """Called after each image."""
    interrupts: Interrupts
    progress: Progress
    track: bool = False
    """Whether the objects of videos are tracked."""
    metres: Metres | None = None
    """Adds floor positions and distances; None: the camera is not described."""
    events: EventRule | None = None
    """Which events are written; None: none."""
    disk_error: OSError | None = None
    """The error of a full disk, which ended the run."""
    partial: Progress | None = None
    """The progress with the frames of a video that was interrupted."""

    def new_image_id(self) -> int:
        """Return the next image id of the results."""
        self.progress.next_image_id += 1
        return self.progress.next_image_id - 1

    def predict(
        self,
        pixels: npt.NDArray[np.uint8],
        image_id: int,
        size: tuple[int, int] | None = None,
        tracker: VideoTracker | None = None,
        **fields: Any,
    ) -> Image.Image:
        """Predict one image, write its results and return the drawing.

        Args:
            pixels: (H, W, 3) RGB.
            image_id: id of the image in the results.
            size: (width, height) of the image in the results, if ``pixels`` are a smaller copy of it.
            tracker: the tracker of the video, if its objects are tracked.
            fields: fields that are added to each result.
        """
        classes = self.segmenter.classes
        if tracker:
            detections, tracks = tracker.update(self.segmenter.predict(pixels, tracker.lowest_score))
        else:
            detections, tracks = self.segmenter.predict(pixels, self.threshold), None
        drawn = to_named_results(detections, image_id, classes)
        scaled = detections.resize(size) if size else detections
        results = to_named_results(scaled, image_id, classes, **fields)
        objects = self.progress.objects
        for result in results:
            objects[result["category_name"]] = objects.get(result["category_name"], 0) + 1
        if self.metres:
            nearest = self.metres.add(results, drawn, scaled.image_size[::-1])
            if nearest:
                self.progress.note(self.metres.near_note, fields["file_name"], nearest)
        if tracks is not None:
            for result, shown, track in zip(results, drawn, tracks, strict=True):
                result["track_id"] = shown["track_id"] = track
        self.writer.write(results)
        self.progress.images += 1
        self.update_progress()
        categories = [{"id": label, "name": name} for label, name in enumerate(classes, start=1)]
        image = draw_overlays(Image.fromarray(pixels), detection_overlays(drawn, categories))
        if tracker:
            tracker.trails.draw(image)
        return image


def predict_source(
    run: PredictionRun, source: Source, name: str, header: VideoHeader, frames: int | None
) -> None:
    """Predict an image or video, draw it, and note its problems."""
    progress = run.progress
    try:
        if source.is_video:
            if header.stretched:
                progress.note("pixels of videos are made square", source.file_name, header.stretched)
            video = itertools.islice(read_frames(source, header), frames)
            predict_video(run, video, source.file_name, name, header.rate)
        else:
            _predict_image(run, source, name)
    except UserError as error:
        progress.errors.append(str(error))
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):  # torch's RuntimeError
            raise
        progress.errors.append(f"{source.path}: too large for the memory of this machine; make it smaller")
    else:
        return
    progress.unreadable += 1


def _predict_image(run: PredictionRun, source: Source, name: str) -> None:
    image_id = run.new_image_id()
    image = read_image(source.path, upright=True, max_pixels=MAX_PIXELS)
    for text, detail in image.notes:
        run.progress.note(text, source.file_name, detail)
    drawing = run.predict(image.pixels, image_id, image.size, file_name=source.file_name, picture=name)
    problem = write_drawing(run.out / name, drawing)
    if problem:
        run.progress.errors.append(problem)


def predict_video(
    run: PredictionRun, frames: Iterator[Frame], file_name: str, name: str, rate: float = DEFAULT_RATE
) -> None:
    """Predict all frames and write a drawn video.

    It ends when the user interrupts.

    Args:
        run: the run.
        frames: the frames of the video or camera.
        file_name: name of the source in the results.
        name: name of the drawn video in the run's folder.
        rate: frames per second, for the tracker.

    Raises:
        UserError: a frame could not be read.
    """
    first = next(frames, None)
    if first is None:
        return
    height, width = first.pixels.shape[:2]
    tracker = None
    if run.track:
        first_id = run.progress.next_image_id
        video = TrackedVideo(file_name, first_id, width, height, round(rate, 6))
        run.progress.videos.append(video)
        tracker = VideoTracker(run.threshold, video, run.progress.new_track_id)
    problem: UserError | None = None
    try:
        with open_video(run.out / name, (width, height)) as append:
            try:
                for frame in itertools.chain([first], frames):
                    position = {"frame": frame.number, "seconds": round(frame.seconds, 3)}
                    fields: dict[str, Any] = {"file_name": file_name, "picture": name, **position}
                    if tracker:
                        tracker.start_frame(frame)
                    drawing = run.predict(frame.pixels, run.new_image_id(), tracker=tracker, **fields)
                    append(drawing, frame.seconds)
                    if run.interrupts.came():
                        break
            except UserError as error:
                problem = error
    except OSError as error:
        run.progress.errors.append(drawing_problem(run.out / name, error))
    if problem:
        raise problem
