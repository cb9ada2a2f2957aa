"""Formats of other tools (command ``convert``): each as the files of the result.

A writer is a function with the decorator ``data_format``. It yields the files of the result as names and
bytes; ``pipeline.data.convert_to_format`` writes them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import click
import numpy as np
from pycocotools import mask as mask_utils

from blender.contract import UserError, canonical_json, print_note
from pipeline.config import ExifReading
from pipeline.data.coco_io import count_without_mask, group_by_image
from pipeline.data.exif import encode_as_annotated
from pipeline.data.images import find_image
from pipeline.data.polygons import mask_to_polygons, mask_to_single_polygon, through_pixels
from pipeline.data.rasterise import FILLS, count_changed_pixels
from pipeline.data.rle import as_rle
from pipeline.data.values import has_mask

FORMATS_VERSION = 3
"""Increase it whenever the same split is converted to other bytes."""

OutputFile = tuple[str, bytes | Path]
"""A path in the result, and its content: bytes, or the path of a file to copy."""


@dataclass(frozen=True)
class CocoSet:
    """A validated COCO file and the folder of its images."""

    dataset: dict[str, Any]
    images: Path
    name: str = "train"
    """Name of the split."""
    folder: str = ""
    """Where the split's files are in the result: "train/" beside other splits, "" alone."""
    exif: ExifReading = "stored"
    """What the annotations refer to in images with an EXIF orientation that their size does not decide."""

    def path_of(self, image: dict[str, Any]) -> Path:
        """Return the path of an image's file, or raise a ``UserError``."""
        return find_image(self.images, image["file_name"])


@dataclass(frozen=True)
class ExportOptions:
    """How splits are written."""

    layout: str = "split"
    """How the result is divided into folders; one of the format's own."""
    outline: str | None = None
    """"edges" of pixels, or through the "pixels" on the border, for programs that round corners. None: the
    format's default."""

    def trace(self, polygon: list[float], default: str) -> list[float]:
        """Return an outline along the edges of pixels in the form that ``outline``, or ``default``, names."""
        return through_pixels(polygon) if (self.outline or default) == "pixels" else polygon


FormatWriter = Callable[[list[CocoSet], ExportOptions], Iterator[OutputFile]]


@dataclass(frozen=True)
class Format:
    """A registered writer and the layouts that it knows, the default first."""

    write: FormatWriter
    layouts: tuple[str, ...]


FORMATS: dict[str, Format] = {}
"""The registered writers by the name of their format."""


def data_format(name: str, *layouts: str) -> Callable[[FormatWriter], FormatWriter]:
    """Register the decorated function as the writer of the format ``name``, with its layouts."""

    def register(function: FormatWriter) -> FormatWriter:
        FORMATS[name] = Format(function, layouts)
        return function

    return register


@data_format("coco-polygons", "split", "coco")
def coco_polygons(splits: list[CocoSet], options: ExportOptions) -> Iterator[OutputFile]:
    """Export COCO with polygons instead of RLE; ignore regions stay RLE, as in COCO's own files.

    An object without a mask stays a box. The layout "coco" is that of COCO's own files:
    annotations/instances_train.json and images/train/.
    """
    changed, pixels = Counter[str](), 0
    for split in splits:
        as_coco = options.layout == "coco"
        yield from _images(split, f"images/{split.name}/" if as_coco else f"{split.folder}images/")
        sizes = {i["id"]: (i["width"], i["height"]) for i in split.dataset["images"]}
        annotations = []
        for a in split.dataset["annotations"]:
            if a["iscrowd"] or not has_mask(a) or isinstance(a["segmentation"], list):
                annotations.append(a)
                continue
            mask = mask_utils.decode(as_rle(a["segmentation"], *sizes[a["image_id"]]))
            polygons = [options.trace(polygon, "edges") for polygon in mask_to_polygons(mask)]
            changed.update(count_changed_pixels(mask, polygons))
            pixels += int(mask.sum())
            annotations.append(a | {"segmentation": polygons})
        # Depth and normals are not copied, so their paths are left out.
        images = [{k: value for k, value in i.items() if k != "arrays"} for i in split.dataset["images"]]
        name = f"annotations/instances_{split.name}.json" if as_coco else f"{split.folder}annotations.json"
        yield name, canonical_json(split.dataset | {"images": images, "annotations": annotations})
    _print_changed(changed, pixels)


