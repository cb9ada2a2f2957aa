"""Write COCO results and a CSV table while images are predicted; both files are written atomically."""

from __future__ import annotations

import codecs
import contextlib
import csv
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from blender.contract import UserError, canonical_json, open_atomic

RESULTS, TABLE = "predictions.json", "predictions.csv"
COLUMNS = (
    "image_id", "file_name", "picture", "frame", "seconds", "category_id", "category_name", "score",
    "left", "top", "width", "height",
)  # fmt: skip
"""Columns of predictions.csv; boxes are in pixels."""
TRACK_COLUMNS = (*COLUMNS, "track_id")
"""Columns if the objects of videos are tracked."""
Position = tuple[int, int]
"""Bytes of predictions.json, without its end, and of predictions.csv."""
START: Position = (0, 0)


@dataclass
class ResultsWriter:
    """Writes COCO results, each with the fields that ``columns`` names, and keeps none in memory."""

    results: BinaryIO
    table: BinaryIO
    columns: tuple[str, ...] = COLUMNS

    def __post_init__(self) -> None:
        self._rows = csv.writer(
            codecs.getwriter("utf-8")(self.table, "backslashreplace"), lineterminator="\n"
        )
        if not self.table.tell():
            self._rows.writerow(self.columns)

    @property
    def position(self) -> Position:
        """Where the next result will be written."""
        return self.results.tell(), self.table.tell()

    def write(self, results: list[dict[str, Any]]) -> None:
        """Append results to both files."""
        for result in results:
            separator = b"," if self.results.tell() else b"["
            self.results.write(separator + canonical_json(result).rstrip(b"\n"))
            sides = dict(zip(("left", "top", "width", "height"), result["bbox"], strict=True))
            self._rows.writerow(_cell((result | sides).get(column, "")) for column in self.columns)

    def cut(self, position: Position) -> None:
        """Remove what was written after ``position``."""
        for stream, length in zip((self.results, self.table), position, strict=True):
            stream.seek(length)
            stream.truncate()

    def finish(self) -> None:
        """Write the end of predictions.json."""
        self.results.write(b"]\n" if self.results.tell() else b"[]\n")


def _cell(value: Any) -> Any:
    """Format a list of near objects (``pipeline.metres.results``) as "2: 1.24; 5: 1.8"; keep other values."""
    if isinstance(value, list):
        return "; ".join(f"{entry['object']}: {entry['metres']}" for entry in value)
    return value


@contextlib.contextmanager
def open_results(
    out: Path, start: Position = START, columns: tuple[str, ...] = COLUMNS
) -> Iterator[ResultsWriter]:
    """Open predictions.json and predictions.csv in ``out``.

    Args:
        out: the folder.
        columns: the columns of predictions.csv.
        start: keep this much of the files that are there, and append to it.
        columns: columns of predictions.csv.

    Raises:
        UserError: one of the two paths is a folder.
        OSError: the disk is full, for example; earlier files are not changed.
    """
    for name in (RESULTS, TABLE):
        if (out / name).is_dir():
            raise UserError(f"{out / name}: a folder, but the results need this name; give another --out")
    with open_atomic(out / RESULTS) as results, open_atomic(out / TABLE) as table:
        for stream, name, length in ((results, RESULTS, start[0]), (table, TABLE, start[1])):
            if length:
                with (out / name).open("rb") as earlier:
                    shutil.copyfileobj(earlier, stream)
                stream.truncate(length)
                stream.seek(length)
        writer = ResultsWriter(results, table, columns)
        yield writer
        writer.finish()
