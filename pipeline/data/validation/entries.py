"""The rules for the categories and images of a COCO instances file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.data.images import bad_file_name
from pipeline.data.validation.image_files import image_file_faults
from pipeline.data.validation.rules import WARNING, Fault, Index, Rule, broken
from pipeline.data.values import is_int, is_size, short

# ------------------------------------------------------------------------------ categories


def _category_id(c: dict[str, Any], index: Index) -> str | None:
    sound = is_int(c.get("id")) and c["id"] >= 0
    return None if sound else f"category {short(c.get('name'))} has the id {short(c.get('id'))}"


def _category_id_zero(c: dict[str, Any], index: Index) -> str | None:
    zero = is_int(c.get("id")) and c["id"] == 0
    return f"category {short(c.get('name'))} has the id 0" if zero else None


def _category_id_duplicate(c: dict[str, Any], index: Index) -> str | None:
    double = is_int(c.get("id")) and index.category_ids[c["id"]] > 1
    return f"category {short(c.get('name'))} shares the id {c['id']}" if double else None


def _category_name(c: dict[str, Any], index: Index) -> str | None:
    sound = isinstance(c.get("name"), str) and c["name"].strip()
    return None if sound else f"category {short(c.get('id'))} has the name {short(c.get('name'))}"


def _category_name_duplicate(c: dict[str, Any], index: Index) -> str | None:
    double = isinstance(c.get("name"), str) and index.category_names[c["name"]] > 1
    return f"category {short(c.get('id'))} shares the name {short(c['name'])}" if double else None


CATEGORY_RULES = (
    Rule("category-id", _category_id, "give it an integer from 1 up"),
    Rule(
        "category-id-zero", _category_id_zero, "number from 1: label 0 is torchvision's background", WARNING
    ),
    Rule("category-id-duplicate", _category_id_duplicate, "give every category an id of its own"),
    Rule("category-name", _category_name, "give it a name"),
    Rule("category-name-duplicate", _category_name_duplicate, "merge the two, or rename one"),
)


# ------------------------------------------------------------------------------ images


def image_faults(image: dict[str, Any], index: Index, images: Path | None) -> Iterator[Fault]:
    """Yield every fault of one image; of its file too, if ``images`` says where that lies."""
    yield from broken(IMAGE_RULES, image, index, image_id=image.get("id"))
    if images is not None and isinstance(image.get("file_name"), str) and image["file_name"]:
        yield from image_file_faults(image, images)


def _image_id(i: dict[str, Any], index: Index) -> str | None:
    return (
        None if is_int(i.get("id")) else f"image {short(i.get('file_name'))} has the id {short(i.get('id'))}"
    )


def _image_id_duplicate(i: dict[str, Any], index: Index) -> str | None:
    double = is_int(i.get("id")) and index.image_ids[i["id"]] > 1
    return f"{index.image_ids[i['id']]} images have the id {i['id']}" if double else None


def _image_size(i: dict[str, Any], index: Index) -> str | None:
    return None if is_size(i) else f"width {short(i.get('width'))}, height {short(i.get('height'))}"


def _file_name(i: dict[str, Any], index: Index) -> str | None:
    sound = isinstance(i.get("file_name"), str) and i["file_name"]
    return None if sound else f"file_name is {short(i.get('file_name'))}"


def _file_name_path(i: dict[str, Any], index: Index) -> str | None:
    reason = bad_file_name(i["file_name"]) if isinstance(i.get("file_name"), str) else None
    return f"file_name {short(i['file_name'])}: {reason}" if reason else None


def _file_name_duplicate(i: dict[str, Any], index: Index) -> str | None:
    double = isinstance(i.get("file_name"), str) and index.file_names[i["file_name"]] > 1
    return f"file_name {short(i['file_name'])} is used more than once" if double else None


IMAGE_RULES = (
    Rule("image-id", _image_id, "give it an integer"),
    Rule("image-id-duplicate", _image_id_duplicate, "give every image an id of its own"),
    Rule("image-size", _image_size, "write width and height of the picture, in whole pixels"),
    Rule("file-name", _file_name, "write the file's path, relative to the image folder"),
    Rule("file-name-path", _file_name_path, "write a path below the image folder, with '/'"),
    Rule("file-name-duplicate", _file_name_duplicate, "merge the entries of one picture", WARNING),
)
