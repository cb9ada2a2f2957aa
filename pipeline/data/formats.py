"""COCO splits in other tools' formats: one entry of ``EXPORTERS`` each.

An exporter yields the files of the result as names and bytes; writing them whole, in an order that
can be taken up again, is ``convert_set``'s concern.
"""

from __future__ import annotations

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
from pipeline.common.stages import claim_out_dir, is_current, write_stamp
from pipeline.data.coco_io import by_image
from pipeline.data.images import find_image
from pipeline.data.polygons import mask_polygons, one_polygon, polygon_loss
from pipeline.data.rle import as_rle
from pipeline.data.validation.check import read_sound_coco

EXPORTERS_VERSION = 1
"""Goes up when the same set would be written differently."""

File = tuple[str, bytes | Path]
"""A name in the result, and what it holds: bytes, or another file's."""


@dataclass(frozen=True)
class CocoSet:
    """A sound COCO file and the folder of its images."""

    dataset: dict[str, Any]
    images: Path

    def annotations_of(self) -> dict[int, list[dict[str, Any]]]:
        """The annotations by image."""
        return by_image(self.dataset["annotations"])


def convert_set(split_dir: Path, name: str, out: Path) -> None:
    """Write the split (annotations.json and images/) into ``out`` in the format ``name``.

    Every file is written whole, and what is there already is kept: a conversion that was killed goes
    on when it is repeated. The stamp comes last and says that all is there.

    Raises:
        UserError: an unknown format, a faulty split, or an ``out`` that holds something else.
    """
    if name not in EXPORTERS:
        raise UserError(f"--to {name}: no such format; known: {', '.join(EXPORTERS)}")
    annotations = split_dir / "annotations.json"
    source = CocoSet(read_sound_coco(annotations), split_dir / "images")
    claim_out_dir(out)
    inputs = {"to": name, "version": EXPORTERS_VERSION, "annotations": sha256_file(annotations)}
    _claim(out, inputs)
    remove_fragments(out)
    stamp, files = out / ".convert.stamp.json", []
    for file, content in EXPORTERS[name](source):
        path = out / file
        data = content.read_bytes() if isinstance(content, Path) else content
        if not (path.is_file() and path.read_bytes() == data):
            write_atomic(path, data)
        files.append(path)
    if is_current(stamp, inputs, []):
        click.echo(f"convert: up to date ({out})")
        return
    write_stamp(stamp, inputs, [])
    click.echo(f"convert: {len(source.dataset['images'])} images, {len(files)} files as {name} -> {out}")


def _claim(out: Path, inputs: dict[str, Any]) -> None:
    """Mark the folder as the place of this conversion; refuse one that holds anything else."""
    marker = out / ".convert.json"
    if marker.is_file() and marker.read_bytes() == canonical_json(inputs):
        return
    if any(out.iterdir()):
        raise UserError(f"{out}: holds something else already; remove it, or give another --out")
    write_atomic(marker, canonical_json(inputs))


# ------------------------------------------------------------------------------ formats


def coco_polygons(source: CocoSet) -> Iterator[File]:
    """COCO with polygons for RLE; ignore regions stay RLE, as COCO has them."""
    yield from _images(source, "images/")
    sizes = {i["id"]: (i["width"], i["height"]) for i in source.dataset["images"]}
    annotations, lost, pixels = [], 0, 0
    for a in source.dataset["annotations"]:
        if a["iscrowd"] or isinstance(a["segmentation"], list):
            annotations.append(a)
            continue
        mask = mask_utils.decode(as_rle(a["segmentation"], *sizes[a["image_id"]]))
        polygons = mask_polygons(mask)
        lost, pixels = lost + polygon_loss(mask, polygons), pixels + int(mask.sum())
        annotations.append(a | {"segmentation": polygons})
    click.echo(f"convert: polygons lose {lost} of {pixels} pixels; holes are reached through slits")
    # Depth and normals stay behind in the split.
    images = [{key: value for key, value in i.items() if key != "arrays"} for i in source.dataset["images"]]
    yield "annotations.json", canonical_json(source.dataset | {"images": images, "annotations": annotations})


