"""Read videos and cameras and write videos, frame by frame, with PyAV (the extra ``video``)."""

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
from blender.contract.messages import first_line
from pipeline.common.optional import import_optional

DEFAULT_RATE = 25
"""Frames per second of a video that does not state its rate, and the nominal rate of written videos."""
_TICKS_PER_SECOND = 90_000
"""Resolution of the time stamps in a written video; the usual value of MPEG."""
_MAX_PIXEL_ASPECT = 4
"""Width of a pixel divided by its height beyond which (or its reciprocal) a file's statement is not true."""
_NO_VIDEO_FORMATS = ("image2", "tty")
"""FFmpeg's names of formats that are single images, and texts that it would draw."""
_MAX_LAG = 0.3
"""Delay in seconds after which a camera's frame is skipped, because drivers queue old frames."""
_CAMERAS: dict[str, tuple[str, str]] = {
    "linux": ("/dev/video{}", "v4l2"),
    "darwin": ("{}", "avfoundation"),
}
"""Platform -> FFmpeg's name of a camera, and the input format that reads it."""


@dataclass(frozen=True)
class Frame:
    """One frame of a video."""

    number: int
    """Number of the frame, from 0."""
    seconds: float
    """Time since the first frame."""
    pixels: npt.NDArray[np.uint8]
    """(H, W, 3) RGB, with square pixels, rotated as the file states."""


@dataclass(frozen=True)
class VideoHeader:
    """What the header of a video states."""

    frames: int = 1
    """The estimated number of its frames; 1 if the header does not state it."""
    rate: float = DEFAULT_RATE
    """Its frames per second."""
    stretched: str = ""
    """How frames of pixels that are not square are made square ("128x192 to 256x192"), or ""."""
    size: tuple[int, int] = (0, 0)
    """(width, height) of its frames as they are stored; (0, 0) if the header does not state it."""
    states_rate: bool = True
    """False for raw streams (.h264, .mjpeg), which have neither a rate nor times: players assume 25."""


def is_readable_video(path: Path) -> bool:
    """Return whether PyAV finds a video stream in a file, whatever its extension; False without PyAV."""
    try:
        av = import_optional("av", "video", str(path))
    except UserError:
        return False
    try:
        with av.open(str(path)) as container:
            name = container.format.name
            if name in _NO_VIDEO_FORMATS or name.endswith("_pipe"):
                return False
            return bool(_video_stream(container).width)
    except (av.FFmpegError, OSError, ValueError):
        return False


def read_header(path: Path) -> VideoHeader:
    """Read the header of a video.

    Raises:
        UserError: PyAV is not installed.
    """
    av = import_optional("av", "video", f"{path}: to read a video")
    try:
        with av.open(str(path)) as container:
            stream = _video_stream(container)
            seconds = float(stream.duration * stream.time_base) if stream.duration else 0.0
            frames = max(1, stream.frames or round(seconds * float(stream.average_rate or 0)))
            width = _square_width(stream, stream.width)
            stored, shown = f"{stream.width}x{stream.height}", f"{width}x{stream.height}"
            rate = float(stream.average_rate or DEFAULT_RATE)
            stretched = "" if stored == shown else f"{stored} to {shown}"
            timed = not container.format.flags & av.format.Flags.no_timestamps.value
            states_rate = timed and bool(stream.average_rate)
            return VideoHeader(frames, rate, stretched, (stream.width, stream.height), states_rate)
    except (av.FFmpegError, OSError, ValueError):
        return VideoHeader()  # read_video will report the problem


def read_video(path: Path, rate: float | None = None) -> Iterator[Frame]:
    """Read the frames of a video file; those that cannot be decoded are left out, and counted at the end.

    Args:
        path: the file.
        rate: frames per second of a video without times; None: the file states them.

    Raises:
        UserError: PyAV is not installed, or the file is not a video. Or, at the end, some of its frames could
            not be decoded, or the file ends early.
    """
    av = import_optional("av", "video", f"{path}: to read a video")
    damage = _Damage()
    number = -1
    try:
        with av.open(str(path)) as container:
            for frame in _decode(container, damage, rate):
                yield frame
                number = frame.number
    except (av.FFmpegError, OSError, ValueError) as error:
        where = f" from frame {number + 1} on" if number >= 0 else ""
        raise UserError(f"{path}: not a readable video{where}: {first_line(error)}") from None
    if number < 0:
        raise UserError(f"{path}: not a readable video: {damage.reason or 'it has no frame'}")
    if damage.frames:
        count = f"{damage.frames} frames cannot be decoded, the first is"
        text = count if damage.frames > 1 else "1 frame cannot be decoded:"
        raise UserError(f"{path}: {text} frame {damage.first} ({damage.reason})")


