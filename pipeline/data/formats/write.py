"""Write COCO splits in the format of another tool (command ``convert``)."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from blender.contract import (
    UserError,
    canonical_json,
    print_note,
    remove_fragments,
    sha256_file,
    write_atomic,
)
from pipeline.common.stages import is_up_to_date, prepare_output_dir, write_stamp
from pipeline.config import ExifReading
from pipeline.data.formats import FORMATS, FORMATS_VERSION, CocoSet, ExportOptions
from pipeline.data.validation.check import load_validated_coco
from pipeline.data.validation.orientation import describe_exif

_FIRST = ("train", "val", "test")
"""The order of splits; others follow by name."""


def convert_to_format(
    folders: Sequence[Path],
    name: str,
    out: Path,
    options: ExportOptions = ExportOptions(),  # noqa: B008 - frozen
    drop_ignored: bool = False,
    exif: ExifReading = "stored",
) -> None:
    """Write splits (annotations.json and images/) to ``out`` in the format ``name``.

    Programs differ in whether they apply an EXIF orientation. So an image that has one is written with the
    pixels that its annotations refer to, and without the orientation.

    Each file is written atomically, and files that exist already are not written again. So an interrupted
    conversion continues when the command is repeated. A stamp file marks the conversion as complete.

    Args:
        folders: splits, or one run with the folders of its splits.
        name: of the format.
        out: the folder for the result.
        options: the layout and the kind of outline.
        drop_ignored: leave out ignore regions (``iscrowd`` 1), for tools that cannot read them.
        exif: what the annotations refer to in images with an EXIF orientation that their size does not
            decide.

    Raises:
        UserError: the format or the layout is unknown, a split is missing or invalid, or ``out`` contains
            other files.
    """
    if name not in FORMATS:
        raise UserError(f"--to {name}: no such format; choose one of {', '.join(FORMATS)}")
    form = FORMATS[name]
    if options.layout not in form.layouts:
        raise UserError(f"--layout {options.layout}: not for {name}; choose {' or '.join(form.layouts)}")
    splits = find_splits(folders)
    alone = len(splits) == 1 and [*splits.values()] == [*folders]
    sources = []
    for split, folder in splits.items():
        dataset = load_validated_coco(folder / "annotations.json")
        if drop_ignored:
            dataset |= {"annotations": [a for a in dataset["annotations"] if not a["iscrowd"]]}
        source = CocoSet(dataset, folder / "images", split, "" if alone else f"{split}/", exif)
        for note in describe_exif(dataset["images"], dataset["annotations"], source.path_of, exif):
            print_note(f"{split}: {note}")
        sources.append(source)
    files = form.write(sources, options)
    first = next(files)  # a writer refuses a split before its first file, and then nothing is left behind
    prepare_output_dir(out)
    annotations = {split: sha256_file(folder / "annotations.json") for split, folder in splits.items()}
    inputs = {
        "to": name, "options": dataclasses.asdict(options), "drop_ignored": drop_ignored,
        "version": FORMATS_VERSION, "annotations": annotations, "exif": exif,
    }  # fmt: skip
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
    images = sum(len(source.dataset["images"]) for source in sources)
    click.echo(f"convert: {images} images of {', '.join(splits)}, {len(paths)} files as {name} -> {out}")


def find_splits(folders: Sequence[Path]) -> dict[str, Path]:
    """Find the splits in folders: a folder with annotations.json is a split, another one contains splits.

    Returns:
        The folder of each split by its name, which is that of the folder.

    Raises:
        UserError: a folder is neither, or two splits have the same name.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        splits = [folder]
        if not (folder / "annotations.json").is_file():
            splits = [file.parent for file in folder.glob("*/annotations.json")]
            splits.sort(key=lambda path: ([*_FIRST, path.name].index(path.name), path.name))
        if not splits:
            raise UserError(
                f"{folder}: no annotations.json here or in its folders; run transpalette coco first"
            )
        for path in splits:
            name = path.resolve().name
            if name in found:
                raise UserError(f"{found[name]} and {path} have the same name; rename one of the folders")
            found[name] = path
    return found


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
