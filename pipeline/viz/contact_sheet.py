"""Contact sheet of a split: some of its frames with masks, boxes, keypoints and labels."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from blender.contract import UserError, print_note, write_atomic
from pipeline.config import ExifReading
from pipeline.data.coco_io import group_by_image
from pipeline.data.images import find_image, read_rgb
from pipeline.data.validation.check import load_validated_coco
from pipeline.data.validation.orientation import describe_exif
from pipeline.viz.overlays import IGNORED, class_colour, draw_overlays, ground_truth_overlays, readable

BACKGROUND = (20, 22, 26)
TEXT = (205, 210, 216)
PARTS = ("masks", "boxes", "keypoints", "names", "ids", "visible")
"""Parts of an object that can be drawn. Its label consists of name, id and visible fraction."""
DEFAULT = ("masks", "boxes", "keypoints", "names", "visible")
_GAP = 8
"""Pixels between frames."""
_LEGEND_HEIGHT = 30


def write_contact_sheet(
    split_dir: Path,
    out: Path,
    count: int,
    columns: int,
    width: int = 420,
    show: Sequence[str] = DEFAULT,
    exif: ExifReading = "stored",
) -> None:
    """Write a contact sheet as a PNG file.

    Args:
        split_dir: folder with annotations.json and images/.
        out: the file.
        count, columns, width, show, exif: as for ``contact_sheet``.

    Raises:
        UserError: ``count``, ``columns`` or ``width`` is too small, or the split cannot be drawn.
    """
    if count < 1 or columns < 1 or width < 40:
        raise UserError("--count and --columns must be at least 1, --width at least 40 pixels")
    if out.suffix.lower() != ".png":
        raise UserError(f"{out}: the sheet is a PNG file; give a name that ends in .png")
    stream = io.BytesIO()
    contact_sheet(split_dir, count, columns, width, show, exif).save(stream, format="PNG")
    write_atomic(out, stream.getvalue())
    click.echo(f"preview: {out}")


def contact_sheet(
    split_dir: Path,
    count: int,
    columns: int,
    width: int = 420,
    show: Sequence[str] = DEFAULT,
    exif: ExifReading = "stored",
    frames: Sequence[int] | None = None,
) -> Image.Image:
    """Draw frames that are evenly spread over a split, or those of ``frames``, each with a caption.

    Args:
        split_dir: folder with annotations.json and images/.
        count: number of frames.
        columns: frames in a row.
        width: width of a frame on the sheet, in pixels.
        show: any of ``PARTS``; none: only the images.
        exif: what the annotations refer to in images with an EXIF orientation that their size does not
            decide.
        frames: numbers of the frames of a rendered split; None: evenly spread ones.

    Raises:
        UserError: the split has no annotations or no images, or a part is unknown.
    """
    for part in show:
        if part not in PARTS:
            raise UserError(f"--show {part}: unknown; known: {', '.join(PARTS)}")
    path = split_dir / "annotations.json"
    if not path.exists():
        raise UserError(f"{path}: no such file; run 'transpalette coco' on {split_dir} first")
    dataset = load_validated_coco(path)
    if not dataset["images"]:
        raise UserError(f"{path}: no images")
    annotations = group_by_image(dataset["annotations"])
    listed = [i for i in dataset["images"] if frames is None or i["frame"] in frames]
    count = min(count, len(listed))
    chosen = [listed[i] for i in np.linspace(0, len(listed) - 1, count).astype(int)]
    paths = {image["id"]: find_image(split_dir / "images", image["file_name"]) for image in chosen}
    for note in describe_exif(chosen, dataset["annotations"], lambda i: paths[i["id"]], exif):
        print_note(note)
    cells = []
    for image in chosen:
        pixels = read_rgb(paths[image["id"]], (image["width"], image["height"]), exif == "upright")
        cells.append(_draw_cell(pixels, image, annotations[image["id"]], dataset["categories"], width, show))
    sheet = grid(cells, min(columns, count))
    return sheet if "names" in show else _with_legend(sheet, dataset["categories"])


def grid(cells: list[Image.Image], columns: int) -> Image.Image:
    """Arrange images in a grid with ``columns`` columns."""
    rows = -(-len(cells) // columns)
    width, height = max(c.width for c in cells), max(c.height for c in cells)
    size = (columns * (width + _GAP) + _GAP, rows * (height + _GAP) + _GAP)
    sheet = Image.new("RGB", size, BACKGROUND)
    for number, cell in enumerate(cells):
        row, column = divmod(number, columns)
        sheet.paste(cell, (_GAP + column * (width + _GAP), _GAP + row * (height + _GAP)))
    return sheet


def _draw_cell(
    pixels: npt.NDArray[np.uint8],
    image: dict[str, Any],
    annotations: list[dict[str, Any]],
    categories: list[dict[str, Any]],
    width: int,
    show: Sequence[str],
) -> Image.Image:
    """Draw one frame, read as (H, W, 3), with its caption."""
    size = (width, max(1, round(width * image["height"] / image["width"])))
    resized = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
    overlays = ground_truth_overlays(image, annotations, categories, show)
    drawn = draw_overlays(resized, overlays, boxes="boxes" in show, masks="masks" in show)
    letters = max(10, round(width / 30))
    font, line = ImageFont.load_default(size=letters), round(1.7 * letters)
    cell = Image.new("RGB", (size[0], size[1] + line), BACKGROUND)
    cell.paste(drawn, (0, 0))
    caption = f"{Path(image['file_name']).stem}   {_count_text(annotations, categories)}"
    ImageDraw.Draw(cell).text((2, size[1] + line // 6), caption, font=font, fill=TEXT)
    return cell


def _count_text(annotations: list[dict[str, Any]], categories: list[dict[str, Any]]) -> str:
    """Format the number of objects of each class."""
    names = {c["id"]: readable(c["name"]) for c in categories}
    counts = Counter(
        "ignored" if a.get("iscrowd") else names.get(a["category_id"], "?")
        for a in sorted(annotations, key=lambda a: (a.get("iscrowd", 0), a["category_id"]))
    )
    return ", ".join(f"{number} {name}" for name, number in counts.items()) or "empty"


def _with_legend(sheet: Image.Image, categories: list[dict[str, Any]]) -> Image.Image:
    """Add a legend of the class colours above the sheet."""
    framed = Image.new("RGB", (sheet.width, sheet.height + _LEGEND_HEIGHT), BACKGROUND)
    framed.paste(sheet, (0, _LEGEND_HEIGHT))
    canvas, font, x = ImageDraw.Draw(framed), ImageFont.load_default(size=16), float(_GAP)
    entries = [(class_colour(number), readable(c["name"])) for number, c in enumerate(categories)]
    for colour, name in [*entries, (IGNORED, "ignored")]:
        canvas.rectangle((x, 11, x + 14, 25), fill=colour)
        canvas.text((x + 21, 8), name, font=font, fill=TEXT)
        x += 21 + canvas.textlength(name, font=font) + 24
    return framed
