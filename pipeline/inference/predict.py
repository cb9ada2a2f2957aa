"""Find the objects in pictures, videos and before a camera: drawn masks to look at, results to work with.

Nothing is kept in memory but the picture at hand: results go to their files as they come.
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
from pipeline.inference.predictions import rounded, to_coco
from pipeline.inference.segmenter import Segmenter, load
from pipeline.inference.sources import JPEG, drawn_names, find_sources
from pipeline.inference.video import Frame, frames_of, is_video, open_video, read_camera, read_video
from pipeline.inference.writers import Add, open_results
from pipeline.viz.overlays import draw_overlays, readable, result_overlays


@dataclass
class _Run:
    """One call of predict: what looks, where results go, and what came of it so far."""

    segmenter: Segmenter
    threshold: float
    out: Path
    add: Add
    step: Callable[[], None]
    """Told after each picture."""
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    done: int = 0
    """Pictures and frames."""
    found: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def look(self, pixels: npt.NDArray[np.uint8], image_id: int, **said: Any) -> Image.Image:
        """Write what is found in one picture, each result with what is ``said``; give the drawing."""
        classes = self.segmenter.classes
        labels = {label: label for label in range(1, len(classes) + 1)}
        prediction = self.segmenter.find(pixels).at_least(self.threshold)
        results = [rounded(result) for result in to_coco(prediction, image_id, labels)]
        for result in results:
            result |= {"category_name": classes[result["category_id"] - 1], **said}
            self.found[result["category_name"]] += 1
        self.add(results)
        self.done += 1
        self.step()
        categories = [{"id": label, "name": name} for label, name in enumerate(classes, start=1)]
        return draw_overlays(Image.fromarray(pixels), result_overlays(results, categories))


def predict_images(
    model_path: Path,
    images: tuple[Path, ...],
    out: Path,
    threshold: float | None = None,
    camera: int | None = None,
    frames: int | None = None,
) -> None:
    """Draw what the model finds in ``images`` (see ``find_sources``) and write COCO results and a table.

    ``out`` gets a drawn picture or video (.mp4) per source, turned as it says, and predictions.json: results
    with ``file_name``, ``picture`` (its drawing in ``out``), ``category_name``, and ``image_id`` from 1 in
    the order given; of a video's frame also ``frame``, from 0, and ``seconds``. predictions.csv is the same
    without masks. A source that can't be read is named and left out.

    Args:
        model_path: a model.safetensors, or an exported .onnx or .torchscript.
        threshold: the least score kept; None: the model's own, best on its validation split.
        camera: the number of a camera to look through, until it is interrupted or ``frames`` are done.
        frames: of each video or camera at most so many.

    Raises:
        UserError: no image, no camera, no model, or ``out`` can't be written.
        SystemExit: 1, at the end, if an image could not be read.
    """
    sources = find_sources(images) if images or camera is None else []
    prepare_output_dir(out)
    names = drawn_names(sources, out)
    lengths = [min(frames_of(path), frames or sys.maxsize) if is_video(path) else 1 for path in sources]
    live = _started(read_camera(camera)) if camera is not None else None
    length = None if live and not frames else sum(lengths) + (frames or 0) * (live is not None)
    segmenter = load(model_path)
    least = segmenter.threshold if threshold is None else threshold
    with (
        open_results(out) as add,
        click.progressbar(itertools.count(), length, "predict", show_pos=True, file=sys.stderr) as bar,
    ):
        run = _Run(segmenter, least, out, add, lambda: bar.update(1))
        for source, name in zip(sources, names, strict=True):
            try:
                if is_video(source):
                    _film(run, itertools.islice(read_video(source), frames), source.name, name)
                else:
                    _picture(run, source, name)
            except UserError as error:
                run.failures.append(str(error))
        if live is not None:
            shots = itertools.islice(live, frames)
            _film(run, shots, f"camera {camera}", f"camera-{camera}.mp4", endless=True)
    _summarise(run)
    if run.failures:
        raise SystemExit(1)


def _picture(run: _Run, source: Path, name: str) -> None:
    image_id = next(run.ids)
    drawn = run.look(read_rgb(source, upright=True), image_id, file_name=source.name, picture=name)
    write_atomic(run.out / name, _encode(drawn, name))


def _film(run: _Run, shots: Iterator[Frame], file_name: str, name: str, endless: bool = False) -> None:
    """Look at all frames, and draw a video of them; where they break off, it ends.

    Raises:
        UserError: they broke off.
    """
    first = next(shots, None)
    if first is None:
        return
    height, width = first.pixels.shape[:2]
    fault: UserError | None = None
    with open_video(run.out / name, (width, height)) as show:
        try:
            for shot in itertools.chain([first], shots):
                said = {"frame": shot.number, "seconds": round(shot.seconds, 3)}
                show(
                    run.look(shot.pixels, next(run.ids), file_name=file_name, picture=name, **said),
                    shot.seconds,
                )
        except UserError as error:
            fault = error
        except KeyboardInterrupt:  # how one stops a camera
            if not endless:
                raise
    if fault:
        raise fault


def _started(shots: Iterator[Frame]) -> Iterator[Frame]:
    """The same, its first frame already there: what is wrong is said before the work."""
    return itertools.chain([next(shots)], shots)


def _encode(picture: Image.Image, name: str) -> bytes:
    stream = io.BytesIO()
    if Path(name).suffix in JPEG:
        picture.save(stream, format="JPEG", quality=92)
    else:
        picture.save(stream, format="PNG")
    return stream.getvalue()


def _summarise(run: _Run) -> None:
    for failure in run.failures:
        click.echo(f"error: {failure}", err=True)
    found = ", ".join(f"{number} {readable(name)}" for name, number in sorted(run.found.items())) or "nothing"
    images = f"{run.done} of {run.done + len(run.failures)} images"
    click.echo(f"predict: {found} in {images} (score from {run.threshold:.2f}) -> {run.out}")
