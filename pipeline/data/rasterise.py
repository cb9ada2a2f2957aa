"""Fill polygons as other programs do, to measure what a mask's outline becomes there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from pycocotools import mask as mask_utils

Polygons = list[list[float]]
"""Each polygon as x1, y1, x2, y2, ... in pixels; together they cover one object."""
Corners = npt.NDArray[np.float64]
"""(N, 2): x, y of each corner."""
Mask = npt.NDArray[np.bool_]
"""(H, W), True inside."""


def fill_as_pycocotools(polygons: Polygons, height: int, width: int) -> Mask:
    """Fill as COCO's own tools do: corners rounded to fifths of a pixel, even-odd rule."""
    return mask_utils.decode(mask_utils.merge(mask_utils.frPyObjects(polygons, height, width))).astype(bool)


def fill_as_opencv(
    polygons: Polygons, height: int, width: int, to_integers: Callable[[Corners], Corners] = np.trunc
) -> Mask:
    """Fill as ``cv2.fillPoly`` does, which takes integers and fills the border too.

    Args:
        polygons: what to fill.
        height: of the image.
        width: of the image.
        to_integers: ``np.trunc`` as Ultralytics does, or ``np.round`` as supervision and SAHI do.
    """
    border = Image.new("1", (width, height))
    draw = ImageDraw.Draw(border)
    inside = np.zeros((height, width), bool)
    for polygon in polygons:
        corners = to_integers(_points(polygon))
        inside |= _winding_numbers(corners + 0.5, height, width) % 2 != 0
        for ends in np.stack([corners, np.roll(corners, -1, axis=0)], axis=1):
            # OpenCV draws from the left and rounds halves down; Pillow rounds up, so it draws from the right.
            draw.line(ends[np.argsort(-ends[:, 0], kind="stable")].ravel().tolist(), fill=1)
    return inside | np.array(border)


def fill_nonzero(polygons: Polygons, height: int, width: int) -> Mask:
    """Fill the pixels whose centre a polygon winds around, as an HTML canvas does."""
    return np.any([_winding_numbers(_points(p), height, width) != 0 for p in polygons], axis=0)


def fill_even_odd(polygons: Polygons, height: int, width: int) -> Mask:
    """Fill the pixels from whose centre a ray crosses a polygon an odd number of times."""
    return np.any([_winding_numbers(_points(p), height, width) % 2 != 0 for p in polygons], axis=0)


FILLS: dict[str, Callable[[Polygons, int, int], Mask]] = {
    "pycocotools": fill_as_pycocotools,
    "Ultralytics (OpenCV, corners cut to integers)": fill_as_opencv,
    "supervision and SAHI (OpenCV, corners rounded)": partial(fill_as_opencv, to_integers=np.round),
    "a canvas (non-zero rule)": fill_nonzero,
    "shapely (even-odd rule)": fill_even_odd,
}
"""The ways in which programs fill polygons, by the name that messages give them."""


def count_changed_pixels(mask: npt.NDArray[np.generic], polygons: Polygons) -> Counter[str]:
    """Count the pixels that differ between a mask and its polygons, for each of ``FILLS``.

    Args:
        mask: (H, W), nonzero inside.
        polygons: what was made of it.
    """
    inside = np.asarray(mask) != 0
    if not polygons:
        return Counter(dict.fromkeys(FILLS, int(inside.sum())))
    inside, polygons = _crop(inside, polygons)
    return Counter(
        {name: int((inside != fill(polygons, *inside.shape)).sum()) for name, fill in FILLS.items()}
    )


def _crop(inside: Mask, polygons: Polygons) -> tuple[Mask, Polygons]:
    """Cut a mask and its polygons to the part of the image that they cover, to save time."""
    y, x = np.nonzero(inside)
    corners = np.concatenate([np.stack([x, y], axis=1), *map(_points, polygons)])
    low, high = np.maximum(corners.min(axis=0).astype(int), 0), corners.max(axis=0).astype(int) + 1
    return inside[low[1] : high[1], low[0] : high[0]], [(_points(p) - low).ravel().tolist() for p in polygons]


def _points(polygon: list[float]) -> Corners:
    return np.asarray(polygon, float).reshape(-1, 2)


def _winding_numbers(points: Corners, height: int, width: int) -> npt.NDArray[np.int64]:
    """Count how often a polygon (N, 2) winds around the centre of each pixel, (H, W)."""
    start = points - 0.5  # the centre of pixel (0, 0) is the origin
    end = np.roll(start, -1, axis=0)
    down = start[:, 1] < end[:, 1]
    # Both directions of a slit are computed from its upper end, so that they cancel exactly.
    (x0, y0), (x1, y1) = np.where(down[:, None], start, end).T, np.where(down[:, None], end, start).T
    first = np.clip(np.ceil(y0), 0, height).astype(int)
    rows = np.clip(np.ceil(y1), 0, height).astype(int) - first
    edge = np.repeat(np.arange(len(rows)), rows)
    y = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(rows) - rows, rows)
    slope = np.divide(x1 - x0, y1 - y0, out=np.zeros(len(rows)), where=y0 != y1)
    x = np.clip(np.ceil(x0[edge] + (y - y0[edge]) * slope[edge]), 0, width).astype(int)
    crossings = np.zeros((height, width + 1), np.int64)
    np.add.at(crossings, (y, x), np.where(down, 1, -1)[edge])
    return np.cumsum(crossings, axis=1)[:, :-1]
