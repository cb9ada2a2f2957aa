"""The command ``predict``: detect objects in images, videos and camera frames, and draw them.

Results are written to their files image by image, so memory does not grow with their number.
"""

from __future__ import annotations

import copy
import itertools
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from PIL import Image

from blender.contract import UserError, print_note
from pipeline.common.interrupts import Interrupts, defer_interrupts
from pipeline.common.stages import prepare_output_dir
from pipeline.data.images import read_image
from pipeline.inference.detections import round_result, to_coco_results
from pipeline.inference.drawings import drawing_problem, name_drawings, write_drawing
from pipeline.inference.resume import Progress, earlier_progress, hash_inputs, remove_progress, save_progress
from pipeline.inference.segmenter import MAX_PIXELS, Segmenter, load
from pipeline.inference.sources import Source, find_sources
from pipeline.inference.video import Frame, VideoHeader, open_video, read_camera, read_header, read_video
from pipeline.inference.writers import COLUMNS, RESULTS, ResultsWriter, open_results
from pipeline.metres import results as metre_fields
from pipeline.viz.overlays import detection_overlays, draw_overlays, readable


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
    metres: metre_fields.Metres | None = None
    """Adds floor positions and distances; None: the camera is not described."""
    disk_error: OSError | None = None
    """The error of a full disk, which ended the run."""
    partial: Progress | None = None
    """The progress with the frames of a video that was interrupted."""

    def new_image_id(self) -> int:
        """Return the next image id of the results."""
        self.progress.next_image_id += 1
        return self.progress.next_image_id - 1

    def predict(
        self, pixels: npt.NDArray[np.uint8], image_id: int, size: tuple[int, int] | None = None, **fields: Any
    ) -> Image.Image:
        """Predict one image, write its results and return the drawing.

        Args:
            pixels: (H, W, 3) RGB.
            image_id: id of the image in the results.
            size: (width, height) of the image in the results, if ``pixels`` are a smaller copy of it.
            fields: fields that are added to each result.
        """
        classes = self.segmenter.classes
        labels = {label: label for label in range(1, len(classes) + 1)}
        detections = self.segmenter.predict(pixels, self.threshold)
        drawn = [round_result(result) for result in to_coco_results(detections, image_id, labels)]
        scaled = detections.resize(size) if size else detections
        results = [round_result(result) for result in to_coco_results(scaled, image_id, labels)]
        for result in results:
            result |= {"category_name": classes[result["category_id"] - 1], **fields}
        if self.metres:
            nearest = self.metres.add(results, drawn, scaled.image_size[::-1])
            if nearest:
                self.progress.note(self.metres.near_note, fields["file_name"], nearest)
        objects = self.progress.objects
        for result in results:
            objects[result["category_name"]] = objects.get(result["category_name"], 0) + 1
        self.writer.write(results)
        self.progress.images += 1
        self.update_progress()
        categories = [{"id": label, "name": name} for label, name in enumerate(classes, start=1)]
        return draw_overlays(Image.fromarray(pixels), detection_overlays(drawn, categories))


def predict_images(
    model_path: Path,
    images: tuple[Path, ...],
    out: Path,
    threshold: float | None = None,
    camera: int | None = None,
    frames: int | None = None,
    classes: tuple[str, ...] = (),
    metres: metre_fields.Metres | None = None,
) -> None:
    """Detect the objects in ``images`` (see ``find_sources``), draw them, and write COCO results and a table.

    ``out`` gets a drawing per image, a drawn .mp4 per video, and predictions.json: COCO results that also
    have ``file_name``, ``picture`` (the drawing's name in ``out``) and ``category_name``; ``image_id`` counts
    from 1. Results of a video also have ``frame``, from 0, and ``seconds``. predictions.csv has the same
    without masks. What cannot be read or drawn is reported and skipped. After Ctrl-C or SIGTERM the results
    so far are kept, and a repeated call continues.

    Args:
        model_path: a checkpoint (model.safetensors), or an exported .onnx file.
        images: files, folders and patterns.
        out: the folder for the results.
        threshold: lowest score that is drawn and written; None: the model's threshold.
        camera: number of a camera to read until the user interrupts, or until ``frames`` are read.
        frames: largest number of frames of each video or camera; None: all.
        classes: the classes to detect; empty: all of the model.
        metres: adds floor positions and distances; None: the camera is not described.

    Raises:
        UserError: no image, camera or model was found, or ``out`` cannot be written to.
        SystemExit: at the end, with status 1 if a source could not be read or drawn, and with 128 + the
            signal's number after an interruption.
    """
    found = find_sources(images) if images or camera is None else None
    sources = found.sources if found else []
    prepare_output_dir(out)
    names = name_drawings(sources, out)
    headers = [read_header(source.path) if source.is_video else VideoHeader() for source in sources]
    lengths = [min(header.frames, frames or sys.maxsize) for header in headers]
    live = _read_first(read_camera(camera)) if camera is not None else None
    length = None if live and not frames else sum(lengths) + (frames or 0) * (live is not None)
    if found and found.left_out:
        print_note(f"left out: {found.describe_left_out()}")
    segmenter = load(model_path, classes=classes)
    if metres:
        metres.check_classes(segmenter.classes)
    min_score = segmenter.threshold if threshold is None else threshold

    def inputs() -> str:
        more = metres.settings if metres else []
        return hash_inputs(model_path, segmenter.classes, min_score, frames, sources, names, more)

    progress = earlier_progress(out, inputs, len(sources))
    replaces_results = not progress.sources and (out / RESULTS).exists()
    with (
        open_results(out, progress.position, COLUMNS + (metre_fields.COLUMNS if metres else ())) as writer,
        click.progressbar(itertools.count(), length, "predict", show_pos=True, file=sys.stderr) as bar,
        defer_interrupts("interrupted: predict ends after this image") as interrupts,
    ):
        if progress.sources:
            bar.update(sum(lengths[: progress.sources]))
        run = PredictionRun(
            segmenter, min_score, out, writer, lambda: bar.update(1), interrupts, progress, metres
        )
        _predict_sources(run, sources, names, headers, frames)
        is_complete = run.progress.sources == len(sources)
        if live is not None and is_complete:
            camera_frames = itertools.islice(live, frames)
            _predict_video(run, camera_frames, f"camera {camera}", f"camera-{camera}.mp4")
            if interrupts.number == signal.SIGINT:
                interrupts.number = 0  # the usual end of a camera
        if run.disk_error and (replaces_results or not run.progress.sources):
            raise run.disk_error
        if not (is_complete or run.writer.position[0] or run.progress.sources):
            raise SystemExit(interrupts.exit_status)  # earlier results are not replaced by none
    _print_summary(run)
    if is_complete:
        remove_progress(out)
    else:
        save_progress(out, inputs(), run.progress)
        done = f"{run.progress.sources} of {len(sources)} images are done, and their results are in {out}"
        click.echo(f"interrupted: {done}; repeat the command to continue", err=True)
    if run.disk_error:
        raise run.disk_error
    if interrupts.came():
        raise SystemExit(interrupts.exit_status)
    if run.progress.errors:
        raise SystemExit(1)