def read_camera(camera: int) -> Iterator[Frame]:
    """Read the frames of a camera in real time; late frames are skipped.

    Raises:
        UserError: PyAV is not installed, or the camera cannot be read.
    """
    av = import_optional("av", "video", f"camera {camera}: to read a camera")
    if sys.platform not in _CAMERAS:
        raise UserError(
            f"camera {camera}: cameras are read on Linux and macOS only; record a video and give that"
        )
    name, input_format = _CAMERAS[sys.platform]
    try:
        with av.open(name.format(camera), format=input_format) as container:
            start = time.monotonic()
            for frame in _decode(container):
                if frame.seconds + _MAX_LAG >= time.monotonic() - start or frame.number == 0:
                    yield frame
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UserError(
            f"camera {camera}: cannot be read ({first_line(error)}); is it plugged in, and not in use? Its "
            "number is that of /dev/video*"
        ) from None


@dataclass
class _Damage:
    """The frames of a video that could not be decoded."""

    frames: int = 0
    first: int = 0
    """Number of the first of them."""
    reason: str = ""


def _decode(container: Any, damage: _Damage | None = None, rate: float | None = None) -> Iterator[Frame]:
    """Decode frames; one that cannot be decoded is added to ``damage``, or ends the video if that is None."""
    stream = _video_stream(container)
    stream.thread_type = "AUTO"
    first = None
    for number, frame in enumerate(_decode_each(container, stream, damage)):
        if frame is None:
            continue
        counted = number / (rate or float(stream.average_rate or DEFAULT_RATE))
        seconds = counted if rate or frame.time is None else frame.time
        first = seconds if first is None else first
        width = _square_width(stream, frame.width)
        square = frame if width == frame.width else frame.reformat(width=width, format="rgb24")
        pixels = np.rot90(square.to_ndarray(format="rgb24"), round(frame.rotation / 90))
        yield Frame(number, max(0.0, seconds - first), np.ascontiguousarray(pixels))


def _decode_each(container: Any, stream: Any, damage: _Damage | None) -> Iterator[Any]:
    """Yield PyAV's frames, and None for each that cannot be decoded.

    Raises:
        av.FFmpegError: the container is damaged; or a frame, if ``damage`` is None.
    """
    invalid_data = import_optional("av", "video", "to read a video").error.InvalidDataError
    number = 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except invalid_data as error:
            if damage is None:
                raise
            if not damage.frames:
                damage.first, damage.reason = number, first_line(error)
            damage.frames += 1
            frames = [None]
        yield from frames
        number += len(frames)


def _video_stream(container: Any) -> Any:
    """Return the first video stream; the cover image of a sound file is none.

    Raises:
        ValueError: the file has none.
    """
    for stream in container.streams.video:
        if not stream.disposition & type(stream.disposition).attached_pic:
            return stream
    raise ValueError("it has no video stream")


def _square_width(stream: Any, width: int) -> int:
    """Return the width at which a frame of this width is shown: with square pixels, at the same height."""
    aspect = stream.sample_aspect_ratio
    if not aspect or not 1 / _MAX_PIXEL_ASPECT <= aspect <= _MAX_PIXEL_ASPECT:
        return width
    return max(1, round(width * aspect))


@contextlib.contextmanager
def open_video(path: Path, size: tuple[int, int]) -> Iterator[Callable[[Image.Image, float], None]]:
    """Write an .mp4 (H.264) file atomically.

    Args:
        path: the file.
        size: (width, height) of its frames; an odd side is extended by a row or column.

    Yields:
        A function that appends a frame, given an image and its time in seconds.

    Raises:
        UserError: PyAV is not installed.
        OSError: the disk is full, for example.
    """
    av = import_optional("av", "video", f"{path}: to write a video")
    width, height = size
    with open_atomic(path) as stream, _writing_errors(av), av.open(stream, "w", format="mp4") as container:
        track = container.add_stream(
            "libx264", rate=DEFAULT_RATE, options={"crf": "20", "preset": "veryfast"}
        )
        track.width, track.height, track.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        track.codec_context.time_base = Fraction(1, _TICKS_PER_SECOND)
        last = -1

        def append(image: Image.Image, seconds: float) -> None:
            nonlocal last
            if image.size != size:  # the size of a video's frames can change
                image = image.resize(size)
            pixels = np.pad(np.asarray(image), ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            last = max(last + 1, round(seconds * _TICKS_PER_SECOND))
            frame.pts, frame.time_base = last, Fraction(1, _TICKS_PER_SECOND)
            container.mux(track.encode(frame))

        yield append
        container.mux(track.encode(None))


@contextlib.contextmanager
def _writing_errors(av: Any) -> Iterator[None]:
    """Raise the OSError of a failed write, not the FFmpegError with which closing the file then fails."""
    try:
        yield
    except av.FFmpegError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise
