"""Read COCO-VID files: a COCO instances file whose images are frames of videos."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blender.contract import UserError
from pipeline.data.coco_io import group_by_image, read_coco
from pipeline.data.values import is_int
from pipeline.inference.video import DEFAULT_RATE


@dataclass(frozen=True)
class Video:
    """One video of a file."""

    name: str
    rate: float
    """Frames per second."""
    frames: dict[int, dict[str, Any]]
    """Number of a frame -> its image entry, in the order of time."""


@dataclass(frozen=True)
class TrackFile:
    """The videos of a COCO-VID file with their annotations."""

    path: Path
    videos: tuple[Video, ...]
    classes: dict[str, int]
    """Name of a category -> its id."""
    annotations: dict[int, list[dict[str, Any]]]
    """Image id -> annotations. Each has the key ``track_id``, except for ignore regions (``iscrowd`` 1)."""

    def has_masks(self) -> bool:
        """Return whether all annotations have masks."""
        return all(a.get("segmentation") for entries in self.annotations.values() for a in entries)


def read_track_file(path: Path) -> TrackFile:
    """Read a COCO-VID file.

    ``videos`` need an ``id`` (``name`` and ``fps`` are optional), ``images`` a ``video_id`` and a
    ``frame_id``, and ``annotations`` a ``track_id`` or ``instance_id``, unique within their video.

    Raises:
        UserError: the file cannot be read, or one of the keys is missing; the message names the first one.
    """
    dataset = read_coco(path)
    if not isinstance(dataset.get("videos"), list) or not dataset["videos"]:
        raise UserError(f"{path}: no list 'videos': give a COCO-VID file, not one of single images")
    frames: dict[int, dict[int, dict[str, Any]]] = defaultdict(dict)
    for image in dataset["images"]:
        video, number = image.get("video_id"), image.get("frame_id")
        if not (is_int(video) and is_int(number) and is_int(image.get("width"))):
            raise UserError(f"{path}: image {image.get('id')}: it needs video_id, frame_id, width and height")
        if number in frames[video]:
            raise UserError(f"{path}: image {image['id']}: video {video} has two frames with number {number}")
        frames[video][number] = image
    known = {image["id"] for image in dataset["images"]}
    for annotation in dataset["annotations"]:
        where = f"{path}: annotation {annotation.get('id')}"
        if annotation.get("image_id") not in known:
            raise UserError(f"{where}: no image has its image_id")
        if not isinstance(annotation.get("bbox"), list) or "category_id" not in annotation:
            raise UserError(f"{where}: it needs bbox and category_id")
        track = annotation.get("track_id", annotation.get("instance_id"))
        if not is_int(track) and not annotation.get("iscrowd"):
            raise UserError(f"{where}: it has no track_id, the id of an object over all frames of a video")
        annotation["track_id"] = track
    videos = tuple(
        Video(
            str(video.get("name", video["id"])),
            float(video.get("fps") or DEFAULT_RATE),
            dict(sorted(frames[video["id"]].items())),
        )
        for video in dataset["videos"]
    )
    classes = {category["name"]: category["id"] for category in dataset["categories"]}
    return TrackFile(path, videos, classes, group_by_image(dataset["annotations"]))
