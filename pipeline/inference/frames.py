"""The frames of a source: those of a video, or numbered images that are one."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

from blender.contract import UserError
from pipeline.data.images import format_size, read_image
from pipeline.inference.segmenter import MAX_PIXELS
from pipeline.inference.sources import Source, distinct_names
from pipeline.inference.video import Frame, VideoHeader, read_header, read_video


def join_numbered_images(sources: list[Source]) -> list[Source]:
    """Replace the images of each folder by one video, whose frames are in the order of their numbers.

    The last number in a file's name counts, so a missing image is a missing frame.

    Raises:
        UserError: an image has no number, or two images of a folder have the same.
    """
    folders: dict[Path, dict[int, Path]] = {}
    for source in sources:
        if source.is_video:
            continue
        numbers = re.findall(r"[0-9]+", source.path.stem)
        if not numbers:
            raise UserError(f"{source.path}: no number in its name; --frame-rate is for numbered images")
        frames = folders.setdefault(source.path.parent, {})
        number = int(numbers[-1])
        if number in frames:
            raise UserError(
                f"{source.path}: the same number as {frames[number].name}; --frame-rate needs one series of "
                "images in each folder"
            )
        frames[number] = source.path
    names = dict(zip(folders, distinct_names([folder.absolute() for folder in folders]), strict=True))
    joined = [source for source in sources if source.is_video]
    for folder, frames in folders.items():
        ordered = tuple(sorted(frames.items()))
        joined.append(Source(folder.absolute(), True, names[folder], ordered))
    return joined


def source_header(source: Source, frame_rate: float | None) -> VideoHeader:
    """Return the length and the rate of a source; an image has one frame.

    Args:
        source: the source.
        frame_rate: frames per second of numbered images, and of videos that state none.
    """
    if source.frames:
        assert frame_rate is not None
        return VideoHeader(len(source.frames), frame_rate, states_rate=False)
    header = read_header(source.path) if source.is_video else VideoHeader()
    return header if header.states_rate else dataclasses.replace(header, rate=frame_rate or header.rate)


def read_frames(source: Source, header: VideoHeader) -> Iterator[Frame]:
    """Read the frames of a video or of numbered images.

    Raises:
        UserError: as ``read_video``; or at the end, if an image could not be read or has another size.
    """
    if not source.frames:
        yield from read_video(source.path, None if header.states_rate else header.rate)
        return
    errors, size = list[str](), None
    for number, path in source.frames:
        try:
            image = read_image(path, upright=True, max_pixels=MAX_PIXELS)
        except UserError as error:
            errors.append(str(error))
            continue
        size = size or image.size
        if image.size != size:
            errors.append(f"{path}: {format_size(image.size)} pixels; the frames before: {format_size(size)}")
            continue
        index = number - source.frames[0][0]
        yield Frame(index, index / header.rate, image.pixels)
    if errors:
        more = f" (and {len(errors) - 1} more images of {source.path})" if len(errors) > 1 else ""
        raise UserError(errors[0] + more)
