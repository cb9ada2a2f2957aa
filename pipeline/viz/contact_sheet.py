"""A contact sheet of a split: its frames with masks and boxes, as the trainer will see them."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from blender.contract import UserError, write_atomic
from pipeline.data.coco_io import group_by_image
from pipeline.data.images import find_image, read_rgb
from pipeline.data.rle import as_rle
from pipeline.data.validation.check import load_validated_coco
from pipeline.viz.overlays import IGNORED, Overlay, class_colour, draw_overlays, readable

BACKGROUND = (20, 22, 26)
INK = (205, 210, 216)
PARTS = ("masks", "boxes", "keypoints", "names", "ids", "visible")
"""What can be drawn of an object; names, ids and visible shares make its label."""
DEFAULT = ("masks", "boxes", "keypoints", "names", "visible")
_GAP = 8


def write_contact_sheet(
    split_dir: Path, out: Path, count: int, columns: int, width: int = 420, show: Sequence[str] = DEFAULT
) -> None:
    """Write ``out``, a PNG of ``count`` frames spread over the split, ``columns`` a row.

    Raises:
        UserError: as ``contact_sheet``; a count, number of columns or width that is too small.
    """
    if count < 1 or columns < 1 or width < 40:
        raise UserError("--count and --columns must be at least 1, --width at least 40 pixels")
    if out.suffix.lower() != ".png":
        raise UserError(f"{out}: give a name that ends in .png")
    stream = io.BytesIO()
    contact_sheet(split_dir, count, columns, width, show).save(stream, format="PNG")
    write_atomic(out, stream.getvalue())
    click.echo(f"preview: {out}")


def contact_sheet(
    split_dir: Path, count: int, columns: int, width: int = 420, show: Sequence[str] = DEFAULT
) -> Image.Image:
    """Draw a contact sheet, frames evenly spread over the split, with a caption each.

    Args:
        width: of a frame on the sheet, in pixels.
        show: members of ``PARTS``; none: the bare pictures.

    Raises:
        UserError: no annotations yet, no images, or an unknown part.
    """
    for part in show:
        if part not in PARTS:
            raise UserError(f"--show {part}: unknown; known: {', '.join(PARTS)}")
    path = split_dir / "annotations.json"
    if not path.exists():
        raise UserError(f"{path}: no annotations yet; run 'transpalette coco' on {split_dir} first")
    dataset = load_validated_coco(path)
    if not dataset["images"]:
        raise UserError(f"{path}: it has no images")
    mine = group_by_image(dataset["annotations"])
    count = min(count, len(dataset["images"]))
    chosen = [dataset["images"][i] for i in np.linspace(0, len(dataset["images"]) - 1, count).astype(int)]
    cells = [
        _cell(split_dir, image, mine[image["id"]], dataset["categories"], width, show) for image in chosen
    ]
    sheet = grid(cells, min(columns, count))
    return sheet if "names" in show else _with_legend(sheet, dataset["categories"])


def truth_overlays(
    image: dict[str, Any],
    annotations: list[dict[str, Any]],
    categories: list[dict[str, Any]],
    show: Sequence[str] = ("names",),
) -> list[Overlay]:
    """The objects of one image as annotated; ignore regions grey, without label or skeleton.

    ``show`` are members of ``PARTS``: those that make labels, and "keypoints".
    """
    known = {c["id"]: (number, c) for number, c in enumerate(categories)}
    found = []
    for a in annotations:
        if a["category_id"] not in known:
            continue
        number, category = known[a["category_id"]]
        rle = as_rle(a["segmentation"], image["width"], image["height"])
        if a.get("iscrowd"):
            found.append(Overlay(rle, IGNORED))
            continue
        joints = a.get("keypoints", ()) if "keypoints" in show else ()
        bones = category.get("skeleton", ()) if joints else ()
        found.append(
            Overlay(
                rle,
                class_colour(number),
                _label(a, category["name"], show),
                tuple(zip(joints[::3], joints[1::3], joints[2::3], strict=True)),
                tuple((start - 1, end - 1) for start, end in bones),
            )
        )
    return found


def _label(annotation: dict[str, Any], name: str, show: Sequence[str]) -> str:
    """The share that is seen is told where it matters: below 95 %."""
    words = [readable(name)] if "names" in show else []
    if "ids" in show:
        words.append(f"#{annotation['id']}")
    label, share = " ".join(words), annotation.get("visible_fraction", 1.0)
    if "visible" in show and share < 0.95:
        label += f"{', ' if label else ''}{100 * share:.0f} %"
    return label


def _cell(
    split_dir: Path,
    image: dict[str, Any],
    annotations: list[dict[str, Any]],
    categories: list[dict[str, Any]],
    width: int,
    show: Sequence[str],
) -> Image.Image:
    pixels = read_rgb(find_image(split_dir / "images", image["file_name"]))
    size = (width, max(1, round(width * image["height"] / image["width"])))
    picture = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
    overlays = truth_overlays(image, annotations, categories, show)
    drawn = draw_overlays(picture, overlays, boxes="boxes" in show, veil="masks" in show)
    letters = max(10, round(width / 30))
    font, line = ImageFont.load_default(size=letters), round(1.7 * letters)
    cell = Image.new("RGB", (size[0], size[1] + line), BACKGROUND)
    cell.paste(drawn, (0, 0))
    caption = f"{Path(image['file_name']).stem}   {_caption(annotations, categories)}"
    ImageDraw.Draw(cell).text((2, size[1] + line // 6), caption, font=font, fill=INK)
    return cell


def _caption(annotations: list[dict[str, Any]], categories: list[dict[str, Any]]) -> str:
    names = {c["id"]: readable(c["name"]) for c in categories}
    counts = Counter(
        "ignored" if a.get("iscrowd") else names.get(a["category_id"], "?")
        for a in sorted(annotations, key=lambda a: (a.get("iscrowd", 0), a["category_id"]))
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


def _with_legend(sheet: Image.Image, categories: list[dict[str, Any]]) -> Image.Image:
    """A line above the sheet that says which colour is what."""
    framed = Image.new("RGB", (sheet.width, sheet.height + 30), BACKGROUND)
    framed.paste(sheet, (0, 30))
    canvas, font, x = ImageDraw.Draw(framed), ImageFont.load_default(size=16), float(_GAP)
    entries = [(class_colour(number), readable(c["name"])) for number, c in enumerate(categories)]
    for colour, name in [*entries, (IGNORED, "ignored")]:
        canvas.rectangle((x, 11, x + 14, 25), fill=colour)
        canvas.text((x + 21, 8), name, font=font, fill=INK)
        x += 21 + canvas.textlength(name, font=font) + 24
    return framed
