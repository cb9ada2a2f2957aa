"""The image files of a converted split, whose pixels are those that its annotations refer to."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from PIL import JpegImagePlugin

from blender.contract import UserError
from pipeline.data.exif import Size, orient, read_orientation
from pipeline.data.formats.registry import CocoSet, OutputFile
from pipeline.data.images import open_image


def image_files(source: CocoSet, folder: str) -> Iterator[OutputFile]:
    """Yield the image files, to be copied to ``folder``; those with an EXIF orientation as annotated."""
    count = 0
    for image in source.dataset["images"]:
        path, size = source.path_of(image), (image["width"], image["height"])
        encoded = encode_as_annotated(path, size, source.exif == "upright")
        count += encoded is not None
        yield f"{folder}{image['file_name']}", encoded or path
    if count:
        click.echo(f"convert: {count} images with an EXIF orientation are written as annotated, without it")


def encode_as_annotated(path: Path, size: Size, upright: bool) -> bytes | None:
    """Encode an image file again, so that all programs see the pixels that its annotations refer to.

    JPEG is compressed with the file's own tables, other formats without loss. All metadata but the colour
    profile is left out, so that no orientation remains.

    Args:
        path: the file.
        size: (width, height) from the annotation file.
        upright: whether the annotations refer to the upright image, where the size does not decide.

    Returns:
        The file's new bytes; None if it has no orientation, so that its bytes can stay.

    Raises:
        UserError: the file is unreadable, or its format cannot be written.
    """
    with open_image(path) as opened:
        orientation = read_orientation(opened)
        if not orientation.is_turned:
            return None
        image = orient(opened, orientation, orientation.reads_upright(size, upright))
        options: dict[str, Any] = {"icc_profile": opened.info.get("icc_profile"), "lossless": True}
        image_format = opened.format or ""
        if image_format in ("JPEG", "MPO"):
            image_format = "JPEG"
            options["qtables"] = opened.quantization  # type: ignore[attr-defined]
            options["subsampling"] = JpegImagePlugin.get_sampling(opened)
        image.info.clear()
        stream = io.BytesIO()
        try:
            image.save(stream, image_format, **options)
        except (OSError, ValueError, KeyError) as error:
            reason = str(error) or type(error).__name__
            raise UserError(f"{path}: cannot be turned as its annotations are: {reason}") from None
        return stream.getvalue()
