"""Rules for the images of a COCO file, and for the image files that they name.

The check of an IMAGE rule takes an image and the ``Context``, that of an IMAGE_FILE rule an image and its
``ImageFile``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from blender.contract import UserError
from pipeline.data.exif import Orientation, read_orientation
from pipeline.data.images import format_size, is_file, is_inside, open_image, unsafe_path_reason
from pipeline.data.validation.file_search import NO_MATCH, Match
from pipeline.data.validation.rules import (
    IMAGE,
    IMAGE_FILE,
    WARNING,
    Change,
    Context,
    Entry,
    Problem,
    broken_rules,
    fix_entry,
    make_context,
    move_references,
    remove,
    rule,
)
from pipeline.data.values import has_valid_size, is_text, short_repr, to_int

SIZE, PIXELS = 1, 2
"""Fix stages: the size is read from the file once ``file_name`` is fixed, then the file is checked."""
_FILES_STAY = "image files are not changed"
_NO_ORIENTATION = Orientation(1, (0, 0), (0, 0))
"""Orientation of a file that was not read."""


def image_problems(image: Entry, context: Context) -> Iterator[Problem]:
    """Yield every problem of an image, and of its file if the context has a folder."""
    yield from broken_rules(IMAGE, image, context, image_id=image.get("id"))
    name, files = image.get("file_name"), context.files
    if files is not None and isinstance(name, str) and name and not unsafe_path_reason(name):
        file = inspect_image_file(files.folder, name)
        if file.missing:
            file = replace(file, match=files.match(name))
        yield from broken_rules(IMAGE_FILE, image, file, image_id=image.get("id"))


def fix_images(dataset: Entry, folder: Path | None, changes: list[Change]) -> Entry:
    """Fix the images, merge the entries of the same file, and update the annotations' ids."""
    context = make_context(dataset, folder)
    moved: dict[int, int] = {}
    images: list[Entry] = []
    by_name: dict[str, Entry] = {}
    for image in dataset["images"]:
        fixed = fix_entry(image, "image", lambda i: image_problems(i, context), context, changes)
        if fixed is None:
            continue
        first = by_name.setdefault(fixed["file_name"], fixed)
        if first is fixed:
            images.append(fixed)
            continue
        same_size = all(first.get(key) == fixed.get(key) for key in ("width", "height"))
        place = f"image {short_repr(image['id'])}"
        changes.append(Change("file-name-duplicate", place, removed=not same_size))
        if same_size and fixed["id"] != first["id"]:
            moved[fixed["id"]] = first["id"]
    annotations = move_references(dataset["annotations"], "image_id", moved)
    return dataset | {"images": images, "annotations": annotations}


# ------------------------------------------------------------------------------ entries


def _to_integer_size(image: Entry, context: Context) -> Entry | None:
    """Convert width and height to integers, or read them from the file."""
    size = {key: to_int(image.get(key)) for key in ("width", "height")}
    if has_valid_size(size):
        return image | size
    name, files = image.get("file_name"), context.files
    if files is None or not isinstance(name, str):
        return None
    if unsafe_path_reason(name) or not is_file(files.folder / name):
        return image if files.match(name).files else None  # a problem of the name, which stays
    try:
        with open_image(files.folder / name) as opened:
            width, height = read_orientation(opened).stored_size
    except UserError:
        return None
    return image | {"width": width, "height": height}


def _find_file(image: Entry, context: Context) -> Entry | None:
    """Replace ``file_name`` by the file that fits it; leave it if several do, remove the image if none does.

    Without a folder, use the complete path if it is relative, else only its last part.
    """
    if context.files is not None:
        match = context.files.match(image["file_name"])
        if match.file is not None:
            return image | {"file_name": match.file}
        return image if match.files else None
    parts = PurePosixPath(image["file_name"].replace("\\", "/")).parts
    tails = [str(PurePosixPath(*parts[start:])) for start in range(len(parts))]
    safe = [tail for tail in tails if not unsafe_path_reason(tail)]
    return image | {"file_name": safe[0 if safe == tails else -1]} if safe else None


@rule(
    "image-size",
    IMAGE,
    advice="write width and height of the image in pixels, as integers",
    fix=_to_integer_size,
    fix_stage=SIZE,
)
def _image_size(i: Entry, context: Context) -> str | None:
    if has_valid_size(i):
        return None
    return f"width {short_repr(i.get('width'))}, height {short_repr(i.get('height'))}"


def _remove_unnamed(image: Entry, context: Context) -> Entry | None:
    """Remove an image without a name. A name that is not Unicode stays: its file must be renamed."""
    return image if isinstance(image.get("file_name"), str) and image["file_name"] else None


@rule(
    "file-name",
    IMAGE,
    advice="write the file's path, relative to the image folder, in Unicode",
    fix=_remove_unnamed,
)
def _file_name(i: Entry, context: Context) -> str | None:
    if is_text(i.get("file_name")) and i["file_name"]:
        return None
    return f"file_name is {short_repr(i.get('file_name'))}"


