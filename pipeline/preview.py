"""A contact sheet of a split: its frames with masks and boxes, as the trainer will see them."""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pycocotools import mask as mask_utils

from blender.contract import UserError, write_atomic
from pipeline.coco import read_coco
from pipeline.draw import IGNORED, Overlay, class_colour, draw_overlays, readable
from pipeline.image_files import find_image, read_rgb

BACKGROUND = (20, 22, 26)
INK = (205, 210, 216)
_CELL_WIDTH, _GAP, _CAPTION = 420, 8, 24


def write_contact_sheet(split_dir: Path, out: Path, count: int, columns: int) -> None:
    """Write ``out``, a PNG of ``count`` frames spread over the split, ``columns`` a row.

    Raises:
        UserError: no annotations yet, no images, or a count or number of columns below 1.
    """
    if count < 1 or columns < 1:
        raise UserError("--count and --columns must be at least 1")
    if out.suffix.lower() != ".png":
        raise UserError(f"{out}: give a name that ends in .png")
    stream = io.BytesIO()
    contact_sheet(split_dir, count, columns).save(stream, format="PNG")
    write_atomic(out, stream.getvalue())
    click.echo(f"preview: {out}")


def contact_sheet(split_dir: Path, count: int, columns: int) -> Image.Image:
    """Draw a contact sheet, frames evenly spread over the split, with a caption each.

    Raises:
        UserError: no annotations yet, or no images.
    """
    path = split_dir / "annotations.json"
    if not path.exists():
        raise UserError(f"{path}: no annotations yet; run 'transpalette coco' on {split_dir} first")
    dataset = read_coco(path)
    if not dataset["images"]:
        raise UserError(f"{path}: it has no images")
    by_image = defaultdict(list)
    for annotation in dataset["annotations"]:
        by_image[annotation["image_id"]].append(annotation)
    count = min(count, len(dataset["images"]))
    chosen = [dataset["images"][i] for i in np.linspace(0, len(dataset["images"]) - 1, count).astype(int)]
    cells = [_cell(split_dir, image, by_image[image["id"]], dataset["categories"]) for image in chosen]
    return grid(cells, min(columns, count))


def truth_overlays(annotations: list[dict[str, Any]], categories: list[dict[str, Any]]) -> list[Overlay]:
    """The objects of one image as annotated; ignore regions grey and without a label."""
    names = {c["id"]: (number, readable(c["name"])) for number, c in enumerate(categories)}
    return [
        Overlay(as_rle(a), IGNORED)
        if a["iscrowd"]
        else Overlay(as_rle(a), class_colour(names[a["category_id"]][0]), names[a["category_id"]][1])
        for a in annotations
        if a["category_id"] in names
    ]


def as_rle(annotation: dict[str, Any]) -> dict[str, Any]:
    """An annotation's mask as compressed RLE; one given as polygons must carry ``size`` itself.

    Raises:
        UserError: it is given as polygons, which our own files never are.
    """
    segmentation = annotation["segmentation"]
    if not isinstance(segmentation, dict):
        raise UserError(f"annotation {annotation.get('id')}: polygons; this wants a file written by 'coco'")
    if isinstance(segmentation["counts"], list):
        return dict(mask_utils.frPyObjects(segmentation, *segmentation["size"]))
    return segmentation


def _cell(
    split_dir: Path,
    image: dict[str, Any],
    annotations: list[dict[str, Any]],
    categories: list[dict[str, Any]],
) -> Image.Image:
    pixels = read_rgb(find_image(split_dir / "images", image["file_name"]))
    size = (_CELL_WIDTH, max(1, round(_CELL_WIDTH * image["height"] / image["width"])))
    picture = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
    drawn = draw_overlays(picture, truth_overlays(annotations, categories), boxes=True)
    cell = Image.new("RGB", (size[0], size[1] + _CAPTION), BACKGROUND)
    cell.paste(drawn, (0, 0))
    font = ImageFont.load_default(size=14)
    caption = f"{Path(image['file_name']).stem}   {_caption(annotations, categories)}"
    ImageDraw.Draw(cell).text((2, size[1] + 4), caption, font=font, fill=INK)
    return cell


def _caption(annotations: list[dict[str, Any]], categories: list[dict[str, Any]]) -> str:
    names = {c["id"]: readable(c["name"]) for c in categories}
    counts = Counter(
        "ignored" if a["iscrowd"] else names.get(a["category_id"], "?")
        for a in sorted(annotations, key=lambda a: (a["iscrowd"], a["category_id"]))
    )
    return ", ".join(f"{number} {name}" for name, number in counts.items()) or "empty"


def grid(cells: list[Image.Image], columns: int) -> Image.Image:
    """Lay out pictures, ``columns`` a row."""
    rows = -(-len(cells) // columns)
    width, height = max(c.width for c in cells), max(c.height for c in cells)
    size = (columns * (width + _GAP) + _GAP, rows * (height + _GAP) + _GAP)
    sheet = Image.new("RGB", size, BACKGROUND)
    for number, cell in enumerate(cells):
        row, column = divmod(number, columns)
        sheet.paste(cell, (_GAP + column * (width + _GAP), _GAP + row * (height + _GAP)))
    return sheet
