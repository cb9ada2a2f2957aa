"""Find the images and videos to predict (files, folders and patterns), and name their drawings."""

from __future__ import annotations

import glob
from pathlib import Path

from blender.contract import UserError
from pipeline.data.images import IMAGE_SUFFIXES
from pipeline.inference.video import VIDEO_SUFFIXES, is_video

JPEG_SUFFIXES = (".jpg", ".jpeg")
_WILDCARDS = frozenset("*?[")


def find_sources(paths: tuple[Path, ...]) -> list[Path]:
    """List the images and videos that ``paths`` name.

    A folder stands for the images directly in it, sorted by name. A path that does not exist but contains a
    wildcard (``*``, ``**``, ``?``, ``[...]``) stands for the images and videos that match it.

    Raises:
        UserError: a path does not exist, a folder or pattern has no image, or ``paths`` is empty.
    """
    sources: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [p for p in sorted(path.iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]
            if not inside:
                raise UserError(f"{path}: no image in this folder ({', '.join(IMAGE_SUFFIXES)})")
            sources += inside
        elif path.is_file():
            sources.append(path)
        elif _WILDCARDS & set(str(path)):
            sources += _match_pattern(path)
        else:
            raise UserError(f"{path}: no such image or folder")
    if not sources:
        raise UserError("no image given; name image files, videos, folders or patterns of them")
    return sources


def find_images(paths: tuple[Path, ...]) -> list[Path]:
    """List the images that ``paths`` name, as ``find_sources`` does.

    Raises:
        UserError: as in ``find_sources``, or a path names a video.
    """
    sources = find_sources(paths)
    for path in sources:
        if is_video(path):
            raise UserError(f"{path}: a video; only images can be used here")
    return sources


def _match_pattern(pattern: Path) -> list[Path]:
    suffixes = (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)
    paths = [Path(name) for name in sorted(glob.glob(str(pattern), recursive=True))]  # noqa: PTH207
    sources = [path for path in paths if path.suffix.lower() in suffixes and path.is_file()]
    if not sources:
        raise UserError(f"{pattern}: no image or video matches this pattern")
    return sources


def name_drawings(sources: list[Path], out: Path) -> list[str]:
    """Choose a file name in ``out`` for the drawing of each source; all names differ, even if case is
    ignored.

    Raises:
        UserError: a drawing would replace the image that it is drawn from.
    """
    names: list[str] = []
    used: set[str] = set()
    copies: dict[str, int] = {}
    for source in sources:
        plain = f"{source.stem}{_drawing_suffix(source)}"
        name = plain
        while name.lower() in used:
            copies[plain.lower()] = copies.get(plain.lower(), 1) + 1
            name = f"{source.stem}-{copies[plain.lower()]}{_drawing_suffix(source)}"
        names.append(name)
        used.add(name.lower())
    inputs = {source.resolve() for source in sources}
    clash = next((name for name in names if (out / name).resolve() in inputs), None)
    if clash:
        raise UserError(f"{out / clash}: the drawing would replace the image itself; give another --out")
    return names


def _drawing_suffix(source: Path) -> str:
    suffix = source.suffix.lower()
    if is_video(source):
        return ".mp4"
    return suffix if suffix in (*JPEG_SUFFIXES, ".png") else ".png"
