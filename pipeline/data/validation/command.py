"""The ``validate`` command: print the faults of a COCO file, and write a repaired copy of it."""

from __future__ import annotations

import json
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import click

from blender.contract import UserError
from pipeline.data.validation.check import LISTS, find_faults
from pipeline.data.validation.repair import write_repaired
from pipeline.data.validation.rules import ERROR, WARNING, Fault


def validate_file(file: Path, images: Path | None, fix: Path | None = None) -> bool:
    """Print every fault of a COCO file, one a line, and a last line that counts them.

    Args:
        images: the folder that ``file_name`` is relative to; None leaves the files unchecked.
        fix: where to write a repaired copy; what was changed is printed too.

    Returns:
        True if the file (with ``fix``: its copy) is unusable: a fault is an error, not just a warning.

    Raises:
        UserError: ``file`` or ``images`` does not exist, or ``fix`` is ``file``.
    """
    if images is not None and not images.is_dir():
        raise UserError(f"{images}: no such folder; --images is where the file_name entries lie")
    severities: Counter[str] = Counter()
    dataset, faults = _load(file)
    readable = not any(fault.rule == "not-json" for fault in faults)
    for fault in chain(faults, find_faults(dataset, images) if readable else ()):
        click.echo(str(fault))
        severities[fault.severity] += 1
    sizes = [
        len(dataset[key]) if isinstance(dataset, dict) and isinstance(dataset.get(key), list) else 0
        for key in LISTS
    ]
    click.echo(
        f"{file}: {severities[ERROR]} errors, {severities[WARNING]} warnings in {sizes[0]} images, "
        f"{sizes[1]} annotations, {sizes[2]} categories"
    )
    if fix is not None:
        return not readable or not write_repaired(dataset, file, fix, images)
    return severities[ERROR] > 0


def _load(file: Path) -> tuple[Any, list[Fault]]:
    """Parse the file, and what is wrong with it as JSON."""
    nan: list[str] = []

    def not_json(text: str) -> float:
        nan.append(text)
        return float(text)

    try:
        data = file.read_bytes()
        dataset = json.loads(data, parse_constant=not_json)
    except FileNotFoundError:
        raise UserError(f"{file}: no such file") from None
    except (ValueError, RecursionError) as error:
        cure = "export it again; is it JSON, UTF-8 and whole?"
        return None, [Fault("not-json", f"not readable as JSON: {error}", cure=cure)]
    faults = []
    if json.detect_encoding(data) != "utf-8":
        text = f"it is written in {json.detect_encoding(data)}, and pycocotools cannot read that"
        faults.append(Fault("json-encoding", text, cure="write it as UTF-8 without a byte order mark"))
    if nan:
        text = f"{len(nan)} values are {nan[0]} or the like, which strict readers refuse"
        faults.append(Fault("json-nan", text, cure="write numbers, or null", severity=WARNING))
    return dataset, faults
