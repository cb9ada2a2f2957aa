"""Label Studio's JSON: tasks with predictions to import, and the full export of annotations.

The source of the format: Label Studio's documentation, "Import pre-annotations" and "Label Studio JSON
format of annotated tasks". Positions are percentages of the image's size; brush strokes are in ``brush_rle``.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import quoteattr

from pycocotools import mask as mask_utils

from blender.contract import UserError, canonical_json, open_atomic, write_atomic
from pipeline.data.images import IMAGE_SUFFIXES
from pipeline.data.polygons import clip_polygon
from pipeline.data.rle import encode_mask
from pipeline.data.values import has_valid_size, is_number, short_repr
from pipeline.labelling.brush_rle import decode_brush, encode_brush
from pipeline.labelling.coco import CocoBuilder
from pipeline.labelling.proposals import ProposedImage

TASKS, CONFIG = "tasks.json", "label_config.xml"
_COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#46f0f0", "#f032e6", "#bcf60c")
_BOX_KEYS = ("x", "y", "width", "height")


# ------------------------------------------------------------------------------ write


def write_label_studio(out: Path, images: Sequence[ProposedImage], classes: Sequence[str]) -> None:
    """Write tasks.json and label_config.xml.

    The address of an image is that of Label Studio's local storage, if ``out`` is its document root.
    """
    labels = "".join(
        f"    <Label value={quoteattr(name)} background={quoteattr(_COLOURS[number % len(_COLOURS)])}/>\n"
        for number, name in enumerate(classes)
    )
    write_atomic(
        out / CONFIG,
        (
            '<View>\n  <Image name="image" value="$image" zoom="true" zoomControl="true"/>\n'
            f'  <BrushLabels name="label" toName="image">\n{labels}  </BrushLabels>\n</View>\n'
        ).encode(),
    )
    with open_atomic(out / TASKS) as stream:  # task by task: the strokes of all would need much memory
        for number, image in enumerate(images):
            stream.write(b",\n" if number else b"[\n")
            stream.write(canonical_json(_task(image)).rstrip(b"\n"))
        stream.write(b"\n]\n")


def _task(image: ProposedImage) -> dict[str, Any]:
    results = [
        {
            "id": f"object-{number}",
            "type": "brushlabels",
            "from_name": "label",
            "to_name": "image",
            "original_width": image.width,
            "original_height": image.height,
            "image_rotation": 0,
            "score": proposed.score,
            "value": {
                "format": "rle",
                "rle": encode_brush(mask_utils.decode(proposed.rle)),
                "brushlabels": [proposed.label],
            },
        }
        for number, proposed in enumerate(image.objects, start=1)
    ]
    prediction: dict[str, Any] = {"model_version": "transpalette", "result": results}
    if results:
        prediction["score"] = min(proposed.score for proposed in image.objects)
    return {
        "data": {"image": f"/data/local-files/?d={quote(f'images/{image.name}')}"},
        "predictions": [prediction] if results else [],
    }


# ------------------------------------------------------------------------------ read


def is_label_studio(value: Any) -> bool:
    """Return whether a JSON value is a list of Label Studio's tasks with their annotations."""
    return (
        isinstance(value, list)
        and bool(value)
        and isinstance(value[0], dict)
        and isinstance(value[0].get("data"), dict)
        and any(key in value[0] for key in ("annotations", "completions", "predictions"))
    )


def read_label_studio(tasks: list[Any], where: str) -> tuple[dict[str, Any], list[str]]:
    """Read the annotations of Label Studio's tasks: strokes and polygons as masks, rectangles as boxes.

    Of several annotations of a task the ground truth is read, or else the one that was updated last. A task
    without an annotation, or whose annotations were all skipped, is left out: nobody has looked for objects
    in its image. A turned rectangle becomes the box around it.

    Args:
        tasks: the list of tasks.
        where: the file's name, for messages.

    Returns:
        A COCO dataset and notes for the user. The size of an image without objects may be None.

    Raises:
        UserError: a task is malformed, or none has an annotation.
    """
    builder = CocoBuilder()
    counts: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    for number, task in enumerate(tasks, start=1):
        try:
            if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
                raise ValueError("it has no data")
            valid = _valid_annotations(task, counts)
            if not valid:
                continue
            counts["tasks with several annotations, of which the ground truth or the last is read"] += (
                len(valid) > 1
            )
            results = [r for r in _choose(valid).get("result") or [] if isinstance(r, dict)]
            size = _image_size(results) or _image_size(_predicted_results(task)) or (None, None)
            image_id = builder.add_image(_file_name(task["data"]), *size)
            for result in results:
                _add_result(builder, image_id, result, results, left_out)
        except (KeyError, TypeError, ValueError) as error:
            name = short_repr(task.get("id", number)) if isinstance(task, dict) else number
            reason = f"it lacks {error}" if isinstance(error, KeyError) else error
            raise UserError(
                f"{where}: task {name}: {reason}; export it from Label Studio as JSON again"
            ) from None
    if not builder.images:
        raise UserError(f"{where}: no task has an annotation; submit some in Label Studio, and export again")
    builder.shorten_names()
    notes = [f"{text}: {count}" for text, count in sorted((+counts).items())]
    if left_out:
        notes.append(f"left out: {', '.join(f'{n} {kind}' for kind, n in sorted(left_out.items()))}")
    return builder.dataset(), notes


