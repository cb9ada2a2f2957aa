"""Write a repaired copy of a COCO file: every rule that finds a fault is asked again for its cure.

The rules of ``validation.check`` say what is wrong; ``entry_repairs`` and ``annotation_repairs`` say
by rule what to do about it. Here they are applied, entry by entry, until nothing is wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from blender.contract import UserError, canonical_json, write_atomic
from pipeline.data.validation.check import find_faults, list_faults
from pipeline.data.validation.list_repairs import (
    Change,
    finite,
    numbered,
    objects,
    with_annotations,
    with_categories,
    with_images,
    without_copies,
)
from pipeline.data.validation.rules import ERROR


def write_repaired(dataset: Any, file: Path, out: Path, images: Path | None) -> bool:
    """Write ``out``, a repaired copy of ``dataset``, and print what was changed and what was not.

    Nothing is written if an error is left that cannot be repaired.

    Returns:
        True if the copy was written.

    Raises:
        UserError: ``out`` is ``file`` itself.
    """
    if out.resolve() == file.resolve() or (out.exists() and out.samefile(file)):
        raise UserError(f"{out}: --fix would replace the file itself; give the copy another name")
    fixed, changes = repair(dataset, images)
    left = list(find_faults(fixed, images))
    for line in summary(changes):
        click.echo(line)
    for fault in left:
        click.echo(f"not repaired: {fault}")
    if any(fault.severity == ERROR for fault in left):
        click.echo(f"{out}: not written")
        return False
    if dataset["annotations"] and not fixed["annotations"]:
        click.echo(f"{out}: not written: none of {len(dataset['annotations'])} annotations could be kept")
        return False
    write_atomic(out, canonical_json(fixed))
    click.echo(f"{out}: written, {len(fixed['images'])} images, {len(fixed['annotations'])} annotations")
    return True


def repair(dataset: Any, images: Path | None = None) -> tuple[Any, list[Change]]:
    """Repair what can be repaired in a copy of a parsed COCO file; ``dataset`` is not changed.

    Args:
        images: the folder of the image files; what is wrong with them is then cured too.

    Returns:
        The copy and what was done, in order. A file without COCO's three lists comes back as it is.
    """
    if any(list_faults(dataset)):
        return dataset, []
    changes: list[Change] = []
    fixed = dataset | {
        key: objects(dataset[key], what, changes)
        for key, what in (("categories", "category"), ("images", "image"), ("annotations", "annotation"))
    }
    fixed = with_categories(fixed, changes)
    fixed = with_images(fixed, images, changes)
    fixed = fixed | {"annotations": numbered(fixed["annotations"], changes)}
    fixed = with_annotations(fixed, changes)
    fixed = without_copies(fixed, changes)
    return finite(fixed, changes), changes


def summary(changes: list[Change]) -> Iterator[str]:
    """One line for each rule and outcome: how many, and the first of them."""
    groups: defaultdict[tuple[str, bool], list[str]] = defaultdict(list)
    for change in changes:
        groups[change.rule, change.removed].append(change.place)
    for (rule, removed), places in groups.items():
        more = ", ..." if len(places) > 5 else ""
        done = "removed" if removed else "corrected"
        yield f"fixed: {rule}: {len(places)} {done}: {', '.join(places[:5])}{more}"
