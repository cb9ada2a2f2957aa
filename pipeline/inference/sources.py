"""Find the images and videos to predict: files, folders and patterns."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from blender.contract import UserError
from pipeline.data.images import (
    HEIC_ADVICE,
    HEIC_SUFFIXES,
    IMAGE_SUFFIXES,
    RAW_SUFFIXES,
    identify_image,
    is_file,
    is_heic,
)
from pipeline.inference.video import is_readable_video

VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".m2v", ".wmv", ".asf", ".ts", ".mts",
    ".m2ts", ".3gp", ".3g2", ".flv", ".f4v", ".ogv", ".mjpeg", ".mjpg", ".vob", ".dv", ".mxf", ".divx",
    ".y4m", ".h264", ".264", ".hevc", ".h265", ".265",
)  # fmt: skip
_UNNAMED_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000")
"""Pillow's names of the formats that are recognised in files of a folder whatever their extension."""
_WILDCARDS = frozenset("*?[")
_ADVICE = (
    dict.fromkeys(HEIC_SUFFIXES, HEIC_ADVICE)
    | dict.fromkeys(RAW_SUFFIXES, "export as JPEG")
    | dict.fromkeys(VIDEO_SUFFIXES, "give by name")
    | {"folder": "give 'FOLDER/**'"}
)
"""What to do about files that are left out, by their extension."""


@dataclass(frozen=True)
class Source:
    """An image or a video to predict."""

    path: Path
    is_video: bool
    file_name: str
    """Its name in the results; with as many of its folders as make it differ from the other sources."""
    frames: tuple[tuple[int, Path], ...] = ()
    """The number and the file of each frame, if numbered images of the folder ``path`` are the video."""


@dataclass
class Sources:
    """The images and videos that a user has named, and what their folders and patterns also have."""

    sources: list[Source]
    left_out: Counter[str] = field(default_factory=Counter)
    """Number of the other files by extension, and of "dead link" and "folder"."""

    def describe_left_out(self) -> str:
        """Return for example "2 .heic (export as JPEG), 1 .mp4 (give by name)"; "" if nothing is left out."""
        parts = []
        for kind, count in sorted(self.left_out.items(), key=lambda item: (-item[1], item[0])):
            plural = "s" if count > 1 and not kind.startswith(".") else ""
            advice = f" ({_ADVICE[kind]})" if kind in _ADVICE else ""
            parts.append(f"{count} {kind}{plural}{advice}")
        return ", ".join(parts)


def find_sources(paths: tuple[Path, ...]) -> Sources:
    """List the images and videos that ``paths`` name, each once.

    A folder stands for the images directly in it, sorted by name. A path that does not exist but contains a
    wildcard (``*``, ``**``, ``?``, ``[...]``) stands for the images and videos that match it. A file that is
    named itself is an image or a video by its content.

    Raises:
        UserError: a path does not exist, a folder or pattern has no image, or ``paths`` is empty.
    """
    found: dict[str, tuple[Path, bool]] = {}
    left_out: Counter[str] = Counter()
    for path in paths:
        if path.is_dir():
            chosen = _images_of_folder(path, left_out)
        elif path.is_file():
            chosen = [(path, _is_video(path))]
        elif re.match(r"[a-z][a-z0-9+.-]+:/", str(path)):
            raise UserError(
                f"{str(path).replace(':/', '://', 1)}: a URL; download the file and give its path"
            )
        elif _WILDCARDS & set(str(path)):
            chosen = _matches(path, left_out)
        elif path.is_symlink():
            raise UserError(f"{path}: a dead link; give the image itself")
        else:
            raise UserError(f"{path}: no such image or folder")
        for source, is_video in chosen:
            found.setdefault(os.path.abspath(source), (source, is_video))  # noqa: PTH100 (keeps symlinks)
    if not found:
        raise UserError("no image given; name image files, videos, folders or patterns of them")
    names = distinct_names([Path(path) for path in found])
    sources = [Source(*source, name) for source, name in zip(found.values(), names, strict=True)]
    return Sources(sources, left_out)


def find_images(paths: tuple[Path, ...]) -> list[Path]:
    """List the images that ``paths`` name, as ``find_sources`` does.

    Raises:
        UserError: as in ``find_sources``, or a path names a video.
    """
    sources = find_sources(paths).sources
    for source in sources:
        if source.is_video:
            raise UserError(f"{source.path}: a video; only images can be used here")
    return [source.path for source in sources]


def _images_of_folder(folder: Path, left_out: Counter[str]) -> list[tuple[Path, bool]]:
    images, others = _select(sorted(folder.iterdir()), IMAGE_SUFFIXES)
    left_out.update(others)
    if not images:
        rest = Sources([], others).describe_left_out()
        raise UserError(
            f"{folder}: no image in this folder ({', '.join(IMAGE_SUFFIXES)})"
            + (f"; it has {rest}" if rest else "")
        )
    return [(path, False) for path in images]


def _matches(pattern: Path, left_out: Counter[str]) -> list[tuple[Path, bool]]:
    sources, others = _select(sorted(_expand(pattern)), IMAGE_SUFFIXES + VIDEO_SUFFIXES)
    del others["folder"]
    left_out.update(others)
    if not sources:
        raise UserError(f"{pattern}: no image or video matches this pattern")
    return [(path, _is_video(path)) for path in sources]


def _expand(pattern: Path) -> set[Path]:
    """Return what a pattern matches; brackets also match themselves, as in the folder "photos [2024]"."""
    choices = [{part, part.replace("[", "[[]")} for part in pattern.parts]
    patterns = [str(Path(*parts)) for parts in itertools.product(*choices)]
    return {Path(name) for pattern in patterns for name in glob.glob(pattern, recursive=True)}  # noqa: PTH207


def _select(paths: list[Path], suffixes: tuple[str, ...]) -> tuple[list[Path], Counter[str]]:
    """Return the files with one of these extensions, or with an image inside, and count the others."""
    chosen: list[Path] = []
    others: Counter[str] = Counter()
    for path in paths:
        suffix = path.suffix.lower()
        if path.name.startswith("._"):
            continue  # macOS writes such a file of attributes next to each file on foreign disks
        if path.is_symlink() and not path.exists():
            others["dead link"] += 1
        elif path.is_dir():
            others["folder"] += not path.name.startswith(".")
        elif not is_file(path):
            others["special file"] += 1
        elif suffix in suffixes or (suffix not in _ADVICE and identify_image(path, _UNNAMED_FORMATS)):
            chosen.append(path)
        elif not path.name.startswith("."):
            others[suffix or "file without extension"] += 1
    return chosen, +others


def _is_video(path: Path) -> bool:
    """Return whether a file is a video: by its extension, else by its content."""
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return True
    return not identify_image(path) and not is_heic(path) and is_readable_video(path)


def distinct_names(paths: list[Path]) -> list[str]:
    """Return the names of files, and of equal ones so much of the path that they differ."""
    names: dict[Path, str] = {}
    left = paths
    for length in itertools.count(1):
        tails = {path: "/".join(path.parts[-length:]) for path in left}
        counts = Counter(tails.values())
        names |= {path: tail for path, tail in tails.items() if counts[tail] == 1}
        left = [path for path in left if path not in names]
        if not left:
            break
    return [names[path] for path in paths]