def _valid_annotations(task: dict[str, Any], counts: Counter[str]) -> list[dict[str, Any]]:
    """Return the annotations of a task that were not skipped or cancelled, and count tasks without any."""
    annotations = task.get("annotations", task.get("completions")) or []
    if not isinstance(annotations, list) or not all(isinstance(a, dict) for a in annotations):
        raise ValueError("its annotations are not a list of objects")
    valid = [a for a in annotations if not (a.get("was_cancelled") or a.get("skipped"))]
    if not valid:
        counts[
            f"tasks left out because {'they were skipped' if annotations else 'nobody annotated them'}"
        ] += 1
    return valid


def _choose(annotations: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the ground truth, or else the annotation that was updated last."""
    keys = [(a.get("ground_truth") is True, str(a.get("updated_at") or "")) for a in annotations]
    return max(enumerate(annotations), key=lambda item: (*keys[item[0]], item[0]))[1]


def _predicted_results(task: dict[str, Any]) -> list[dict[str, Any]]:
    predictions = task.get("predictions") or []
    return [
        result
        for prediction in predictions
        if isinstance(prediction, dict)
        for result in prediction.get("result") or []
        if isinstance(result, dict)
    ]


def _image_size(results: list[dict[str, Any]]) -> tuple[int, int] | None:
    """Return (width, height) of the image, which each of its results states; None without any."""
    sizes = {
        (result["original_width"], result["original_height"])
        for result in results
        if "original_width" in result and "original_height" in result
    }
    if not sizes:
        return None
    width, height = size = sizes.pop()
    if sizes or not has_valid_size({"width": width, "height": height}):
        raise ValueError("its results have different sizes of the image, or none of an image")
    return size


def _file_name(data: dict[str, Any]) -> str:
    """Return the path of the file in an image's address, without the hash of an upload."""
    texts = [value for value in [data.get("image"), *data.values()] if isinstance(value, str) and value]
    paths = [parse_qs(urlsplit(text).query).get("d", [urlsplit(text).path])[0] for text in texts]
    for path in paths:
        if "image" in data or path.lower().endswith(IMAGE_SUFFIXES):
            folder, slash, name = unquote(path).replace("\\", "/").lstrip("/").rpartition("/")
            is_upload = "upload/" in f"{folder}/"
            return folder + slash + (re.sub(r"^[0-9a-f]{8}-(?=.)", "", name) if is_upload else name)
    raise ValueError("its data has no image")


def _add_result(
    builder: CocoBuilder,
    image_id: int,
    result: dict[str, Any],
    results: list[dict[str, Any]],
    left_out: Counter[str],
) -> None:
    """Add the object of one result, or count why it is left out."""
    value, kind = result.get("value"), str(result.get("type", ""))
    if not isinstance(value, dict) or "original_width" not in result:
        return  # a relation, or an answer about the whole image
    label = _label(value)
    if label is None:
        # Some projects write a region, its label and answers about it apart, under one id.
        twins = [other for other in results if other.get("id") == result.get("id")]
        if not any(_label(other.get("value")) for other in twins):
            left_out[f"{kind or 'region'} without a label"] += 1
        return
    if result.get("image_rotation"):
        raise ValueError("its image was turned in Label Studio, which is not supported: turn it back")
    width, height = result["original_width"], result["original_height"]
    if "rle" in value:
        mask = decode_brush(value["rle"], width, height)
        added = builder.add_mask(image_id, label, encode_mask(mask))
    elif "points" in value:
        points = [
            _number(p) * side / 100 for point in value["points"]
            for p, side in zip(point, (width, height), strict=True)
        ]  # fmt: skip
        polygon = clip_polygon(points, width, height) if len(points) >= 6 else []
        added = bool(polygon) and builder.add_mask(image_id, label, [polygon])
    elif all(key in value for key in _BOX_KEYS):
        added = builder.add_box(image_id, label, _box(value, width, height))
    else:
        left_out[kind] += 1
        return
    if not added:
        left_out["without a pixel in the image"] += 1


def _label(value: Any) -> str | None:
    """Return the first label of a result's value ("brushlabels", "labels", ...); None if it has none."""
    for key, labels in value.items() if isinstance(value, dict) else ():
        if key.endswith("labels") and isinstance(labels, list) and labels and isinstance(labels[0], str):
            return labels[0]
    return None


def _box(value: dict[str, Any], width: int, height: int) -> list[float]:
    """Return x, y, width and height in pixels of a rectangle, which is turned about its first corner."""
    x, y, w, h = (
        _number(value[key]) * side / 100
        for key, side in zip(_BOX_KEYS, (width, height) * 2, strict=True)
    )  # fmt: skip
    angle = math.radians(_number(value.get("rotation") or 0))
    sine, cosine = math.sin(angle), math.cos(angle)
    corners = [(dx * cosine - dy * sine, dx * sine + dy * cosine) for dx in (0.0, w) for dy in (0.0, h)]
    left, right = min(c[0] for c in corners), max(c[0] for c in corners)
    top, bottom = min(c[1] for c in corners), max(c[1] for c in corners)
    return [x + left, y + top, right - left, bottom - top]


def _number(value: Any) -> float:
    if not is_number(value):
        raise ValueError(f"a position is {short_repr(value)}, not a number")
    return float(value)
