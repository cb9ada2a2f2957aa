"""The command ``labels``: corrected labels of an annotation tool as a COCO file that training reads."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from blender.contract import UserError, canonical_json, list_names, print_note, write_atomic
from pipeline.data.validation.check import find_problems, repair, summarize
from pipeline.data.validation.rules import ERROR
from pipeline.data.values import has_mask
from pipeline.labelling.coco import with_rle_masks
from pipeline.labelling.exports import Export, read_export


def import_labels(path: Path, out: Path, images: Path | None = None) -> None:
    """Read an export and write its labels as COCO instances with masks as RLE.

    What ``validate --fix`` would repair is repaired, and printed. Boxes without masks stay boxes, and images
    without objects stay.

    Args:
        path: COCO instances, "CVAT for images 1.1" or Label Studio's JSON; a file, or a folder or zip archive
            that contains one.
        out: the file to write.
        images: the folder of the images. Names are matched with its files (see
            ``pipeline.data.validation.file_search``), and sizes that the export lacks are read from them.

    Raises:
        UserError: the export is not one of these or malformed, an image is not in the folder, or ``out`` is
            part of the export. Nothing is written then.
    """
    if images is not None and not images.is_dir():
        raise UserError(f"{images}: no such folder; give --images the folder of the image files")
    if out.is_dir() or (out.exists() and path.exists() and out.samefile(path)):
        raise UserError(f"{out}: cannot be replaced by the labels; give --out another name")
    export = read_export(path)
    for note in export.notes:
        print_note(note)
    if images is None:
        _check_sizes(path, export)
    fixed, changes = repair(export.dataset, images)
    lost = [change for change in changes if change.removed and change.place.startswith("image ")]
    if lost:
        names = {f"image {i.get('id')!r}": str(i.get("file_name")) for i in export.dataset["images"]}
        raise UserError(
            f"{path}: {len(lost)} images cannot be used ({lost[0].rule}): "
            f"{list_names(names.get(change.place, change.place) for change in lost)}; "
            "give --images the folder of the files that were labelled"
        )
    for line in summarize(changes):
        click.echo(line)
    errors = [problem for problem in find_problems(fixed, images) if problem.severity == ERROR]
    if errors:
        raise UserError(
            f"{path}: {len(errors)} errors, the first: {errors[0].rule}: {errors[0].message}; "
            f"{errors[0].advice}"
        )
    dataset = with_rle_masks(fixed)
    write_atomic(out, canonical_json(dataset))
    names = {c["id"]: c["name"] for c in dataset["categories"]}
    objects = Counter(names[a["category_id"]] for a in dataset["annotations"])
    masks = sum(map(has_mask, dataset["annotations"]))
    counts = ", ".join(f"{count} {name}" for name, count in sorted(objects.items())) or "nothing"
    boxes = f" ({objects.total() - masks} without a mask)" if masks < objects.total() else ""
    click.echo(f"labels: {counts}{boxes} in {len(dataset['images'])} images of {export.tool} -> {out}")


def _check_sizes(path: Path, export: Export) -> None:
    """Refuse images without a size, which only their files can tell."""
    unknown = [
        str(image.get("file_name"))
        for image in export.dataset["images"]
        if isinstance(image, dict) and None in (image.get("width"), image.get("height"))
    ]
    if unknown:
        raise UserError(
            f"{path}: has no size of {len(unknown)} images: {list_names(unknown)}; give the folder of the "
            "images with --images"
        )
