"""The interface of the formats of other tools, and what several of them share.

A writer is a function with the decorator ``data_format``. It yields the files of the result as names and
bytes; ``pipeline.data.formats.write`` writes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from blender.contract import UserError
from pipeline.config import ExifReading
from pipeline.data.images import find_image
from pipeline.data.polygons import through_pixels
from pipeline.data.rasterise import FILLS

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


def shared_categories(splits: list[CocoSet]) -> list[dict[str, Any]]:
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


def print_changed(changed: Counter[str], pixels: int) -> None:
    """Print how many pixels of the masks change when other programs fill the polygons."""
    click.echo(
        f"convert: of {pixels} pixels change {', '.join(f'{changed[name]} in {name}' for name in FILLS)}"
    )