def yolo_seg(source: CocoSet) -> Iterator[File]:
    """YOLO segmentation: a text file per image, a line per object: class from 0, then x y of its outline.

    An object in several pieces or with holes is one outline, joined by slits. The format has no
    ignore regions, so that they become background.
    """
    names = Counter(str(PurePosixPath(i["file_name"]).with_suffix(".txt")) for i in source.dataset["images"])
    if clash := next((name for name, count in names.items() if count > 1), None):
        raise UserError(f"{source.images}: two images would share labels/{clash}; rename one of them")
    yield from _images(source, "images/")
    numbers = {c["id"]: number for number, c in enumerate(source.dataset["categories"])}
    annotations, lost, ignored = source.annotations_of(), 0, 0
    for image in source.dataset["images"]:
        scale = np.array([image["width"], image["height"]])
        lines = []
        for a in annotations[image["id"]]:
            if a["iscrowd"]:
                ignored += 1
                continue
            mask = mask_utils.decode(as_rle(a["segmentation"], image["width"], image["height"]))
            outline = np.array(one_polygon(mask)).reshape(-1, 2) / scale
            text = " ".join(f"{value:.6f}" for value in outline.ravel())
            lost += polygon_loss(
                mask, [(np.array(text.split(), float).reshape(-1, 2) * scale).ravel().tolist()]
            )
            lines.append(f"{numbers[a['category_id']]} {text}\n")
        yield f"labels/{PurePosixPath(image['file_name']).with_suffix('.txt')}", "".join(lines).encode()
    click.echo(f"convert: outlines lose {lost} pixels; {ignored} ignore regions left out: background to YOLO")
    lines = [f"  {numbers[c['id']]}: {json.dumps(c['name'])}\n" for c in source.dataset["categories"]]
    # YOLO wants both keys; the set is one split, so whoever has two names the other's folder here.
    yield "data.yaml", f"train: images\nval: images\nnames:\n{''.join(lines)}".encode()


def imagefolder(source: CocoSet) -> Iterator[File]:
    """Hugging Face's imagefolder: the images and, a line each in metadata.jsonl, their objects.

    ``objects`` holds lists of one length: ``id``, ``category`` (from 0, in the order of
    categories.json), ``bbox`` (x, y, width, height in pixels), ``area``, ``iscrowd`` (1: a region to
    ignore) and ``segmentation`` (compressed RLE as JSON text).
    """
    yield from _images(source, "")
    numbers = {c["id"]: number for number, c in enumerate(source.dataset["categories"])}
    annotations, ignored = source.annotations_of(), 0
    lines = []
    for image in source.dataset["images"]:
        size = image["width"], image["height"]
        mine = annotations[image["id"]]
        ignored += sum(a["iscrowd"] for a in mine)
        objects = {
            "id": [a["id"] for a in mine],
            "category": [numbers[a["category_id"]] for a in mine],
            "bbox": [[float(value) for value in a["bbox"]] for a in mine],
            "area": [float(a["area"]) for a in mine],
            "iscrowd": [a["iscrowd"] for a in mine],
            "segmentation": [_rle_text(a["segmentation"], *size) for a in mine],
        }
        row = {key: image[key] for key in ("file_name", "width", "height")} | {"image_id": image["id"]}
        lines.append(canonical_json(row | {"objects": objects}))
    click.echo(f"convert: {ignored} ignore regions kept, with iscrowd 1")
    yield "categories.json", canonical_json([c["name"] for c in source.dataset["categories"]])
    yield "metadata.jsonl", b"".join(lines)


EXPORTERS: dict[str, Callable[[CocoSet], Iterator[File]]] = {
    "coco-polygons": coco_polygons,
    "yolo-seg": yolo_seg,
    "imagefolder": imagefolder,
}


def _images(source: CocoSet, folder: str) -> Iterator[File]:
    for image in source.dataset["images"]:
        yield f"{folder}{image['file_name']}", find_image(source.images, image["file_name"])


def _rle_text(segmentation: Any, width: int, height: int) -> str:
    rle = as_rle(segmentation, width, height)
    counts = rle["counts"] if isinstance(rle["counts"], str) else rle["counts"].decode("ascii")
    return json.dumps({"size": [height, width], "counts": counts})
