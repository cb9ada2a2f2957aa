"""Write COCO results and a CSV table while images are predicted; both files are written atomically."""

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
"""Columns of predictions.csv; boxes are in pixels."""

WriteResults = Callable[[list[dict[str, Any]]], None]
"""Writes COCO results, each with the fields that ``COLUMNS`` names."""


@contextlib.contextmanager
def open_results(out: Path) -> Iterator[WriteResults]:
    """Open predictions.json and predictions.csv in ``out``.

    Yields:
        A function that writes results to both files and keeps none in memory.

    Raises:
        UserError: one of the two paths is a folder.
        OSError: the disk is full, for example; earlier files are not changed.
    """
    for name in (RESULTS, TABLE):
        if (out / name).is_dir():
            raise UserError(f"{out / name}: a folder, but the results need this name; give another --out")
    with open_atomic(out / RESULTS) as results_file, open_atomic(out / TABLE) as table_file:
        rows = csv.writer(codecs.getwriter("utf-8")(table_file, "backslashreplace"), lineterminator="\n")
        rows.writerow(COLUMNS)
        separator = b"["

        def write(results: list[dict[str, Any]]) -> None:
            nonlocal separator
            for result in results:
                results_file.write(separator + canonical_json(result).rstrip(b"\n"))
                separator = b","
                sides = dict(zip(("left", "top", "width", "height"), result["bbox"], strict=True))
                rows.writerow((result | sides).get(column, "") for column in COLUMNS)

        yield write
        results_file.write(b"]\n" if separator == b"," else b"[]\n")
