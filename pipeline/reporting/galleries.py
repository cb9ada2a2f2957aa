"""The best and the worst predictions of a split, chosen by panoptic quality and drawn beside the truth."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.data.coco_io import group_by_image
from pipeline.data.images import find_image, read_rgb
from pipeline.evaluation.diagnosis import IOU, mask_ious
from pipeline.viz.contact_sheet import truth_overlays
from pipeline.viz.overlays import Overlay, draw_overlays, result_overlays

_WIDTH, _LABEL, _QUALITY = 560, 19, 82


@dataclass(frozen=True)
class Pair:
    """One image of the gallery: as annotated, and as predicted."""

    file_name: str
    quality: float
    """Panoptic quality, 0 to 1."""
    found: int
    missed: int
    false: int
    truth: str
    """Pictures as data: URIs."""
    prediction: str


@dataclass(frozen=True)
class Score:
    """How one image went, at the model's own threshold and mask IoU 0.5."""

    quality: float
    found: int
    missed: int
    false: int


def image_score(truths: list[dict[str, Any]], results: list[dict[str, Any]]) -> Score | None:
    """Panoptic quality (Kirillov et al. 2019) of one image: sum of IoU of matches / (TP + FP/2 + FN/2).

    Matches are of one class and an IoU of at least 0.5, best score first. What lies in an ignore
    region counts neither way.

    Returns:
        None if there is neither an object nor a prediction.
    """
    objects = [t for t in truths if not t["iscrowd"]]
    crowds = [t for t in truths if t["iscrowd"]]
    results = sorted(results, key=lambda r: -r["score"])
    ious = mask_ious(results, objects)
    free = np.ones(len(objects), bool)
    matched, false = [], 0
    for result, row in zip(results, ious, strict=True):
        same = np.array([o["category_id"] == result["category_id"] for o in objects], bool)
        candidates = np.where(same & free, row, 0)
        if candidates.max(initial=0) >= IOU:
            free[int(candidates.argmax())] = False
            matched.append(float(candidates.max()))
        elif mask_ious([result], crowds, crowd=True).max(initial=0) < IOU:
            false += 1
    missed = int(free.sum())
    total = len(matched) + (false + missed) / 2
    return Score(sum(matched) / total, len(matched), missed, false) if total else None


def best_and_worst(
    dataset: dict[str, Any], results: list[dict[str, Any]], threshold: float, count: int, images: Path
) -> tuple[list[Pair], list[Pair]]:
    """The ``count`` best and the ``count`` worst images, no image in both; images of equal quality by id.

    Args:
        threshold: the least score of a prediction that counts.
        images: the folder of the image files.
    """
    truths, found = group_by_image(dataset["annotations"]), group_by_image(results, threshold)
    scored = []
    for image in dataset["images"]:
        score = image_score(truths[image["id"]], found[image["id"]])
        if score is not None:
            scored.append((score, image))
    # Of equally good images the fuller one says more.
    scored.sort(key=lambda s: (-s[0].quality, -s[0].found, s[0].missed + s[0].false, s[1]["id"]))
    count = min(count, len(scored) // 2)
    chosen = scored[:count], scored[::-1][:count]
    categories = dataset["categories"]
    best, worst = (
        [
            _pair(
                score,
                image,
                _small(images, image),
                truth_overlays(image, truths[image["id"]], categories),
                result_overlays(found[image["id"]], categories),
            )
            for score, image in part
        ]
        for part in chosen
    )
    return best, worst


def _small(images: Path, image: dict[str, Any]) -> Image.Image:
    pixels = read_rgb(find_image(images, image["file_name"]), (image["width"], image["height"]))
    size = (_WIDTH, max(1, round(_WIDTH * image["height"] / image["width"])))
    return Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)


def _pair(
    score: Score, image: dict[str, Any], picture: Image.Image, truth: list[Overlay], found: list[Overlay]
) -> Pair:
    return Pair(
        file_name=image["file_name"],
        quality=round(score.quality, 4),
        found=score.found,
        missed=score.missed,
        false=score.false,
        truth=data_uri(draw_overlays(picture, truth, label_size=_LABEL)),
        prediction=data_uri(draw_overlays(picture, found, label_size=_LABEL)),
    )


def data_uri(picture: Image.Image) -> str:
    """A picture as a JPEG inside a URI."""
    stream = io.BytesIO()
    picture.save(stream, format="JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