@data_format("yolo-seg", "split")
def yolo_seg(splits: list[CocoSet], options: ExportOptions) -> Iterator[OutputFile]:
    """Export YOLO segmentation: a text file per image, with a line per object.

    A line contains the class, from 0, and the object's outline: x y x y ... as shares of the image's size.

    The format has one outline per object, so pieces are joined by slits. It has no ignore regions; they
    become background. Outlines run through pixels by default, because the readers of this format fill them
    with OpenCV, some after rounding.

    Raises:
        UserError: an object has no mask, or two images would have the same label file.
    """
    categories = _shared_categories(splits)
    numbers = {c["id"]: number for number, c in enumerate(categories)}
    changed, pixels, ignored = Counter[str](), 0, 0
    for split in splits:
        _check_masks(split)
        _check_label_names(split)
    for split in splits:
        yield from _images(split, f"images/{split.folder}")
        annotations = group_by_image(split.dataset["annotations"])
        for image in split.dataset["images"]:
            scale = np.array([image["width"], image["height"]])
            lines = []
            for a in annotations[image["id"]]:
                if a["iscrowd"]:
                    ignored += 1
                    continue
                mask = mask_utils.decode(as_rle(a["segmentation"], image["width"], image["height"]))
                outline = (
                    np.array(options.trace(mask_to_single_polygon(mask), "pixels")).reshape(-1, 2) / scale
                )
                text = " ".join(f"{value:.8f}" for value in outline.ravel())
                written = np.array(text.split(), float).reshape(-1, 2) * scale
                changed.update(count_changed_pixels(mask, [written.ravel().tolist()]))
                pixels += int(mask.sum())
                lines.append(f"{numbers[a['category_id']]} {text}\n")
            yield f"labels/{split.folder}{_label_name(image)}", "".join(lines).encode()
    _print_changed(changed, pixels)
    click.echo(f"convert: {ignored} ignore regions become background")
    yield "data.yaml", _data_yaml(splits, categories)


def _data_yaml(splits: list[CocoSet], categories: list[dict[str, Any]]) -> bytes:
    """Write Ultralytics' description: the folder of each split, and the classes."""
    folders = {split.name: f"images/{split.folder}".removesuffix("/") for split in splits}
    first = next(iter(folders.values()))
    # YOLO requires both keys. A split that is missing, or a split alone, is that of both.
    entries = {"train": first, "val": first} | (folders if splits[0].folder else {})
    lines = [f"{_yaml_text(name)}: {_yaml_text(folder)}\n" for name, folder in entries.items()]
    names = [f"  {number}: {json.dumps(c['name'])}\n" for number, c in enumerate(categories)]
    return f"{''.join(lines)}names:\n{''.join(names)}".encode()


def _yaml_text(text: str) -> str:
    return text if re.fullmatch(r"[\w/-]+", text) else json.dumps(text)


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
    numbers = {c["id"]: number for number, c in enumerate(_shared_categories(splits))}
    ignored, lines = 0, []
    for index, split in enumerate(splits):
        # Without the splits' names: ``datasets`` would take folders of such names for its own splits.
        folder = f"{index}/" if options.layout == "flat" else ""
        yield from _images(split, folder or split.folder)
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
    yield "categories.json", canonical_json([c["name"] for c in _shared_categories(splits)])
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


def _shared_categories(splits: list[CocoSet]) -> list[dict[str, Any]]:
    """Return the categories of all splits.

    Raises:
        UserError: they differ.
    """
    first, *others = splits
    names = {c["id"]: c["name"] for c in first.dataset["categories"]}
    for split in others:
        if {c["id"]: c["name"] for c in split.dataset["categories"]} != names:
            raise UserError(f"{first.name} and {split.name} have different categories; convert each alone")
    return list(first.dataset["categories"])


def _check_masks(split: CocoSet) -> None:
    """Raise UserError if an object has no mask."""
    without_mask, objects = count_without_mask(split.dataset["annotations"])
    if without_mask:
        raise UserError(
            f"{split.images.parent}: {without_mask} of {objects} objects have no mask, and yolo-seg needs "
            "one for each; choose --to coco-polygons or imagefolder"
        )


def _label_name(image: dict[str, Any]) -> str:
    return str(PurePosixPath(image["file_name"]).with_suffix(".txt"))


def _check_label_names(split: CocoSet) -> None:
    """Raise UserError if two images would have the same label file."""
    names = Counter(_label_name(image) for image in split.dataset["images"])
    if clash := next((name for name, count in names.items() if count > 1), None):
        raise UserError(f"{split.images}: two images would share labels/{clash}; rename one of them")


def _images(source: CocoSet, folder: str) -> Iterator[OutputFile]:
    """Yield the image files, to be copied to ``folder``; those with an EXIF orientation as annotated."""
    count = 0
    for image in source.dataset["images"]:
        path, size = source.path_of(image), (image["width"], image["height"])
        encoded = encode_as_annotated(path, size, source.exif == "upright")
        count += encoded is not None
        yield f"{folder}{image['file_name']}", encoded or path
    if count:
        click.echo(f"convert: {count} images with an EXIF orientation are written as annotated, without it")


def _print_changed(changed: Counter[str], pixels: int) -> None:
    """Print how many pixels of the masks change when other programs fill the polygons."""
    click.echo(
        f"convert: of {pixels} pixels change {', '.join(f'{changed[name]} in {name}' for name in FILLS)}"
    )


def _rle_text(segmentation: Any, width: int, height: int) -> str:
    rle = as_rle(segmentation, width, height)
    counts = rle["counts"] if isinstance(rle["counts"], str) else rle["counts"].decode("ascii")
    return json.dumps({"size": [height, width], "counts": counts})