@rule("file-name-path", IMAGE, advice="write a path below the image folder, with '/'", fix=_find_file)
def _file_name_path(i: Entry, context: Context) -> str | None:
    reason = unsafe_path_reason(i["file_name"]) if isinstance(i.get("file_name"), str) else None
    return f"file_name {short_repr(i['file_name'])}: {reason}" if reason else None


@rule(
    "file-name-duplicate",
    IMAGE,
    severity=WARNING,
    advice="merge the entries of the same file",
    dataset_fix=fix_images,
)
def _file_name_duplicate(i: Entry, context: Context) -> str | None:
    duplicate = isinstance(i.get("file_name"), str) and context.file_names[i["file_name"]] > 1
    return f"file_name {short_repr(i['file_name'])} is used more than once" if duplicate else None


# ------------------------------------------------------------------------------ files


@dataclass(frozen=True)
class ImageFile:
    """An image file as read: its size and pixel format, or the reason why it cannot be read."""

    path: Path
    outside: bool = False
    """A symlink leads out of the folder."""
    missing: bool = False
    match: Match = NO_MATCH
    """Files that the name of a missing file fits."""
    error: str = ""
    """A message that says why it cannot be read, or ""."""
    orientation: Orientation = _NO_ORIENTATION
    """Its EXIF orientation and its size."""
    mode: str = ""
    """Pillow's name for the pixel format; "" if the file was not read."""

    @property
    def readable(self) -> bool:
        """Whether the image was read to its end."""
        return self.mode != ""


def inspect_image_file(folder: Path, name: str) -> ImageFile:
    """Read an image file; ``name`` must be a safe path (see ``unsafe_path_reason``)."""
    path = folder / name
    if not is_inside(folder, path):
        return ImageFile(path, outside=True)
    if not is_file(path):
        return ImageFile(path, missing=True)
    try:
        with open_image(path) as opened:
            orientation, mode = read_orientation(opened), opened.mode
            opened.draft("L", (1, 1))  # faster: a JPEG is read to its end, but at an eighth of its size
            opened.load()
    except UserError as error:
        return ImageFile(path, error=str(error))
    return ImageFile(path, orientation=orientation, mode=mode)


@rule("file-outside", IMAGE_FILE, advice="copy the image into the folder", fix=remove, fix_stage=PIXELS)
def _file_outside(i: Entry, file: ImageFile) -> str | None:
    return f"{file.path} is a symlink out of the folder" if file.outside else None


@rule("file-missing", IMAGE_FILE, advice="correct file_name, or copy the file there", fix=_find_file)
def _file_missing(i: Entry, file: ImageFile) -> str | None:
    found = f"; {file.match}" if file.match.files else ""
    return f"no file {file.path}{found}" if file.missing else None


@rule("file-unreadable", IMAGE_FILE, advice="download or export it again", fix=remove, fix_stage=PIXELS)
def _file_unreadable(i: Entry, file: ImageFile) -> str | None:
    return file.error or None


@rule("file-size", IMAGE_FILE, advice="correct width and height", fix=remove, fix_stage=PIXELS)
def _file_size(i: Entry, file: ImageFile) -> str | None:
    size, stored = (i.get("width"), i.get("height")), file.orientation.stored_size
    if not file.readable or size in (stored, file.orientation.upright_size):
        return None
    return f"{file.path} is {format_size(stored)}, not {size[0]}x{size[1]}"


@rule(
    "file-exif-rotated",
    IMAGE_FILE,
    severity=WARNING,
    advice="turn the pixels themselves (exiftran, mogrify -auto-orient) and check the masks",
    not_fixable=_FILES_STAY,
)
def _file_exif_rotated(i: Entry, file: ImageFile) -> str | None:
    if not file.orientation.is_turned or _is_exif_ambiguous(i, file):
        return None
    return f"{file.path} has an EXIF orientation, so viewers turn it"


@rule(
    "file-exif-ambiguous",
    IMAGE_FILE,
    severity=WARNING,
    advice="turn the pixels themselves, or give every command --exif stored or --exif upright",
    not_fixable=_FILES_STAY,
)
def _file_exif_ambiguous(i: Entry, file: ImageFile) -> str | None:
    if not _is_exif_ambiguous(i, file):
        return None
    return (
        f"{file.path} has the EXIF orientation {file.orientation.number}, and its size does not tell whether "
        "the annotations refer to the stored or to the upright image"
    )


def _is_exif_ambiguous(image: Entry, file: ImageFile) -> bool:
    return file.orientation.is_ambiguous((image.get("width", 0), image.get("height", 0)))


@rule("file-mode", IMAGE_FILE, severity=WARNING, advice="convert it to RGB", not_fixable=_FILES_STAY)
def _file_mode(i: Entry, file: ImageFile) -> str | None:
    return f"{file.path} is of mode {file.mode}, not RGB" if file.readable and file.mode != "RGB" else None
