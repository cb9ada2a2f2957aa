"""The imagefolder of Hugging Face's ``datasets``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from blender.contract import canonical_json, print_note
from pipeline.data.coco_io import group_by_image
from pipeline.data.formats.images import image_files
from pipeline.data.formats.registry import (
    CocoSet,
    ExportOptions,
    OutputFile,
    data_format,
    shared_categories,
)
from pipeline.data.rle import as_rle
from pipeline.data.values import has_mask


@data_format("imagefolder", "split", "flat")
def imagefolder(splits: list[CocoSet], options: ExportOptions) -> Iterator[OutputFile]:
    """Export Hugging Face's imagefolder: the images, and metadata.jsonl with a line per image.

    ``objects`` of a line contains lists of the same length: ``id``, ``category`` (from 0, in the order of
    categories.json), ``bbox`` (x, y, width, height in pixels), ``area``, ``iscrowd`` (1: ignore region) and
    ``segmentation`` (compressed RLE as JSON text; null without a mask).

    The layout "flat" has one metadata.jsonl for all splits, with the column ``split``. ``datasets`` takes the
    types of the lists from the values of each metadata.jsonl. So it does not load a split without any object
    beside other splits.
    """
    numbers = {c["id"]: number for number, c in enumerate(shared_categories(splits))}
    ignored, lines = 0, []
    for index, split in enumerate(splits):
        # Without the splits' names: ``datasets`` would take folders of such names for its own splits.
        folder = f"{index}/" if options.layout == "flat" else ""
        yield from image_files(split, folder or split.folder)
        annotations = group_by_image(split.dataset["annotations"])
        for image in split.dataset["images"]:
            image_annotations = annotations[image["id"]]
            ignored += sum(a["iscrowd"] for a in image_annotations)
            row = {key: image[key] for key in ("width", "height")} | {"image_id": image["id"]}
            row |= {
                "file_name": folder + image["file_name"],
                "objects": _objects(image, image_annotations, numbers),
            }
            lines.append(canonical_json(row | ({"split": split.name} if options.layout == "flat" else {})))
        if options.layout == "split":
            yield f"{split.folder}metadata.jsonl", b"".join(lines)
            lines = []
    click.echo(f"convert: {ignored} ignore regions included, with iscrowd 1")
    empty = [split.name for split in splits if not split.dataset["annotations"]]
    if options.layout == "split" and 0 < len(empty) < len(splits):
        print_note(
            f"{', '.join(empty)} has no objects, so `datasets` does not load it beside the other splits; "
            "use --layout flat"
        )
    yield "categories.json", canonical_json([c["name"] for c in shared_categories(splits)])
    if options.layout == "flat":
        yield "metadata.jsonl", b"".join(lines)


def _objects(
    image: dict[str, Any], annotations: list[dict[str, Any]], numbers: dict[int, int]
) -> dict[str, list[Any]]:
    """Return the objects of an image as lists, for imagefolder."""
    return {
        "id": [a["id"] for a in annotations],
        "category": [numbers[a["category_id"]] for a in annotations],
        "bbox": [[float(value) for value in a["bbox"]] for a in annotations],
        "area": [float(a["area"]) for a in annotations],
        "iscrowd": [a["iscrowd"] for a in annotations],
        "segmentation": [
            _rle_text(a["segmentation"], image["width"], image["height"]) if has_mask(a) else None
            for a in annotations
        ],
    }


def _rle_text(segmentation: Any, width: int, height: int) -> str:
    rle = as_rle(segmentation, width, height)
    counts = rle["counts"] if isinstance(rle["counts"], str) else rle["counts"].decode("ascii")
    return json.dumps({"size": [height, width], "counts": counts})
