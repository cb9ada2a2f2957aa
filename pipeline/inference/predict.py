"""The command ``predict``: detect objects in images, videos and camera frames, and draw them.

Results are written to their files image by image, so memory does not grow with their number.
"""

from __future__ import annotations

import io
import itertools
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from PIL import Image

from blender.contract import UserError, write_atomic
from pipeline.common.stages import prepare_output_dir
from pipeline.data.images import read_rgb
from pipeline.inference.detections import round_result, to_coco_results
from pipeline.inference.segmenter import Segmenter, load
from pipeline.inference.sources import JPEG_SUFFIXES, find_sources, name_drawings
from pipeline.inference.video import Frame, count_frames, is_video, open_video, read_camera, read_video
from pipeline.inference.writers import WriteResults, open_results
from pipeline.viz.overlays import detection_overlays, draw_overlays, readable

JPEG_QUALITY = 92
"""JPEG quality of drawings, on Pillow's scale from 1 to 95."""


@dataclass
class PredictionRun:
    """The model, the outputs and the counts of one run of the command."""

    segmenter: Segmenter
    threshold: float
    """Lowest score that is drawn and written."""
    out: Path
    write_results: WriteResults
    update_progress: Callable[[], None]
    """Called after each image."""
    image_ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    images: int = 0
    """Number of predicted images and frames."""
    objects: Counter[str] = field(default_factory=Counter)
    """Detections by class name."""
    errors: list[str] = field(default_factory=list)
    """A message for each source that could not be read."""

    def predict(self, pixels: npt.NDArray[np.uint8], image_id: int, **fields: Any) -> Image.Image:
        """Predict one image, write its results and return the drawing.

        Args:
            pixels: (H, W, 3) RGB.
            image_id: id of the image in the results.
            fields: fields that are added to each result.
        """
        classes = self.segmenter.classes
        labels = {label: label for label in range(1, len(classes) + 1)}
        detections = self.segmenter.predict(pixels, self.threshold)
        results = [round_result(result) for result in to_coco_results(detections, image_id, labels)]
        for result in results:
            result |= {"category_name": classes[result["category_id"] - 1], **fields}
            self.objects[result["category_name"]] += 1
        self.write_results(results)
        self.images += 1
        self.update_progress()
        categories = [{"id": label, "name": name} for label, name in enumerate(classes, start=1)]
        return draw_overlays(Image.fromarray(pixels), detection_overlays(results, categories))


def predict_images(
    model_path: Path,
    images: tuple[Path, ...],
    out: Path,
    threshold: float | None = None,
    camera: int | None = None,
    frames: int | None = None,
) -> None:
    """Detect the objects in ``images`` (see ``find_sources``), draw them, and write COCO results and a table.

    ``out`` gets a drawing per image and a drawn .mp4 per video, rotated as the source states, and
    predictions.json: COCO results that also have ``file_name``, ``picture`` (the drawing's name in ``out``)
    and ``category_name``; ``image_id`` counts from 1. Results of a video also have ``frame``, from 0, and
    ``seconds``. predictions.csv has the same without masks. A source that cannot be read is reported and
    skipped.

    Args:
        model_path: a checkpoint (model.safetensors), or an exported .onnx file.
        images: files, folders and patterns.
        out: the folder for the results.
        threshold: lowest score that is drawn and written; None: the model's threshold.
        camera: number of a camera to read until the user interrupts, or until ``frames`` are read.
        frames: largest number of frames of each video or camera; None: all.

    Raises:
        UserError: no image, camera or model was found, or ``out`` cannot be written to.
        SystemExit: with status 1, at the end, if a source could not be read.
    """
    sources = find_sources(images) if images or camera is None else []
    prepare_output_dir(out)
    names = name_drawings(sources, out)
    lengths = [min(count_frames(path), frames or sys.maxsize) if is_video(path) else 1 for path in sources]
    live = _read_first(read_camera(camera)) if camera is not None else None
    length = None if live and not frames else sum(lengths) + (frames or 0) * (live is not None)
    segmenter = load(model_path)
    min_score = segmenter.threshold if threshold is None else threshold
    with (
        open_results(out) as write_results,
        click.progressbar(itertools.count(), length, "predict", show_pos=True, file=sys.stderr) as bar,
    ):
        run = PredictionRun(segmenter, min_score, out, write_results, lambda: bar.update(1))
        for source, name in zip(sources, names, strict=True):
            try:
                if is_video(source):
                    _predict_video(run, itertools.islice(read_video(source), frames), source.name, name)
                else:
                    _predict_image(run, source, name)
            except UserError as error:
                run.errors.append(str(error))
        if live is not None:
            camera_frames = itertools.islice(live, frames)
            _predict_video(run, camera_frames, f"camera {camera}", f"camera-{camera}.mp4", is_camera=True)
    _print_summary(run)
    if run.errors:
        raise SystemExit(1)


def _predict_image(run: PredictionRun, source: Path, name: str) -> None:
    image_id = next(run.image_ids)
    drawing = run.predict(read_rgb(source, upright=True), image_id, file_name=source.name, picture=name)
    write_atomic(run.out / name, _encode(drawing, name))


def _predict_video(
    run: PredictionRun, frames: Iterator[Frame], file_name: str, name: str, is_camera: bool = False
) -> None:
    """Predict all frames and write a drawn video, which ends before the first frame that cannot be read.

    Args:
        run: the run.
        frames: the frames of the video or camera.
        file_name: name of the source in the results.
        name: name of the drawn video in the run's folder.
        is_camera: True: Ctrl-C ends the video, not the command.

    Raises:
        UserError: a frame could not be read.
    """
    first = next(frames, None)
    if first is None:
        return
    height, width = first.pixels.shape[:2]
    fault: UserError | None = None
    with open_video(run.out / name, (width, height)) as append:
        try:
            for frame in itertools.chain([first], frames):
                position = {"frame": frame.number, "seconds": round(frame.seconds, 3)}
                image_id = next(run.image_ids)
                drawing = run.predict(frame.pixels, image_id, file_name=file_name, picture=name, **position)
                append(drawing, frame.seconds)
        except UserError as error:
            fault = error
        except KeyboardInterrupt:
            if not is_camera:
                raise
    if fault:
        raise fault


def _read_first(frames: Iterator[Frame]) -> Iterator[Frame]:
    """Read the first frame now, so that a missing camera is reported before the model is loaded."""
    return itertools.chain([next(frames)], frames)


def _encode(image: Image.Image, name: str) -> bytes:
    stream = io.BytesIO()
    if Path(name).suffix in JPEG_SUFFIXES:
        image.save(stream, format="JPEG", quality=JPEG_QUALITY)
    else:
        image.save(stream, format="PNG")
    return stream.getvalue()


def _print_summary(run: PredictionRun) -> None:
    for message in run.errors:
        click.echo(f"error: {message}", err=True)
    counts = ", ".join(f"{count} {readable(name)}" for name, count in sorted(run.objects.items()))
    images = f"{run.images} of {run.images + len(run.errors)} images"
    click.echo(f"predict: {counts or 'nothing'} in {images} (score from {run.threshold:.2f}) -> {run.out}")