def _predict_sources(
    run: PredictionRun,
    sources: list[Source],
    names: list[str],
    headers: list[VideoHeader],
    frames: int | None,
) -> None:
    """Predict the sources that are not done yet, until the user interrupts or the disk is full."""
    for source, name, header in list(zip(sources, names, headers, strict=True))[run.progress.sources :]:
        if run.interrupts.came():
            return
        before = copy.deepcopy(run.progress)
        try:
            _predict_source(run, source, name, header, frames)
        except (KeyboardInterrupt, OSError) as error:  # a second Ctrl-C, or a full disk
            run.disk_error = error if isinstance(error, OSError) else None
            run.progress = before
            run.writer.cut(before.position)
            return
        if source.is_video and run.interrupts.came():  # its results and drawing stay, but it is not done
            run.partial, run.progress = run.progress, before
            return
        run.progress.sources += 1
        run.progress.position = run.writer.position


def _predict_source(
    run: PredictionRun, source: Source, name: str, header: VideoHeader, frames: int | None
) -> None:
    """Predict an image or video, draw it, and note its problems."""
    progress = run.progress
    try:
        if source.is_video:
            if header.stretched:
                progress.note("pixels of videos are made square", source.file_name, header.stretched)
            _predict_video(run, itertools.islice(read_video(source.path), frames), source.file_name, name)
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


def _predict_video(run: PredictionRun, frames: Iterator[Frame], file_name: str, name: str) -> None:
    """Predict all frames and write a drawn video.

    It ends before the first frame that cannot be read, and when the user interrupts.

    Args:
        run: the run.
        frames: the frames of the video or camera.
        file_name: name of the source in the results.
        name: name of the drawn video in the run's folder.

    Raises:
        UserError: a frame could not be read.
    """
    first = next(frames, None)
    if first is None:
        return
    height, width = first.pixels.shape[:2]
    problem: UserError | None = None
    try:
        with open_video(run.out / name, (width, height)) as append:
            try:
                for frame in itertools.chain([first], frames):
                    position = {"frame": frame.number, "seconds": round(frame.seconds, 3)}
                    fields: dict[str, Any] = {"file_name": file_name, "picture": name, **position}
                    append(run.predict(frame.pixels, run.new_image_id(), **fields), frame.seconds)
                    if run.interrupts.came():
                        break
            except UserError as error:
                problem = error
    except OSError as error:
        run.progress.errors.append(drawing_problem(run.out / name, error))
    if problem:
        raise problem


def _read_first(frames: Iterator[Frame]) -> Iterator[Frame]:
    """Read the first frame now, so that a missing camera is reported before the model is loaded."""
    return itertools.chain([next(frames)], frames)


def _print_summary(run: PredictionRun) -> None:
    progress = run.partial or run.progress
    for note in progress.describe_notes():
        print_note(note)
    if run.metres:
        print_note(metre_fields.NOTICE)
    for message in progress.errors:
        click.echo(f"error: {message}", err=True)
    counts = ", ".join(f"{count} {readable(name)}" for name, count in sorted(progress.objects.items()))
    images = f"{progress.images} of {progress.images + progress.unreadable} images"
    click.echo(f"predict: {counts or 'nothing'} in {images} (score from {run.threshold:.2f}) -> {run.out}")
