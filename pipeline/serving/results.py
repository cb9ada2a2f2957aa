"""The drawing, the table and the files of the detections that the page shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from pycocotools import mask as mask_utils

from blender.contract import UserError
from pipeline.inference.detections import Detections, to_named_results
from pipeline.inference.drawings import write_drawing
from pipeline.inference.video import open_video
from pipeline.inference.writers import RESULTS, TABLE, open_results
from pipeline.viz.overlays import detection_overlays, draw_overlays, readable

DRAWN_SIDE = 1600
"""Longer side in pixels of the largest drawing. The detections refer to the picture's own size."""
COLUMNS = ("class", "score", "left", "top", "width", "height", "area")
"""Columns of the table for a picture; boxes and areas are in pixels."""
VIDEO_COLUMNS = ("seconds", *COLUMNS)
"""Columns of the table for a video."""
MAX_ROWS = 500
"""Number of rows that the page shows; the files have all."""
Selected = tuple[int, float, Detections]
"""Number and seconds of a frame, and the detections to show."""


@dataclass(frozen=True)
class Shown:
    """What the page shows of one upload."""

    drawing: Path
    """A JPEG file, or an .mp4 file for a video."""
    columns: tuple[str, ...]
    rows: list[list[str | float]]
    """The table, at most ``MAX_ROWS``."""
    objects: dict[str, int]
    """Number of objects by class name."""
    coco: Path
    """COCO results, as ``predict`` writes them."""
    csv: Path
    """The same without masks."""


def write_results(
    folder: Path,
    name: str,
    is_video: bool,
    images: Iterator[Image.Image],
    selected: Sequence[Selected],
    classes: Sequence[str],
) -> Shown:
    """Draw the detections and write their files.

    Args:
        folder: an empty folder.
        name: the file's name in the results.
        is_video: whether the drawing is a video.
        images: the picture, or the frames of the video; they are read one by one.
        selected: the detections in each of them.
        classes: the model's class names.

    Raises:
        UserError: an image cannot be read, or the drawing cannot be written.
    """
    categories = [{"id": label, "name": text} for label, text in enumerate(classes, start=1)]
    drawing = folder / ("drawing.mp4" if is_video else "drawing.jpg")
    rows: list[list[str | float]] = []
    objects: Counter[str] = Counter()
    with ExitStack() as stack, open_results(folder) as writer:
        append = None
        for number, (image, (frame, seconds, detections)) in enumerate(
            zip(images, selected, strict=False), start=1
        ):
            fields: dict[str, Any] = {"file_name": name}
            if is_video:
                fields |= {"frame": frame, "seconds": round(seconds, 3)}
            results = to_named_results(detections, number, classes, **fields)
            writer.write(results)
            objects.update(result["category_name"] for result in results)
            rows += [_row(result, is_video) for result in results[: MAX_ROWS - len(rows)]]
            drawn = draw_overlays(_shrink(image), detection_overlays(results, categories))
            if not is_video:
                problem = write_drawing(drawing, drawn)
                if problem:
                    raise UserError(problem)
                continue
            if append is None:
                append = stack.enter_context(open_video(drawing, drawn.size))
            append(drawn, seconds)
    columns = VIDEO_COLUMNS if is_video else COLUMNS
    return Shown(drawing, columns, rows, dict(objects), folder / RESULTS, folder / TABLE)


def _row(result: dict[str, Any], is_video: bool) -> list[str | float]:
    box = [round(value, 1) for value in result["bbox"]]
    area = int(mask_utils.area(result["segmentation"]))
    row = [readable(result["category_name"]), round(result["score"], 3), *box, area]
    return [round(result["seconds"], 2), *row] if is_video else row


def _shrink(image: Image.Image) -> Image.Image:
    """Return an image whose longer side is at most ``DRAWN_SIDE``."""
    longer = max(image.size)
    if longer <= DRAWN_SIDE:
        return image
    width, height = (max(1, round(side * DRAWN_SIDE / longer)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)


def describe(objects: dict[str, int]) -> str:
    """Return for example "2 pedestrian, 1 pallet truck", or "nothing"."""
    return ", ".join(f"{count} {readable(name)}" for name, count in sorted(objects.items())) or "nothing"
