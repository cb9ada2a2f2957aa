"""Check a COCO instances file, anybody's: every fault with its place, its rule and its cure."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from blender.contract import UserError
from pipeline.annotation_rules import annotation_faults
from pipeline.coco import read_coco
from pipeline.faults import ERROR, WARNING, Fault, Index, Rule, broken, is_int, is_size, make_index, short
from pipeline.image_files import bad_file_name, image_file_faults

_LISTS = ("images", "annotations", "categories")


def validate_file(file: Path, images: Path | None) -> bool:
    """Print every fault of a COCO file, one a line, and a last line that counts them.

    Args:
        images: the folder that ``file_name`` is relative to; None leaves the files unchecked.

    Returns:
        True if the file is unusable: a fault is an error, not just a warning.

    Raises:
        UserError: ``file`` or ``images`` does not exist.
    """
    if images is not None and not images.is_dir():
        raise UserError(f"{images}: no such folder; --images is where the file_name entries lie")
    severities: Counter[str] = Counter()
    dataset, unreadable = _load(file)
    for fault in [unreadable] if unreadable else find_faults(dataset, images):
        click.echo(str(fault))
        severities[fault.severity] += 1
    sizes = [
        len(dataset[key]) if isinstance(dataset, dict) and _is_list(dataset, key) else 0 for key in _LISTS
    ]
    click.echo(
        f"{file}: {severities[ERROR]} errors, {severities[WARNING]} warnings in {sizes[0]} images, "
        f"{sizes[1]} annotations, {sizes[2]} categories"
    )
    return severities[ERROR] > 0


def repair_file(file: Path, images: Path | None, out: Path) -> None:
    """Write a repaired copy of a COCO file to ``out`` and print what was changed.

    Raises:
        UserError: ``file`` or ``images`` does not exist, or the file is beyond repair.
    """
    from pipeline.repair import write_repaired

    if images is not None and not images.is_dir():
        raise UserError(f"{images}: no such folder; --images is where the file_name entries lie")
    dataset, unreadable = _load(file)
    if unreadable:
        raise UserError(f"{file}: {unreadable.message}; {unreadable.cure}")
    write_repaired(file, out, dataset, images)


def find_faults(dataset: Any, images: Path | None = None) -> Iterator[Fault]:
    """Yield every fault of a parsed COCO file, which is not changed.

    Args:
        dataset: any JSON value.
        images: check the image files in this folder too.
    """
    missing = list(_list_faults(dataset))
    yield from missing
    if missing:
        return
    index = make_index(dataset)
    yield from _emptiness(dataset)
    for category in dataset["categories"]:
        yield from _entry_faults("category", category) or broken(CATEGORY_RULES, category, index)
    for image in dataset["images"]:
        yield from _entry_faults("image", image) or _image_faults(image, index, images)
    for annotation in dataset["annotations"]:
        yield from _entry_faults("annotation", annotation) or annotation_faults(annotation, index)
    yield from _whole_faults(dataset, index)


def _load(file: Path) -> tuple[Any, Fault | None]:
    try:
        return json.loads(file.read_bytes()), None
    except FileNotFoundError:
        raise UserError(f"{file}: no such file") from None
    except (ValueError, RecursionError) as error:
        cure = "export it again; is it JSON, UTF-8 and whole?"
        return None, Fault("not-json", f"not readable as JSON: {error}", cure=cure)


def _is_list(dataset: dict[str, Any], key: str) -> bool:
    return isinstance(dataset.get(key), list)


# ------------------------------------------------------------------------------ the whole


def _list_faults(dataset: Any) -> Iterator[Fault]:
    cure = "give an instances file: an object with images, annotations and categories"
    if not isinstance(dataset, dict):
        yield Fault("not-an-object", f"the top level is {type(dataset).__name__}, not an object", cure=cure)
        return
    for key in _LISTS:
        if not _is_list(dataset, key):
            what = f"'{key}' is {short(dataset[key])}, not a list" if key in dataset else f"no list '{key}'"
            yield Fault("list-missing", what, cure=cure)


def _emptiness(dataset: dict[str, Any]) -> Iterator[Fault]:
    if not dataset["images"]:
        yield Fault("no-images", "the list of images is empty", cure="export the images too")
    if not dataset["categories"]:
        yield Fault("no-categories", "the list of categories is empty", cure="export the categories too")
    if not dataset["annotations"]:
        yield Fault(
            "no-annotations", "no image is annotated", cure="export the annotations", severity=WARNING
        )


def _entry_faults(kind: str, entry: Any) -> list[Fault]:
    if isinstance(entry, dict):
        return []
    return [Fault(f"{kind}-type", f"an entry is {short(entry)}, not an object", cure="remove the entry")]


def _whole_faults(dataset: dict[str, Any], index: Index) -> Iterator[Fault]:
    """What only shows over all annotations: copies, and classes of nothing but ignore regions."""
    seen: dict[tuple[Any, ...], Any] = {}
    crowds: defaultdict[int, set[Any]] = defaultdict(set)
    for a in dataset["annotations"]:
        if not isinstance(a, dict) or not is_int(a.get("category_id")) or not is_int(a.get("image_id")):
            continue
        crowds[a["category_id"]].add(a.get("iscrowd") == 1)
        key = (a["image_id"], a["category_id"], hash(repr(a.get("segmentation"))), repr(a.get("bbox")))
        if key in seen:
            text = f"the same object as annotation {short(seen[key])}"
            place = (a["image_id"], a.get("id"))
            yield Fault("annotation-copy", text, *place, cure="remove one of the two", severity=WARNING)
        seen.setdefault(key, a.get("id"))
    for category_id, values in crowds.items():
        if values == {True}:
            name = short(index.categories.get(category_id, {}).get("name"))
            text = f"every annotation of category {name} has iscrowd 1, so that nothing is measured"
            yield Fault("all-crowd", text, cure="iscrowd 1 means 'ignore': write 0", severity=WARNING)


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


def _image_faults(image: dict[str, Any], index: Index, images: Path | None) -> Iterator[Fault]:
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


def read_sound_coco(path: Path) -> dict[str, Any]:
    """Read a COCO instances file in which nothing is wrong that would spoil training or make figures lie.

    Raises:
        UserError: missing, no COCO file, without images, or faulty; names the first fault.
    """
    table = read_coco(path)
    faults = [fault for fault in find_faults(table) if fault.severity == ERROR]
    if faults:
        raise UserError(
            f"{path}: {len(faults)} errors, the first: {faults[0].rule}: {faults[0].message}; "
            f"see all with 'transpalette validate {path}'"
        )
    if not table["images"]:
        raise UserError(f"{path}: has no images")
    return table
