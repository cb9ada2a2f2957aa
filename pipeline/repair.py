"""Repair a COCO instances file, anybody's: what can be known is written anew, what can't is left out.

The mask is believed first; boxes, areas and counts follow from it. Nothing is guessed: an object without a
sound mask, of an unknown class or in an unknown picture is removed, and said to be.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
from pycocotools import mask as mask_utils

from blender.contract import UserError, write_atomic
from pipeline.annotation_rules import annotation_faults
from pipeline.faults import Index, is_int, is_number, is_size, make_index, short
from pipeline.image_files import bad_file_name, find_image, sizes_of
from pipeline.mask_rules import read_mask

Entry = dict[str, Any]
MOST_ROUNDS = 24
"""An annotation that still has faults after so many repairs is removed; each repair ends one fault."""


@dataclass
class Changes:
    """What was changed, by rule: how often, and where first."""

    found: dict[str, list[str]] = field(default_factory=dict)

    def note(self, rule: str, what: str, place: Any) -> None:
        """Count one change."""
        self.found.setdefault(f"{rule}: {what}", []).append(short(place))

    def lines(self) -> Iterator[str]:
        """One line for each kind of change."""
        for what, places in self.found.items():
            first = ", ".join(places[:5]) + (", ..." if len(places) > 5 else "")
            yield f"fixed: {what}: {len(places)} (id {first})"


def write_repaired(file: Path, out: Path, dataset: Any, images: Path | None) -> None:
    """Write a repaired copy of ``file`` to ``out`` and say what was changed.

    Raises:
        UserError: ``out`` is the input, or there is nothing to repair from.
    """
    if out.exists() and out.samefile(file):
        raise UserError(f"{out}: is the input, which is never changed; give --fix another name")
    try:
        repaired, changes = repair(dataset, images)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    if not repaired["images"] or not repaired["categories"]:
        what = "image" if not repaired["images"] else "category"
        raise UserError(f"{file}: cannot be repaired: no sound {what} is left; export it again")
    write_atomic(out, json.dumps(repaired, allow_nan=False).encode())
    for line in changes.lines():
        click.echo(line)
    click.echo(
        f"{out}: written, {len(repaired['images'])} images, {len(repaired['annotations'])} annotations, "
        f"{len(repaired['categories'])} categories"
    )


def repair(dataset: Any, images: Path | None = None) -> tuple[dict[str, Any], Changes]:
    """Give a sound copy of a parsed COCO file, and what was changed in it; ``dataset`` stays as it is.

    Args:
        images: where the pictures lie; sizes that are wrong or missing are read from them.

    Raises:
        UserError: it has no lists of images, annotations and categories.
    """
    if not isinstance(dataset, dict) or not all(
        isinstance(dataset.get(key), list) for key in ("images", "annotations", "categories")
    ):
        raise UserError("cannot be repaired: no lists of images, annotations and categories; export it again")
    out, changes = copy.deepcopy(dataset), Changes()
    for key in ("images", "annotations", "categories"):
        for entry in out[key]:
            if not isinstance(entry, dict):
                changes.note(f"{key}-type", "entry removed", entry)
        out[key] = [entry for entry in out[key] if isinstance(entry, dict)]
    classes = _repair_categories(out, changes)
    pictures = _repair_images(out, images, changes)
    _renumber(out["annotations"], "annotation", changes)
    index = make_index(out)
    for annotation in out["annotations"]:
        for key, same in (("category_id", classes), ("image_id", pictures)):
            if is_int(annotation.get(key)) and annotation[key] in same:
                annotation[key] = same[annotation[key]]
    kept = [a for a in out["annotations"] if _repair_annotation(a, index, changes)]
    out["annotations"] = _without_copies(kept, changes)
    _no_class_of_crowds(out, changes)
    return _plain(out), changes


def _plain(value: Any) -> Any:
    """Without the numbers that JSON lacks."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if not isinstance(value, float) or np.isfinite(value) else None


# ------------------------------------------------------------------------------ ids, classes, pictures


