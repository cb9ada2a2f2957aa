"""Mistakes cut out of their pictures, the truth beside the prediction, with what is known of the scene."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from pycocotools import mask as mask_utils

from pipeline.data.coco_io import group_by_image
from pipeline.data.images import find_image, read_rgb
from pipeline.data.rle import encode_mask
from pipeline.evaluation.factors import UNITS, Values, detection_factors, object_factors
from pipeline.reporting.galleries import data_uri
from pipeline.reporting.mistakes import Mistake
from pipeline.viz.contact_sheet import truth_overlays
from pipeline.viz.overlays import Overlay, draw_overlays, readable, result_overlays

_WIDTH, _LABEL, _LEAST = 320, 15, 96
_ROOM = 0.6
"""Shown around the object on each side, as a share of its longer side."""


@dataclass(frozen=True)
class Crop:
    """One mistake of the gallery: what is there, and what the model says is there."""

    file_name: str
    text: str
    """What is wrong, in a few words."""
    factors: dict[str, str]
    """What is known of the scene."""
    truth: str
    """Pictures as data: URIs."""
    prediction: str


def mistake_crops(
    dataset: dict[str, Any],
    results: list[dict[str, Any]],
    mistakes: list[Mistake],
    threshold: float,
    images: Path,
) -> list[Crop]:
    """Cut each mistake out of its picture, the truth beside the prediction.

    Args:
        threshold: the least score of a prediction that is drawn.
        images: the folder of the image files.
    """
    truths, found = group_by_image(dataset["annotations"]), group_by_image(results, threshold)
    records = {image["id"]: image for image in dataset["images"]}
    names = {c["id"]: readable(c["name"]) for c in dataset["categories"]}
    factors = object_factors(dataset)
    crops = []
    for mistake in mistakes:
        image = records[mistake.image_id]
        truth = None if mistake.truth is None else dataset["annotations"][mistake.truth]
        result = None if mistake.result is None else results[mistake.result]
        known = (
            factors[mistake.truth] if mistake.truth is not None else detection_factors(result or {}, image)
        )
        window = _window([thing["bbox"] for thing in (truth, result) if thing], image)
        pixels = read_rgb(find_image(images, image["file_name"]), (image["width"], image["height"]))
        sides = (
            truth_overlays(image, truths[mistake.image_id], dataset["categories"]),
            result_overlays(found[mistake.image_id], dataset["categories"]),
        )
        pictures = [data_uri(_cut(pixels, overlays, window)) for overlays in sides]
        text = _say(mistake.kind, mistake.iou, truth, result, names)
        crops.append(Crop(image["file_name"], text, _texts(known), pictures[0], pictures[1]))
    return crops


def _say(
    kind: str,
    iou: float | None,
    truth: dict[str, Any] | None,
    result: dict[str, Any] | None,
    names: dict[int, str],
) -> str:
    there = names[truth["category_id"]] if truth else ""
    found = f"{names[result['category_id']]} {result['score']:.2f}" if result else ""
    return {
        "false": f"false alarm: {found}",
        "missed": f"{there} missed",
        "confused": f"{there} taken for {found}",
        "mask": f"{found}, mask IoU {iou or 0:.2f}",
    }[kind]


def _texts(values: Values) -> dict[str, str]:
    shown = {k: v if isinstance(v, str) else f"{v:.3g}{UNITS.get(k, '')}" for k, v in values.items()}
    return {readable(k): readable(v) for k, v in sorted(shown.items())}


def _window(boxes: list[list[float]], image: dict[str, Any]) -> tuple[int, int, int, int]:
    """A square around all boxes with some room, inside the picture: left, top, right, bottom."""
    left, top = (min(b[i] for b in boxes) for i in (0, 1))
    right, bottom = (max(b[i] + b[i + 2] for b in boxes) for i in (0, 1))
    side = max(_LEAST, (1 + 2 * _ROOM) * max(right - left, bottom - top))
    spans = []
    for low, high, size in ((left, right, image["width"]), (top, bottom, image["height"])):
        length = min(size, round(side))
        start = min(max(0, round((low + high - length) / 2)), size - length)
        spans.append((start, start + length))
    return spans[0][0], spans[1][0], spans[0][1], spans[1][1]


def _cut(pixels: Any, overlays: list[Overlay], window: tuple[int, int, int, int]) -> Image.Image:
    """The window of a picture, enlarged, with what lies in it drawn."""
    x0, y0, x1, y1 = window
    part = Image.fromarray(pixels[y0:y1, x0:x1])
    size = (_WIDTH, max(1, round(_WIDTH * part.height / part.width)))
    inside = [
        Overlay(encode_mask(mask_utils.decode(o.rle)[y0:y1, x0:x1]), o.colour, o.label) for o in overlays
    ]
    return draw_overlays(part.resize(size, Image.Resampling.LANCZOS), inside, label_size=_LABEL)
