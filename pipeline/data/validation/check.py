"""Check a COCO instances file with all rules, and write a repaired copy of it (command ``validate``)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from blender.contract import UserError, canonical_json, write_atomic
from pipeline.config import ExifReading
from pipeline.data.coco_io import read_coco
from pipeline.data.optional_fields import leave_out_malformed
from pipeline.data.validation import keypoints, masks  # noqa: F401  registers their rules
from pipeline.data.validation.annotations import annotation_problems, fix_annotations, number_annotations
from pipeline.data.validation.boxes import convert_corner_boxes
from pipeline.data.validation.categories import fix_categories
from pipeline.data.validation.dataset import (
    KEYS,
    ParsedJson,
    clear_iscrowd,
    parse_json,
    remove_copies,
    remove_non_objects,
    replace_non_finite,
)
from pipeline.data.validation.image_ids import number_images
from pipeline.data.validation.images import fix_images, image_problems
from pipeline.data.validation.orientation import describe_exif
from pipeline.data.validation.rules import (
    CATEGORY,
    DATASET,
    ERROR,
    FILE,
    JSON,
    LISTS,
    WARNING,
    Change,
    DatasetFix,
    Problem,
    broken_dataset_rules,
    broken_rules,
    make_context,
)
from pipeline.data.values import has_mask

REPAIR_STEPS: tuple[DatasetFix, ...] = (
    remove_non_objects,
    fix_categories,
    number_images,
    fix_images,
    convert_corner_boxes,
    number_annotations,
    fix_annotations,
    remove_copies,
    clear_iscrowd,
    replace_non_finite,
)
"""Images and categories come before the annotations, which refer to them."""


def load_validated_coco(path: Path, notes: list[str] | None = None) -> dict[str, Any]:
    """Read a COCO instances file, check it with all rules, and leave out malformed optional fields.

    Args:
        path: the file.
        notes: if given, gets a line for the user if boxes do not fit their masks.

    Raises:
        UserError: the file is missing, is not a COCO file, has no images, or breaks a rule of severity
            "error"; the message names the first problem.
    """
    dataset = read_coco(path)
    problems = list(find_problems(dataset))
    errors = [problem for problem in problems if problem.severity == ERROR]
    if errors:
        raise UserError(
            f"{path}: {len(errors)} errors, the first: {errors[0].rule}: {errors[0].message}; "
            f"see all with 'transpalette validate {path}', and repair them with --fix"
        )
    if not dataset["images"]:
        raise UserError(f"{path}: has no images")
    if notes is not None and (note := _describe_boxes(dataset, problems)):
        notes.append(f"{path}: {note}; see 'transpalette validate {path}'")
    return leave_out_malformed(dataset)


def _describe_boxes(dataset: dict[str, Any], problems: list[Problem]) -> str:
    """Describe in a few words the boxes that seem to be wrong; "" if none does."""
    counts = Counter(problem.rule for problem in problems)
    with_mask = sum(has_mask(a) for a in dataset["annotations"])
    if counts["bbox-mask"]:
        return f"{counts['bbox-mask']} of {with_mask} boxes do not fit their masks"
    for problem in problems:
        if problem.rule == "bbox-corners":
            return problem.message
    if doubtful := counts["bbox-tiny"] + counts["bbox-beyond"]:
        boxes = len(dataset["annotations"])
        return f"{doubtful} of {boxes} boxes are smaller than a pixel or reach beyond their images"
    return ""


def find_problems(dataset: Any, images: Path | None = None) -> Iterator[Problem]:
    """Yield every problem of a parsed COCO file.

    Args:
        dataset: any JSON value; it is not changed.
        images: folder of the image files, to check these too.
    """
    structure_problems = list(broken_dataset_rules(FILE, dataset, None))
    yield from structure_problems
    if structure_problems:
        return
    context = make_context(dataset, images)
    yield from broken_dataset_rules(LISTS, dataset, context)
    for category in dataset["categories"]:
        yield from _type_problems("category", category) or broken_rules(CATEGORY, category, context)
    for image in dataset["images"]:
        yield from _type_problems("image", image) or image_problems(image, context)
    for annotation in dataset["annotations"]:
        yield from _type_problems("annotation", annotation) or annotation_problems(annotation, context)
    yield from broken_dataset_rules(DATASET, dataset, context)


def _type_problems(kind: str, entry: Any) -> list[Problem]:
    return list(broken_rules(f"{kind} type", entry, None))


def repair(dataset: Any, images: Path | None = None) -> tuple[Any, list[Change]]:
    """Fix all problems that can be fixed, in a copy of a parsed COCO file.

    Args:
        dataset: any JSON value; it is not changed.
        images: folder of the image files, to fix problems that concern these too.

    Returns:
        The copy and the changes in order. A file that lacks one of COCO's lists is returned as it is.
    """
    changes: list[Change] = []
    if any(broken_dataset_rules(FILE, dataset, None)):
        return dataset, changes
    for step in REPAIR_STEPS:
        dataset = step(dataset, images, changes)
    return dataset, changes


# ------------------------------------------------------------------------------ command


def validate_file(
    file: Path, images: Path | None, fix: Path | None = None, exif: ExifReading = "stored"
) -> bool:
    """Print every problem of a COCO file, one per line, and a last line that counts them.

    Args:
        file: the COCO file.
        images: folder that ``file_name`` is relative to; None: do not check the image files.
        fix: path of a repaired copy to write; the changes are printed too.
        exif: how images are read whose EXIF orientation their size does not decide.

    Returns:
        True if the file (with ``fix``: its copy) is unusable, that is, has a problem of severity "error".

    Raises:
        UserError: ``file`` or ``images`` does not exist, or ``fix`` is ``file``.
    """
    if images is not None and not images.is_dir():
        raise UserError(f"{images}: no such folder; give --images the folder of the image files")
    try:
        parsed = parse_json(file.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{file}: no such file") from None
    severities: Counter[str] = Counter()
    undecided = set()
    for problem in _file_problems(parsed, images):
        click.echo(str(problem))
        severities[problem.severity] += 1
        if problem.rule == "file-exif-ambiguous":
            undecided.add(problem.image_id)
    if images is not None and undecided and not severities[ERROR]:
        entries = [image for image in parsed.value["images"] if image["id"] in undecided]
        notes = describe_exif(entries, parsed.value["annotations"], lambda i: images / i["file_name"], exif)
        click.echo("\n".join(f"{file}: {note}" for note in notes))
    lists = [parsed.value.get(key) if isinstance(parsed.value, dict) else None for key in KEYS]
    sizes = [len(entries) if isinstance(entries, list) else 0 for entries in lists]
    click.echo(
        f"{file}: {severities[ERROR]} errors, {severities[WARNING]} warnings in {sizes[0]} images, "
        f"{sizes[1]} annotations, {sizes[2]} categories"
    )
    if fix is not None:
        return bool(parsed.error) or not write_repaired(parsed.value, file, fix, images)
    return severities[ERROR] > 0


def _file_problems(parsed: ParsedJson, images: Path | None) -> Iterator[Problem]:
    yield from broken_rules(JSON, parsed, None)
    if not parsed.error:
        yield from find_problems(parsed.value, images)


def write_repaired(dataset: Any, file: Path, out: Path, images: Path | None) -> bool:
    """Write ``out``, a repaired copy of ``dataset``; print the changes and the remaining problems.

    Nothing is written if an error remains that cannot be fixed.

    Args:
        dataset: any JSON value; it is not changed.
        file: the file that ``dataset`` was read from.
        out: the file to write.
        images: folder of the image files, or None.

    Returns:
        True if the copy was written.

    Raises:
        UserError: ``out`` is ``file`` itself.
    """
    if out.resolve() == file.resolve() or (out.exists() and out.samefile(file)):
        raise UserError(f"{out}: --fix would replace the file itself; give the copy another name")
    fixed, changes = repair(dataset, images)
    remaining = list(find_problems(fixed, images))
    for line in summarize(changes):
        click.echo(line)
    for problem in remaining:
        click.echo(f"not repaired: {problem}")
    if any(problem.severity == ERROR for problem in remaining):
        click.echo(f"{out}: not written")
        return False
    if dataset["annotations"] and not fixed["annotations"]:
        click.echo(f"{out}: not written: all {len(dataset['annotations'])} annotations had to be removed")
        return False
    write_atomic(out, canonical_json(fixed))
    click.echo(f"{out}: written, {len(fixed['images'])} images, {len(fixed['annotations'])} annotations")
    return True


def summarize(changes: list[Change]) -> Iterator[str]:
    """Yield a line for each rule and outcome: how many changes, and the first five places."""
    groups: defaultdict[tuple[str, bool], list[str]] = defaultdict(list)
    for change in changes:
        groups[change.rule, change.removed].append(change.place)
    for (name, removed), places in groups.items():
        more = ", ..." if len(places) > 5 else ""
        outcome = "removed" if removed else "corrected"
        yield f"fixed: {name}: {len(places)} {outcome}: {', '.join(places[:5])}{more}"