def _renumber(entries: list[Entry], what: str, changes: Changes) -> None:
    """Give every entry an id of its own, from 1; sound ones keep theirs."""
    used: set[int] = set()
    new = max((e["id"] for e in entries if is_int(e.get("id"))), default=0)
    new = max(new, 0)
    for entry in entries:
        number = entry.get("id")
        least = 0 if what == "image" else 1
        if is_int(number) and number >= least and number not in used:
            used.add(number)
            continue
        new += 1
        changes.note(f"{what}-id", "numbered anew", number)
        entry["id"] = new
        used.add(new)


def _merged(
    entries: list[Entry], key: str, what: str, changes: Changes
) -> tuple[list[Entry], dict[int, int]]:
    """Keep one entry of those with an equal ``key``; give the id that replaces each dropped one's."""
    first: dict[Any, int] = {}
    kept, same = [], {}
    for entry in entries:
        if entry[key] in first:
            same[entry["id"]] = first[entry[key]]
            changes.note(f"{what}-duplicate", "merged with the first", entry["id"])
        else:
            first[entry[key]] = entry["id"]
            kept.append(entry)
    return kept, same


def _repair_categories(out: dict[str, Any], changes: Changes) -> dict[int, int]:
    before = [category.get("id") for category in out["categories"]]
    _renumber(out["categories"], "category", changes)
    moved = {
        old: category["id"]
        for old, category in zip(before, out["categories"], strict=True)
        if is_int(old) and before.count(old) == 1
    }
    for category in out["categories"]:
        if not isinstance(category.get("name"), str) or not category["name"].strip():
            changes.note("category-name", "named after its id", category["id"])
            category["name"] = f"category {category['id']}"
    out["categories"], same = _merged(out["categories"], "name", "category-name", changes)
    return {old: same.get(new, new) for old, new in moved.items()} | same


def _repair_images(out: dict[str, Any], folder: Path | None, changes: Changes) -> dict[int, int]:
    _renumber(out["images"], "image", changes)
    kept = []
    for image in out["images"]:
        name = image.get("file_name")
        if not isinstance(name, str) or not name or bad_file_name(name):
            changes.note("file-name", "image removed: its file cannot be named", image["id"])
            continue
        try:
            sizes = sizes_of(find_image(folder, name)) if folder else ()
        except UserError:
            changes.note("file-missing", "image removed: its file is missing or unreadable", image["id"])
            continue
        if sizes and (image.get("width"), image.get("height")) not in sizes:
            changes.note("image-size", "read from the picture", image["id"])
            image["width"], image["height"] = sizes[1]
        if not is_size(image):
            changes.note("image-size", "image removed: its size is not known", image["id"])
            continue
        kept.append(image)
    out["images"], same = _merged(kept, "file_name", "file-name", changes)
    return same


# ------------------------------------------------------------------------------ annotations


def _repair_annotation(annotation: Entry, index: Index, changes: Changes) -> bool:
    """Repair one annotation in place, fault by fault; False if it must go."""
    for _ in range(MOST_ROUNDS):
        fault = next(annotation_faults(annotation, index), None)
        if fault is None:
            return True
        fix = FIXES.get(fault.rule)
        image_id = annotation.get("image_id")
        image = index.images.get(image_id, {}) if is_int(image_id) else {}
        done = fix(annotation, image) if fix else ""
        changes.note(fault.rule, done or "annotation removed", annotation.get("id"))
        if not done:
            return False
    changes.note("annotation", "annotation removed: its faults did not end", annotation.get("id"))
    return False


def _iscrowd(a: Entry, image: Entry) -> str:
    a["iscrowd"] = 0
    return "iscrowd set to 0"


def _area(a: Entry, image: Entry) -> str:
    mask = _mask(a, image)
    if mask is None:
        return ""
    a["area"] = mask.area
    return "area taken from the mask"


def _bbox(a: Entry, image: Entry) -> str:
    mask = _mask(a, image)
    if mask is None:
        return ""
    a["bbox"] = list(mask.bbox)
    return "bbox taken from the mask"


