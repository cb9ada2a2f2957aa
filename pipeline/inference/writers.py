"""What predict finds, written as it comes: COCO results and a table, whole at the end or not there."""

from __future__ import annotations

import codecs
import contextlib
import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from blender.contract import UserError, canonical_json, open_atomic

RESULTS, TABLE = "predictions.json", "predictions.csv"
COLUMNS = (
    "image_id", "file_name", "picture", "frame", "seconds", "category_id", "category_name", "score",
    "left", "top", "width", "height",
)  # fmt: skip
"""Of predictions.csv; boxes are in pixels."""

Add = Callable[[list[dict[str, Any]]], None]


@contextlib.contextmanager
def open_results(out: Path) -> Iterator[Add]:
    """Open both files in ``out``; what the function is given is written, and not kept.

    Raises:
        UserError: a folder has the name of one of them.
        OSError: the disk is full, ...; both stay as they were.
    """
    for name in (RESULTS, TABLE):
        if (out / name).is_dir():
            raise UserError(f"{out / name}: a folder; the results are to have this name; give another --out")
    with open_atomic(out / RESULTS) as results, open_atomic(out / TABLE) as table:
        rows = csv.writer(codecs.getwriter("utf-8")(table, "backslashreplace"), lineterminator="\n")
        rows.writerow(COLUMNS)
        before = b"["

        def add(found: list[dict[str, Any]]) -> None:
            nonlocal before
            for result in found:
                results.write(before + canonical_json(result).rstrip(b"\n"))
                before = b","
                sides = dict(zip(("left", "top", "width", "height"), result["bbox"], strict=True))
                rows.writerow((result | sides).get(column, "") for column in COLUMNS)

        yield add
        results.write(b"]\n" if before == b"," else b"[]\n")
