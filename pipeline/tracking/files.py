"""Write tracks.json (COCO-VID style) and tracks.csv from the results of tracked videos.

Both are made from predictions.json when that is complete, so they always agree with it. Results are read one
by one: memory does not grow with the length of a video.
"""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from pycocotools import mask as mask_utils

from blender.contract import UserError, canonical_json, open_atomic

TRACKS, TABLE = "tracks.json", "tracks.csv"
COLUMNS = (
    "file_name", "frame", "seconds", "track_id", "category_name", "left", "top", "width", "height", "score",
)  # fmt: skip
"""Columns of tracks.csv; boxes are in pixels."""
_CHUNK = 1 << 16
"""Characters that are read at once."""


@dataclass
class TrackedVideo:
    """The frames of one tracked video, as values of JSON."""

    name: str
    """Its name in the results (``file_name``)."""
    first_image_id: int
    """Image id of its first frame in the results; the others follow."""
    width: int
    height: int
    rate: float
    """Frames per second."""
    runs: list[list[int]] = field(default_factory=list)
    """The predicted frames as [first number, count]. Frames that cannot be decoded, and those that a slow
    reader of a camera misses, lie between the runs."""

    def add(self, number: int) -> None:
        """Add the next frame."""
        if self.runs and sum(self.runs[-1]) == number:
            self.runs[-1][1] += 1
        else:
            self.runs.append([number, 1])

    def numbers(self) -> Iterator[int]:
        """Yield the numbers of the frames."""
        for first, count in self.runs:
            yield from range(first, first + count)


def check_names(out: Path) -> None:
    """Check that the files can be written to ``out``.

    Raises:
        UserError: one of the two paths is a folder.
    """
    for name in (TRACKS, TABLE):
        if (out / name).is_dir():
            raise UserError(f"{out / name}: a folder, but the tracks need this name; give another --out")


def write_tracks(results: Path, out: Path, videos: list[TrackedVideo], classes: tuple[str, ...]) -> None:
    """Write tracks.json and tracks.csv.

    tracks.json has ``videos``; ``images``, which are the frames, with ``video_id`` and ``frame_id``;
    ``annotations`` with ``track_id``, the same ``instance_id``, box, score and mask (RLE); and
    ``categories``. Detections without a track are left out.

    Args:
        results: predictions.json with ``track_id``.
        out: the folder.
        videos: the tracked videos, in the order of the results.
        classes: name of each class; category ids count from 1.

    Raises:
        OSError: the disk is full, for example; earlier files are not changed.
    """
    with (
        results.open(encoding="utf-8") as source,
        open_atomic(out / TRACKS) as stream,
        open_atomic(out / TABLE) as table,
    ):
        writer = csv.writer(codecs.getwriter("utf-8")(table, "backslashreplace"), lineterminator="\n")
        writer.writerow(COLUMNS)

        def annotations() -> Iterator[dict[str, Any]]:
            number = 0
            for result in read_stream(source):
                if result.get("track_id") is None:
                    continue
                number += 1
                sides = dict(zip(("left", "top", "width", "height"), result["bbox"], strict=True))
                writer.writerow([(result | sides)[column] for column in COLUMNS])
                yield _to_annotation(number, result, videos)

        categories = ({"id": label, "name": name} for label, name in enumerate(classes, start=1))
        lists = (
            ("annotations", annotations()),
            ("categories", categories),
            ("images", _images(videos)),
            ("videos", _videos(videos)),
        )
        for position, (name, entries) in enumerate(lists):
            stream.write(f'{"," if position else "{"}"{name}":['.encode())
            for number, entry in enumerate(entries):
                stream.write((b"," if number else b"") + canonical_json(entry).rstrip(b"\n"))
            stream.write(b"]")
        stream.write(b"}\n")


def read_stream(stream: TextIO) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON list one by one, without reading the whole list.

    Raises:
        ValueError: the text is no list of objects.
    """
    decoder, text = json.JSONDecoder(), stream.read(_CHUNK).lstrip()
    if not text.startswith("["):
        raise ValueError("not a list")
    text = text[1:]
    while True:
        text = text.lstrip(", \n\r\t")
        if text.startswith("]"):
            return
        try:
            value, end = decoder.raw_decode(text)
        except ValueError:
            more = stream.read(max(_CHUNK, len(text)))
            if not more:
                raise
            text += more
            continue
        yield value
        text = text[end:]


def _to_annotation(number: int, result: dict[str, Any], videos: list[TrackedVideo]) -> dict[str, Any]:
    """Convert a result with a track to an annotation."""
    started = [index for index, v in enumerate(videos, 1) if v.first_image_id <= result["image_id"]]
    return {
        "id": number,
        "image_id": result["image_id"],
        "video_id": started[-1],
        "category_id": result["category_id"],
        "track_id": result["track_id"],
        "instance_id": result["track_id"],
        "bbox": result["bbox"],
        "area": float(mask_utils.area(result["segmentation"])),
        "segmentation": result["segmentation"],
        "iscrowd": 0,
        "score": result["score"],
    }


def _images(videos: list[TrackedVideo]) -> Iterator[dict[str, Any]]:
    """Yield the frames of all videos."""
    for video_id, video in enumerate(videos, start=1):
        for index, number in enumerate(video.numbers()):
            yield {
                "id": video.first_image_id + index,
                "video_id": video_id,
                "frame_id": number,
                "file_name": f"{video.name}/{number:06d}",
                "width": video.width,
                "height": video.height,
            }


def _videos(videos: list[TrackedVideo]) -> Iterator[dict[str, Any]]:
    """Yield the videos."""
    for video_id, video in enumerate(videos, start=1):
        yield {
            "id": video_id,
            "name": video.name,
            "width": video.width,
            "height": video.height,
            "fps": video.rate,
        }
