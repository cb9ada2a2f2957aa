"""Videos and cameras, through PyAV (the extra ``video``): frames in, drawn frames out, one at a time."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from blender.contract import UserError, open_atomic
from pipeline.common.optional import import_optional

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".mts")
_CLOCK = 90_000
"""Ticks a second of a written video."""
_LAG = 0.3
"""Seconds by which a camera's frame may be late before it is passed over: drivers keep old ones."""
_CAMERAS: dict[str, tuple[str, str]] = {
    "linux": ("/dev/video{}", "v4l2"),
    "darwin": ("{}", "avfoundation"),
}
"""By platform: how FFmpeg names a camera, and the input that reads it."""


@dataclass(frozen=True)
class Frame:
    """One picture of a video."""

    number: int
    """From 0."""
    seconds: float
    """Since the first."""
    pixels: npt.NDArray[np.uint8]
    """(H, W, 3) RGB, turned as the file says."""


def is_video(path: Path) -> bool:
    """Whether a file's name is a video's."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def frames_of(path: Path) -> int:
    """About how many frames a video has, as its header says; 1 if it does not.

    Raises:
        UserError: PyAV is not installed.
    """
    av = import_optional("av", "video", f"{path}: to read a video")
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            seconds = float(stream.duration * stream.time_base) if stream.duration else 0.0
            return max(1, stream.frames or round(seconds * float(stream.average_rate or 0)))
    except (av.FFmpegError, OSError, IndexError, ValueError):
        return 1  # what is wrong is said when its turn comes


def read_video(path: Path) -> Iterator[Frame]:
    """The frames of a video file.

    Raises:
        UserError: PyAV is not installed; the file is no video, or broken from some frame on.
    """
    av = import_optional("av", "video", f"{path}: to read a video")
    number = 0
    try:
        with av.open(str(path)) as container:
            for frame in _decoded(container):
                yield frame
                number += 1
    except (av.FFmpegError, OSError, IndexError, ValueError) as error:
        where = f" from frame {number} on" if number else ""
        raise UserError(f"{path}: not a readable video{where}: {_reason(error)}") from None
    if not number:
        raise UserError(f"{path}: not a readable video: it has no frame")


def read_camera(camera: int) -> Iterator[Frame]:
    """The frames of a camera as they come, those left out that are late.

    Raises:
        UserError: PyAV is not installed, or there is no such camera.
    """
    av = import_optional("av", "video", f"camera {camera}: to read a camera")
    if sys.platform not in _CAMERAS:
        raise UserError(
            f"camera {camera}: cameras are read on Linux and macOS only; record a video and give that"
        )
    name, kind = _CAMERAS[sys.platform]
    try:
        with av.open(name.format(camera), format=kind) as container:
            began = time.monotonic()
            for frame in _decoded(container):
                if frame.seconds + _LAG >= time.monotonic() - began or frame.number == 0:
                    yield frame
    except (av.FFmpegError, OSError, IndexError, ValueError) as error:
        raise UserError(
            f"camera {camera}: cannot be read ({_reason(error)}); is it plugged in, and free? Its number is "
            "that of /dev/video*"
        ) from None


def _decoded(container: Any) -> Iterator[Frame]:
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    first = None
    for number, frame in enumerate(container.decode(stream)):
        seconds = frame.time if frame.time is not None else number / float(stream.average_rate or 25)
        first = seconds if first is None else first
        pixels = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
        yield Frame(number, max(0.0, seconds - first), np.ascontiguousarray(pixels))


@contextlib.contextmanager
def open_video(path: Path, size: tuple[int, int]) -> Iterator[Callable[[Image.Image, float], None]]:
    """Write an .mp4 (H.264) at ``path``, whole at the end or not there.

    Args:
        size: (width, height) of its pictures; an odd one gets one more row or column.

    Yields:
        What takes one picture more, and its time in seconds.

    Raises:
        UserError: PyAV is not installed.
        OSError: the disk is full, ...
    """
    av = import_optional("av", "video", f"{path}: to write a video")
    width, height = size
    with open_atomic(path) as stream, av.open(stream, "w", format="mp4") as container:
        track = container.add_stream("libx264", rate=25, options={"crf": "20", "preset": "veryfast"})
        track.width, track.height, track.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        track.codec_context.time_base = Fraction(1, _CLOCK)
        last = -1

        def show(picture: Image.Image, seconds: float) -> None:
            nonlocal last
            if picture.size != size:  # a video may change its size on the way
                picture = picture.resize(size)
            pixels = np.pad(np.asarray(picture), ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            last = max(last + 1, round(seconds * _CLOCK))
            frame.pts, frame.time_base = last, Fraction(1, _CLOCK)
            container.mux(track.encode(frame))

        yield show
        container.mux(track.encode(None))


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return str(text).splitlines()[0]
