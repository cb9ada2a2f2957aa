"""Measure photographs: size, lens and JPEG tables of files, statistics and upright lines of pixels."""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from blender.contract import UserError
from pipeline.common.processes import core_count
from pipeline.common.task_pool import map_tasks
from pipeline.data.exif import read_orientation
from pipeline.data.images import open_image, read_rgb
from pipeline.fitting.statistics import SMALLEST, measure
from pipeline.fitting.verticals import Uprights, measure_uprights

FOCAL_LENGTH_35 = 0xA405
"""Number of the EXIF tag for the focal length that gives the same diagonal field of view on 35 mm film."""
_EXIF_IFD = 0x8769
_FILM_DIAGONAL = math.hypot(36, 24)
"""Millimetres."""
PER_PROCESS = 40
"""Photographs for which another process is worth its start."""


@dataclass(frozen=True)
class Photograph:
    """What one photograph says about its camera."""

    width: int
    """Width in pixels, upright."""
    height: int
    """Height in pixels, upright."""
    quality: int | None
    """Quality of the JPEG file on the Independent JPEG Group's scale; None: not such a file."""
    fov: float | None
    """Horizontal field of view of the upright image from the EXIF data, degrees."""
    uprights: Uprights | None
    """What the upright lines say; None if there are too few."""
    statistics: dict[str, float]
    """See ``pipeline.fitting.statistics.measure``."""


def measure_photographs(paths: Sequence[Path], area: int) -> Iterator[Photograph | str]:
    """Measure photographs one after the other, in their order.

    Args:
        paths: image files.
        area: pixels to which each is resized before it is measured: those of a rendered image.

    Yields:
        What a photograph says; for one that cannot be read a line that names it.
    """
    processes = max(1, min(core_count(), len(paths) // PER_PROCESS))
    paths = [path.absolute() for path in paths]
    return map_tasks(functools.partial(_measure, area=area), paths, None, processes=processes)


def _measure(path: Path, area: int) -> Photograph | str:
    try:
        return measure_photograph(path, area)
    except UserError as error:
        return str(error)


def measure_photograph(path: Path, area: int) -> Photograph:
    """Measure one photograph; see ``measure_photographs``.

    Raises:
        UserError: it cannot be read.
    """
    with open_image(path) as image:
        width, height = read_orientation(image).upright_size
        quality = jpeg_quality(image)
        focal = focal_length_35(image)
    scale = math.sqrt(area / (width * height))
    size = max(SMALLEST, round(width * scale)), max(SMALLEST, round(height * scale))
    pixels = read_rgb(path, upright=True, shrink_to=size)
    grey = pixels.astype(np.float32) @ np.array([0.2126, 0.7152, 0.0722], np.float32) / np.float32(255)
    return Photograph(
        width=width,
        height=height,
        quality=quality,
        fov=field_of_view(focal, width, height) if focal else None,
        uprights=measure_uprights(grey),
        statistics=measure(pixels),
    )


def jpeg_quality(image: Image.Image) -> int | None:
    """Return the quality of an opened JPEG file, 1 to 100; None for other formats.

    Programs with the standard's tables (libjpeg, Pillow, OpenCV) are recognised exactly, of others the
    quality with the nearest table is returned.
    """
    tables = getattr(image, "quantization", None)
    if not tables:
        return None
    table = np.array(tables[min(tables)], float)
    if table.size != 64:
        return None
    return int(np.abs(np.log(_standard_tables() / np.maximum(table, 1))).sum(1).argmin()) + 1


@functools.cache
def _standard_tables() -> np.ndarray:
    """Return the luminance tables of the qualities 1 to 100, (100, 64), as Pillow's libjpeg writes them."""
    tables = []
    for quality in range(1, 101):
        file = io.BytesIO()
        Image.new("L", (8, 8)).save(file, "JPEG", quality=quality)
        with Image.open(file) as image:
            tables.append(image.quantization[0])  # type: ignore[attr-defined]
    return np.array(tables, float)


def focal_length_35(image: Image.Image) -> float | None:
    """Return the focal length for 35 mm film from the EXIF data of an opened image, millimetres, or None."""
    try:
        value = float(image.getexif().get_ifd(_EXIF_IFD).get(FOCAL_LENGTH_35, 0))
    except Exception:  # malformed EXIF data raise errors of many types
        return None
    return value if 4 <= value <= 1000 else None


def field_of_view(focal: float, width: int, height: int) -> float:
    """Return the horizontal field of view in degrees of a straight lens.

    Args:
        focal: focal length for 35 mm film, millimetres; film and image have the same diagonal field of view
            (CIPA DCG-001).
        width: width of the image.
        height: height of the image.
    """
    across = _FILM_DIAGONAL * width / math.hypot(width, height)
    return math.degrees(2 * math.atan(across / (2 * focal)))
