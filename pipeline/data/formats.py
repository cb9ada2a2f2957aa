"""Convert a COCO split to the formats of other tools (command ``convert``).

A writer is a function with the decorator ``data_format``. It yields the files of the result as names and
bytes; ``convert_to_format`` writes them.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import click
import numpy as np
from pycocotools import mask as mask_utils

from blender.contract import UserError, canonical_json, remove_fragments, sha256_file, write_atomic
from pipeline.common.stages import is_up_to_date, prepare_output_dir, write_stamp
from pipeline.data.coco_io import count_without_mask, group_by_image
from pipeline.data.images import find_image
from pipeline.data.polygons import mask_to_polygons, mask_to_single_polygon
from pipeline.data.rasterise import FILLS, count_changed_pixels
from pipeline.data.rle import as_rle
from pipeline.data.validation.check import load_validated_coco
from pipeline.data.values import has_mask

FORMATS_VERSION = 2
"""Increase it whenever the same split is converted to other bytes."""

OutputFile = tuple[str, bytes | Path]
"""A path in the result, and its content: bytes, or the path of a file to copy."""


@dataclass(frozen=True)
class CocoSet:
    """A validated COCO file and the folder of its images."""

    dataset: dict[str, Any]
    images: Path


FormatWriter = Callable[[CocoSet], Iterator[OutputFile]]
FORMATS: dict[str, FormatWriter] = {}
"""The registered writers by the name of their format."""


def data_format(name: str) -> Callable[[FormatWriter], FormatWriter]:
    """Register the decorated function as the writer of the format ``name``."""

    def register(function: FormatWriter) -> FormatWriter:
        FORMATS[name] = function
        return function

    return register


def convert_to_format(split_dir: Path, name: str, out: Path) -> None:
    """Write the split (annotations.json and images/) to ``out`` in the format ``name``.

    Each file is written atomically, and files that exist already are not written again. So an interrupted
    conversion continues when the command is repeated. A stamp file marks the conversion as complete.

    Raises:
        UserError: the format is unknown, the split is invalid, or ``out`` contains other files.
    """
    if name not in FORMATS:
        raise UserError(f"--to {name}: no such format; choose one of {', '.join(FORMATS)}")
    annotations = split_dir / "annotations.json"
    source = CocoSet(load_validated_coco(annotations), split_dir / "images")
    files = FORMATS[name](source)
    first = next(files)  # a writer refuses a split before its first file, and then nothing is left behind
    prepare_output_dir(out)
    inputs = {"to": name, "version": FORMATS_VERSION, "annotations": sha256_file(annotations)}
    _mark_out_dir(out, inputs)
    remove_fragments(out)
    stamp, paths = out / ".convert.stamp.json", []
    for file, content in itertools.chain([first], files):
        path = out / file
        data = content.read_bytes() if isinstance(content, Path) else content
        if not (path.is_file() and path.read_bytes() == data):
            write_atomic(path, data)
        paths.append(path)
    if is_up_to_date(stamp, inputs, []):
        click.echo(f"convert: up to date ({out})")
        return
    write_stamp(stamp, inputs, [])
    click.echo(f"convert: {len(source.dataset['images'])} images, {len(paths)} files as {name} -> {out}")


def _mark_out_dir(out: Path, inputs: dict[str, Any]) -> None:
    """Mark an empty folder as the output of this conversion.

    Raises:
        UserError: the folder contains other files.
    """
    marker = out / ".convert.json"
    if marker.is_file() and marker.read_bytes() == canonical_json(inputs):
        return
    if any(out.iterdir()):
        raise UserError(f"{out}: contains other files; remove them, or give another --out")
    write_atomic(marker, canonical_json(inputs))


# ------------------------------------------------------------------------------ formats


@data_format("coco-polygons")
def coco_polygons(source: CocoSet) -> Iterator[OutputFile]:
    """Export COCO with polygons instead of RLE; ignore regions stay RLE, as in COCO's own files.

    An object without a mask stays a box.
    """
    yield from _images(source, "images/")
    sizes = {i["id"]: (i["width"], i["height"]) for i in source.dataset["images"]}
    annotations, changed, pixels = [], Counter[str](), 0
    for a in source.dataset["annotations"]:
        if a["iscrowd"] or not has_mask(a) or isinstance(a["segmentation"], list):
            annotations.append(a)
            continue
        mask = mask_utils.decode(as_rle(a["segmentation"], *sizes[a["image_id"]]))
        polygons = mask_to_polygons(mask)
        changed.update(count_changed_pixels(mask, polygons))
        pixels += int(mask.sum())
        annotations.append(a | {"segmentation": polygons})
    _print_changed(changed, pixels)
    # Depth and normals are not copied, so their paths are left out.
    images = [{key: value for key, value in i.items() if key != "arrays"} for i in source.dataset["images"]]
    yield "annotations.json", canonical_json(source.dataset | {"images": images, "annotations": annotations})


@data_format("yolo-seg")
def yolo_seg(source: CocoSet) -> Iterator[OutputFile]:
    """Export YOLO segmentation: a text file per image, with a line per object.

    A line contains the class, from 0, and the object's outline: x y x y ... as shares of the image's size.

    The format has one outline per object, so pieces are joined by slits. It has no ignore regions; they
    become background.

    Raises:
        UserError: an object has no mask, or two images would have the same label file.
    """
    without_mask, objects = count_without_mask(source.dataset["annotations"])
    if without_mask:
        raise UserError(
            f"{source.images.parent}: {without_mask} of {objects} objects have no mask, and yolo-seg "
            "needs one for each; choose --to coco-polygons or imagefolder"
        )
    names = Counter(str(PurePosixPath(i["file_name"]).with_suffix(".txt")) for i in source.dataset["images"])
    if clash := next((name for name, count in names.items() if count > 1), None):
        raise UserError(f"{source.images}: two images would share labels/{clash}; rename one of them")
    yield from _images(source, "images/")
    numbers = {c["id"]: number for number, c in enumerate(source.dataset["categories"])}
    annotations, ignored = group_by_image(source.dataset["annotations"]), 0
    changed, pixels = Counter[str](), 0
    for image in source.dataset["images"]:
        scale = np.array([image["width"], image["height"]])
        lines = []
        for a in annotations[image["id"]]:
            if a["iscrowd"]:
                ignored += 1
                continue
            mask = mask_utils.decode(as_rle(a["segmentation"], image["width"], image["height"]))
            outline = np.array(mask_to_single_polygon(mask)).reshape(-1, 2) / scale
            text = " ".join(f"{value:.8f}" for value in outline.ravel())
            written = np.array(text.split(), float).reshape(-1, 2) * scale
            changed.update(count_changed_pixels(mask, [written.ravel().tolist()]))
            pixels += int(mask.sum())
            lines.append(f"{numbers[a['category_id']]} {text}\n")
        yield f"labels/{PurePosixPath(image['file_name']).with_suffix('.txt')}", "".join(lines).encode()
    _print_changed(changed, pixels)
    click.echo(f"convert: {ignored} ignore regions become background")
    lines = [f"  {numbers[c['id']]}: {json.dumps(c['name'])}\n" for c in source.dataset["categories"]]
    # YOLO requires both keys. A user with two splits sets one of them to the folder of the other split.
    yield "data.yaml", f"train: images\nval: images\nnames:\n{''.join(lines)}".encode()


@data_format("imagefolder")
def imagefolder(source: CocoSet) -> Iterator[OutputFile]:
    """Export Hugging Face's imagefolder: the images, and metadata.jsonl with a line per image.

    ``objects`` of a line contains lists of the same length: ``id``, ``category`` (from 0, in the order of
    categories.json), ``bbox`` (x, y, width, height in pixels), ``area``, ``iscrowd`` (1: ignore region) and
    ``segmentation`` (compressed RLE as JSON text; null without a mask).
    """
    yield from _images(source, "")
    numbers = {c["id"]: number for number, c in enumerate(source.dataset["categories"])}
    annotations, ignored = group_by_image(source.dataset["annotations"]), 0
    lines = []
    for image in source.dataset["images"]:
        size = image["width"], image["height"]
        image_annotations = annotations[image["id"]]
        ignored += sum(a["iscrowd"] for a in image_annotations)
        objects = {
            "id": [a["id"] for a in image_annotations],
            "category": [numbers[a["category_id"]] for a in image_annotations],
            "bbox": [[float(value) for value in a["bbox"]] for a in image_annotations],
            "area": [float(a["area"]) for a in image_annotations],
            "iscrowd": [a["iscrowd"] for a in image_annotations],
            "segmentation": [
                _rle_text(a["segmentation"], *size) if has_mask(a) else None for a in image_annotations
            ],
        }
        row = {key: image[key] for key in ("file_name", "width", "height")} | {"image_id": image["id"]}
        lines.append(canonical_json(row | {"objects": objects}))
    click.echo(f"convert: {ignored} ignore regions included, with iscrowd 1")
    yield "categories.json", canonical_json([c["name"] for c in source.dataset["categories"]])
    yield "metadata.jsonl", b"".join(lines)


def _images(source: CocoSet, folder: str) -> Iterator[OutputFile]:
    """Yield the image files, to be copied to ``folder``."""
    for image in source.dataset["images"]:
        yield f"{folder}{image['file_name']}", find_image(source.images, image["file_name"])


def _print_changed(changed: Counter[str], pixels: int) -> None:
    """Print how many pixels of the masks change when other programs fill the polygons."""
    click.echo(
        f"convert: of {pixels} pixels change {', '.join(f'{changed[name]} in {name}' for name in FILLS)}"
    )


def _rle_text(segmentation: Any, width: int, height: int) -> str:
    rle = as_rle(segmentation, width, height)
    counts = rle["counts"] if isinstance(rle["counts"], str) else rle["counts"].decode("ascii")
    return json.dumps({"size": [height, width], "counts": counts})