def _mask(a: Entry, image: Entry) -> Any:
    """The annotation's mask if it is sound and not empty, whatever its box and area say."""
    bare = {k: a[k] for k in ("id", "image_id", "category_id", "segmentation") if k in a} | {"iscrowd": 0}
    index = make_index(
        {"images": [image], "categories": [{"id": a.get("category_id")}], "annotations": [bare]}
    )
    own = {"area-missing", "bbox-missing"}
    if "segmentation" not in a or any(
        f.severity == "error" and f.rule not in own for f in annotation_faults(bare, index)
    ):
        return None
    return read_mask(a["segmentation"], image["width"], image["height"])


def _keypoints(a: Entry, image: Entry) -> str:
    points = a["keypoints"]
    if isinstance(points, list) and len(points) % 3 == 0 and all(is_number(p) for p in points):
        visible = sum(v > 0 for v in points[2::3])
        if a.get("num_keypoints") != visible:
            a["num_keypoints"] = visible
            return "num_keypoints counted"
    a.pop("keypoints")
    a.pop("num_keypoints", None)
    return "keypoints removed"


def _polygons(a: Entry, image: Entry) -> str:
    """Keep the polygons that are whole."""
    polygons = a["segmentation"]
    whole = [
        p
        for p in polygons
        if isinstance(p, list) and len(p) >= 6 and len(p) % 2 == 0 and all(is_number(v) for v in p)
    ]
    if not whole or len(whole) == len(polygons):
        return ""
    a["segmentation"] = whole
    return "broken polygons removed"


def _clip(a: Entry, image: Entry) -> str:
    """Clamp polygons to the image."""
    sides = (image["width"], image["height"])
    a["segmentation"] = [
        [min(max(v, 0), sides[i % 2]) for i, v in enumerate(polygon)] for polygon in a["segmentation"]
    ]
    return "polygon clipped to the image"


def _swap(a: Entry, image: Entry) -> str:
    a["segmentation"] = {**a["segmentation"], "size": [image["height"], image["width"]]}
    return "size swapped"


def _encode(a: Entry, image: Entry) -> str:
    """Write an ignore region's polygons as RLE."""
    rle = mask_utils.merge(mask_utils.frPyObjects(a["segmentation"], image["height"], image["width"]))
    a["segmentation"] = {"size": [image["height"], image["width"]], "counts": rle["counts"].decode("ascii")}
    return "polygons encoded as RLE"


FIXES: dict[str, Callable[[Entry, Entry], str]] = {
    "iscrowd-missing": _iscrowd,
    "iscrowd-value": _iscrowd,
    "area-missing": _area,
    "area-value": _area,
    "area-mask": _area,
    "bbox-missing": _bbox,
    "bbox-value": _bbox,
    "bbox-empty": _bbox,
    "bbox-tiny": _bbox,
    "bbox-outside": _bbox,
    "bbox-beyond": _bbox,
    "bbox-mask": _bbox,
    "keypoints": _keypoints,
    "polygon-values": _polygons,
    "polygon-short": _polygons,
    "polygon-odd": _polygons,
    "polygon-beyond": _clip,
    "rle-size-swapped": _swap,
    "crowd-polygon": _encode,
}
"""Rule to repair: changes the annotation, given its image, and says what it did, or "" if it can't.
A rule that is missing here has no repair: the annotation goes."""


def _without_copies(annotations: list[Entry], changes: Changes) -> list[Entry]:
    seen, kept = set(), []
    for a in annotations:
        key = json.dumps([a["image_id"], a["category_id"], a["segmentation"], a["bbox"]], sort_keys=True)
        if key in seen:
            changes.note("annotation-copy", "annotation removed", a["id"])
        else:
            kept.append(a)
        seen.add(key)
    return kept


def _no_class_of_crowds(out: dict[str, Any], changes: Changes) -> None:
    """A class of nothing but ignore regions was meant as objects."""
    for category in out["categories"]:
        own = [a for a in out["annotations"] if a["category_id"] == category["id"]]
        if own and all(a["iscrowd"] == 1 for a in own):
            for a in own:
                changes.note("all-crowd", "iscrowd set to 0", a["id"])
                a["iscrowd"] = 0
