"""What there is to look at: files, folders of them, patterns, and the names of their drawings."""

from __future__ import annotations

import glob
from pathlib import Path

from blender.contract import UserError
from pipeline.data.images import IMAGE_SUFFIXES
from pipeline.inference.video import VIDEO_SUFFIXES, is_video

JPEG = (".jpg", ".jpeg")
_WILD = frozenset("*?[")


def find_sources(named: tuple[Path, ...]) -> list[Path]:
    """The pictures and videos in ``named``: a file is itself, a folder the pictures directly in it, by name.

    What is no path but has a * (or **, ?, [...]) stands for the pictures and videos that it fits.

    Raises:
        UserError: a path does not exist, a folder or a pattern has no picture, or nothing was given.
    """
    found: list[Path] = []
    for path in named:
        if path.is_dir():
            inside = [p for p in sorted(path.iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]
            if not inside:
                raise UserError(f"{path}: no image in this folder ({', '.join(IMAGE_SUFFIXES)})")
            found += inside
        elif path.is_file():
            found.append(path)
        elif _WILD & set(str(path)):
            found += _fitting(path)
        else:
            raise UserError(f"{path}: no such image or folder")
    if not found:
        raise UserError("no image given; name image files, videos, folders or patterns of them")
    return found


def find_pictures(named: tuple[Path, ...]) -> list[Path]:
    """The same where a video is of no use.

    Raises:
        UserError: as ``find_sources``, or a video is among them.
    """
    found = find_sources(named)
    for path in found:
        if is_video(path):
            raise UserError(f"{path}: a video; pictures are wanted here")
    return found


def _fitting(pattern: Path) -> list[Path]:
    suffixes = (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)
    paths = [Path(name) for name in sorted(glob.glob(str(pattern), recursive=True))]  # noqa: PTH207
    found = [path for path in paths if path.suffix.lower() in suffixes and path.is_file()]
    if not found:
        raise UserError(f"{pattern}: no image or video fits this pattern")
    return found


def drawn_names(sources: list[Path], out: Path) -> list[str]:
    """A name in ``out`` for each drawing, no two the same even where case does not count.

    Raises:
        UserError: a drawing would replace what it is drawn from.
    """
    names: list[str] = []
    taken: set[str] = set()
    copies: dict[str, int] = {}
    for source in sources:
        plain = f"{source.stem}{_drawn_suffix(source)}"
        name = plain
        while name.lower() in taken:
            copies[plain.lower()] = copies.get(plain.lower(), 1) + 1
            name = f"{source.stem}-{copies[plain.lower()]}{_drawn_suffix(source)}"
        names.append(name)
        taken.add(name.lower())
    inputs = {source.resolve() for source in sources}
    clash = next((name for name in names if (out / name).resolve() in inputs), None)
    if clash:
        raise UserError(f"{out / clash}: the drawing would replace the image itself; give another --out")
    return names


def _drawn_suffix(source: Path) -> str:
    suffix = source.suffix.lower()
    if is_video(source):
        return ".mp4"
    return suffix if suffix in (*JPEG, ".png") else ".png"
