"""Labels of YOLO segmentation, as Ultralytics reads them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import click
import numpy as np
from pycocotools import mask as mask_utils

from blender.contract import UserError
from pipeline.data.coco_io import count_without_mask, group_by_image
from pipeline.data.formats.images import image_files
from pipeline.data.formats.registry import (
    CocoSet,
    ExportOptions,
    OutputFile,
    data_format,
    print_changed,
    shared_categories,
)
from pipeline.data.polygons import mask_to_single_polygon
from pipeline.data.rasterise import count_changed_pixels
from pipeline.data.rle import as_rle


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
    categories = shared_categories(splits)
    numbers = {c["id"]: number for number, c in enumerate(categories)}
    changed, pixels, ignored = Counter[str](), 0, 0
    for split in splits:
        _check_masks(split)
        _check_label_names(split)
    for split in splits:
        yield from image_files(split, f"images/{split.folder}")
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
    print_changed(changed, pixels)
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
