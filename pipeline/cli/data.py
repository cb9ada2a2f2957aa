"""Commands about COCO datasets: coco, validate, labels, convert, preview, stats, card.

Imports inside functions are for start-up time (see ``pipeline.cli``).
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pipeline.cli.group import EXIF, FILE, FOLDER, PROFILE, SCHEDULER
from pipeline.config import ExifReading

FORMATS = ("coco-polygons", "yolo-seg", "imagefolder")
"""Names of the formats that ``pipeline.data.formats`` registers; a test compares them."""
LAYOUTS = ("split", "coco", "flat")
"""Names of their layouts; the same test compares them."""
OUTLINES = ("edges", "pixels")
"""Kinds of outline, see ``pipeline.data.formats.ExportOptions``."""


@click.command()
@PROFILE
@click.argument("split_dir", type=FOLDER)
@SCHEDULER
def coco(profile: Path, split_dir: Path, scheduler: str | None) -> None:
    """Write the COCO annotations of a rendered split.

    Writes SPLIT_DIR/annotations.json from the split's masks and frame records.
    """
    from pipeline.config import read_profile
    from pipeline.data.convert import convert_split

    convert_split(split_dir, read_profile(profile).coco, scheduler)


@click.command()
@click.argument("file", type=FILE)
@click.option("--images", type=FOLDER, help="Check the image files in this folder too.")
@click.option("--fix", type=FILE, metavar="OUT", help="Write a repaired copy, and list the changes.")
@EXIF
def validate(file: Path, images: Path | None, fix: Path | None, exif: ExifReading) -> None:
    """Check and repair a COCO instances file.

    Lists every problem with its place and its fix.
    """
    from pipeline.data.validation.check import validate_file

    sys.exit(2 if validate_file(file, images, fix, exif) else 0)


@click.command()
@click.argument("export", type=click.Path(path_type=Path))
@click.option("--out", type=FILE, required=True, help="The COCO file to write.")
@click.option("--images", type=FOLDER, help="Folder of the images, to match their names and read sizes.")
def labels(export: Path, out: Path, images: Path | None) -> None:
    """Read labels from CVAT or Label Studio.

    EXPORT is COCO instances, CVAT for images 1.1, or JSON of Label Studio: a file, a folder or a zip archive.
    The result is a COCO file with masks as RLE.
    """
    from pipeline.labelling.import_labels import import_labels

    import_labels(export, out, images)


@click.command()
@click.argument("splits", type=FOLDER, nargs=-1, required=True, metavar="SPLIT_DIR...")
@click.option("--to", type=click.Choice(FORMATS), required=True, help="The format.")
@click.option("--out", type=FOLDER, required=True, help="A new folder for the result.")
@click.option(
    "--layout",
    type=click.Choice(LAYOUTS),
    default="split",
    show_default=True,
    help="split: a folder for each split; coco: COCO's own folders (coco-polygons only); "
    "flat: all splits in one table (imagefolder only).",
)
@click.option(
    "--outline",
    type=click.Choice(OUTLINES),
    help="Polygons along the edges of pixels (default of coco-polygons), or through the pixels on the border "
    "(default of yolo-seg), for programs that round corners.",
)
@click.option("--drop-ignored", is_flag=True, help="Leave out ignore regions (iscrowd 1).")
@EXIF
def convert(
    splits: tuple[Path, ...],
    to: str,
    out: Path,
    layout: str,
    outline: str | None,
    drop_ignored: bool,
    exif: ExifReading,
) -> None:
    """Write splits in the format of another tool.

    SPLIT_DIR contains images/ and annotations.json. Give several, or the folder of a run for all its splits.
    """
    from pipeline.data.formats import ExportOptions
    from pipeline.data.formats.write import convert_to_format

    convert_to_format(splits, to, out, ExportOptions(layout, outline), drop_ignored, exif)


@click.command()
@click.argument("split_dir", type=FOLDER)
@click.option("--out", type=FILE, required=True, help="The PNG to write.")
@click.option("--count", default=12, show_default=True, help="Number of images.")
@click.option("--columns", default=4, show_default=True, help="Number of columns.")
@click.option("--width", default=420, show_default=True, help="Width of an image, in pixels.")
@click.option(
    "--show",
    default="masks,boxes,keypoints,names,visible",
    show_default=True,
    metavar="PARTS",
    help="Any of masks, boxes, keypoints, names, ids, visible (visible fraction); '' for images only.",
)
@EXIF
def preview(
    split_dir: Path, out: Path, count: int, columns: int, width: int, show: str, exif: ExifReading
) -> None:
    """Draw a contact sheet of a split with its masks.

    SPLIT_DIR contains images/ and annotations.json.
    """
    from pipeline.viz.contact_sheet import write_contact_sheet

    parts = [part for part in show.split(",") if part]
    write_contact_sheet(split_dir, out, count, columns, width, parts, exif)


@click.command()
@click.argument("sets", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="SET [SET]")
@click.option("--out", type=FOLDER, required=True, help="Folder for stats.json and stats.png.")
def stats(sets: tuple[Path, ...], out: Path) -> None:
    """Describe one COCO dataset, or compare two.

    Counts classes, sizes, distances, visibility and positions. A SET is a COCO file or a split's folder.
    """
    from pipeline.reporting.dataset_stats import write_stats

    write_stats(sets, out)


@click.command()
@click.argument("splits", type=FOLDER, nargs=-1, required=True, metavar="SPLIT_DIR...")
@click.option("--out", type=FILE, required=True, help="The Markdown file to write.")
def card(splits: tuple[Path, ...], out: Path) -> None:
    """Write the dataset card of rendered splits.

    The card states contents, settings and licences.
    """
    from pipeline.reporting.dataset_card import write_card

    write_card(splits, out)
