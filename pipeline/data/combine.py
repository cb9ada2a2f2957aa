"""Combine several COCO sets into one, and map their categories to the profile's classes."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blender.contract import UserError, sha256_file
from pipeline.config import ExifReading, ExtraSet, Profile
from pipeline.data.coco_io import read_coco
from pipeline.data.images import find_image
from pipeline.data.validation.check import load_validated_coco
from pipeline.data.validation.orientation import describe_exif


@dataclass(frozen=True)
class NamedSet:
    """COCO sets that are measured together, under one name."""

    name: str
    """Letters, digits, "-", "_" and "."; for tables and names of files."""
    sets: tuple[ExtraSet, ...]
    """The sets; most often one."""


@dataclass(frozen=True)
class CombinedSets:
    """Several validated COCO sets as one dataset. Pass it on instead of reading the files again."""

    dataset: dict[str, Any]
    """A COCO dataset with the images, annotations and categories of all sets."""
    folders: dict[int, Path]
    """Image id -> the folder that the image's file_name is relative to."""
    set_numbers: dict[int, int]
    """Image id -> the number of the image's set, from 0."""
    upright: set[int]
    """Ids of the images whose annotations refer to the upright image where the size does not decide."""
    notes: list[str]
    """What the user should know about the files, one line each."""

    def path_of(self, image: dict[str, Any]) -> Path:
        """Return the path of an image's file, or raise a ``UserError``."""
        return find_image(self.folders[image["id"]], image["file_name"])

    def check_images(self) -> list[str]:
        """Check the header of every image file; return notes on EXIF orientations that no size decides.

        Raises:
            UserError: a file is missing, unreadable or not of the annotated size; the message names it.
        """
        return describe_exif(self.dataset["images"], self.dataset["annotations"], self.path_of, self.upright)

    def count_objects(self, number: int, iscrowd: int = 0) -> Counter[str]:
        """Count the objects of set ``number`` by category name; with ``iscrowd`` 1, the ignore regions."""
        names = {c["id"]: c["name"] for c in self.dataset["categories"]}
        return Counter(
            names[a["category_id"]]
            for a in self.dataset["annotations"]
            if self.set_numbers[a["image_id"]] == number and a["iscrowd"] == iscrowd
        )


def combine_sets(sets: Sequence[ExtraSet]) -> CombinedSets:
    """Read, validate and combine COCO sets. The files are not changed.

    Categories are renamed by each set's ``map``; those of the same name are merged. An id does not change
    unless an earlier set uses it. Other keys of the first file (``info``, ...) are copied.

    Raises:
        UserError: a file is missing or has errors, or lacks a category of its ``map``.
    """
    combined: dict[str, Any] = {"categories": [], "images": [], "annotations": []}
    category_ids, image_ids, annotation_ids = _UniqueIds(), _UniqueIds(), _UniqueIds()
    id_by_name: dict[str, int] = {}
    result = CombinedSets(combined, {}, {}, set(), [])
    for number, coco_set in enumerate(sets):
        dataset = load_validated_coco(Path(coco_set.annotations), result.notes)
        _check_map_sources(coco_set, dataset)
        if number == 0:
            combined |= {key: value for key, value in dataset.items() if key not in combined}
        new_category_id: dict[int, int] = {}
        for c in dataset["categories"]:
            name = coco_set.map.get(c["name"], c["name"])
            if name not in id_by_name:
                id_by_name[name] = category_ids.assign(c["id"])
                combined["categories"].append(c | {"id": id_by_name[name], "name": name})
            new_category_id[c["id"]] = id_by_name[name]
        new_image_id = {i["id"]: image_ids.assign(i["id"]) for i in dataset["images"]}
        for i in dataset["images"]:
            image_id = new_image_id[i["id"]]
            origin: dict[str, Any] = {"set": number} if number else {}
            if number and "scene" in i:  # the bootstrap resamples scenes: sets must not share their names
                origin["scene"] = f"{number}/{i['scene']}"
            combined["images"].append(i | {"id": image_id} | origin)
            result.folders[image_id] = Path(coco_set.images)
            result.set_numbers[image_id] = number
            if coco_set.exif == "upright":
                result.upright.add(image_id)
        for a in dataset["annotations"]:
            ids = {
                "id": annotation_ids.assign(a["id"]),
                "image_id": new_image_id[a["image_id"]],
                "category_id": new_category_id[a["category_id"]],
            }
            combined["annotations"].append(a | ids)
    return result


class _UniqueIds:
    """Assign each id once."""

    def __init__(self) -> None:
        self.used: set[int] = set()
        self.next_free = 1

    def assign(self, requested: int) -> int:
        """Return ``requested`` if it is free, else an id above all that are used."""
        assigned = self.next_free if requested in self.used else requested
        self.used.add(assigned)
        self.next_free = max(self.next_free, assigned + 1)
        return assigned


def _check_map_sources(coco_set: ExtraSet, dataset: dict[str, Any]) -> None:
    names = [c["name"] for c in dataset["categories"]]
    for source in coco_set.map:
        if source not in names:
            raise UserError(
                f"{coco_set.annotations}: has no category '{source}' to map; "
                f"it has: {', '.join(map(str, names))}"
            )


def select_categories(dataset: dict[str, Any], category_ids: Collection[int]) -> dict[str, Any]:
    """Return the dataset with only these categories and their annotations, but with all images."""
    selected = set(category_ids)
    return dataset | {
        "categories": [c for c in dataset["categories"] if c["id"] in selected],
        "annotations": [a for a in dataset["annotations"] if a["category_id"] in selected],
    }


def check_class_mapping(sets: Sequence[ExtraSet], classes: Sequence[str]) -> None:
    """Check that each set maps its categories only to ``classes``.

    Raises:
        UserError: a category is mapped to another name.
    """
    for coco_set in sets:
        for source, target in coco_set.map.items():
            if target not in classes:
                raise UserError(
                    f"{coco_set.annotations}: '{source}' is mapped to '{target}', which is not a class; "
                    f"classes: {', '.join(classes)}"
                )


def describe_extra_sets(
    combined: CombinedSets, sets: Sequence[ExtraSet], classes: Sequence[str]
) -> list[str]:
    """Describe each set after the first in one line: the objects used, ignored, and dropped."""
    lines = []
    for number, coco_set in enumerate(sets[1:], start=1):
        counts = combined.count_objects(number)
        images = list(combined.set_numbers.values()).count(number)
        used = [f"{counts[name]} {name}" for name in classes if counts[name]]
        dropped = [f"{count} {name}" for name, count in counts.most_common() if name not in classes]
        missing = [name for name in classes if not counts[name]]
        parts = [f"{images} images with {', '.join(used) or 'no object of any class'}"]
        crowds = combined.count_objects(number, iscrowd=1)
        if ignored := sum(crowds[name] for name in classes):
            parts.append(f"{ignored} ignored (iscrowd 1)")
        if dropped:
            parts.append(f"dropped: {', '.join(dropped)}")
        if missing:
            parts.append(f"no {', '.join(missing)} labelled: any in its images count as background")
        lines.append(f"extra set {coco_set.annotations}: {'; '.join(parts)}")
    return lines


def hash_coco_set(coco_set: ExtraSet) -> str:
    """Compute the SHA-256 of a set: its annotation file and the image files that it names.

    The file is not validated; ``combine_sets`` does that, once.

    Raises:
        UserError: a file is missing or has an unsafe name.
    """
    annotations = Path(coco_set.annotations)
    digest = hashlib.sha256(sha256_file(annotations).encode())
    for image in read_coco(annotations)["images"]:
        name = image.get("file_name") if isinstance(image, dict) else None
        if isinstance(name, str):
            digest.update(sha256_file(find_image(Path(coco_set.images), name)).encode())
    return digest.hexdigest()


# ------------------------------------------------------------------------------ command-line options


def add_extra_sets(
    profile: Profile, extra: Sequence[str], mapping: Sequence[str], exif: ExifReading | None = None
) -> Profile:
    """Return the profile with the sets of ``--extra`` and ``--map`` added to its extra sets.

    Args:
        profile: the profile.
        extra, mapping: the options.
        exif: the option ``--exif``, for both splits and the added sets; None: the profile's choice.

    Raises:
        UserError: an option is malformed, or no file has a category of ``--map``.
    """
    exif = exif or profile.train.exif
    sets = _apply_map([_parse_extra(text) for text in extra], mapping, exif)
    config = dataclasses.replace(profile.train, extra=(*profile.train.extra, *sets), exif=exif)
    return dataclasses.replace(profile, train=config)


def parse_named_sets(
    annotations: Path | None,
    images: Path | None,
    extra: Sequence[str],
    named: Sequence[str],
    mapping: Sequence[str],
    exif: ExifReading = "stored",
) -> tuple[NamedSet, ...]:
    """Return the sets of the options of ``evaluate``; the first is the main one.

    That of ``--annotations`` comes first, with the name of the file's folder. The files of ``--extra`` join
    the first set. Each file has the entries of ``--map`` for its categories.

    Raises:
        UserError: an option is malformed, a name is given twice, or no file has a category of ``--map``.
    """
    sources: dict[str, list[tuple[str, str]]] = {}
    if annotations is not None:
        sources[annotations.resolve().parent.name] = [(str(annotations), str(images or Path()))]
    for text in named:
        name, _, files = text.partition("=")
        if not re.fullmatch(r"[\w-][\w.-]*", name) or not files:
            raise UserError(
                f"--set {text}: give a name, a COCO file and its image folder as NAME=FILE:IMAGES"
            )
        if name in sources:
            raise UserError(f"--set {text}: another set is named '{name}', too; choose another name")
        sources[name] = [_parse_files(files, f"--set {text}", "NAME=FILE:IMAGES")]
    if not sources:
        raise UserError("no set to evaluate on; give --annotations FILE, or --set NAME=FILE:IMAGES")
    first = next(iter(sources))
    sources[first] += [_parse_extra(text) for text in extra]
    sets = iter(_apply_map([files for group in sources.values() for files in group], mapping, exif))
    return tuple(NamedSet(name, tuple(next(sets) for _ in group)) for name, group in sources.items())


def _apply_map(
    files: list[tuple[str, str]], mapping: Sequence[str], exif: ExifReading
) -> tuple[ExtraSet, ...]:
    """Make sets of (annotation file, image folder), each with the entries of ``--map`` for its categories."""
    class_of = dict(_parse_map(text) for text in mapping)
    sets = []
    for file, images in files:
        names = _category_names(Path(file)) if class_of else set()
        sets.append(ExtraSet(file, images, {k: v for k, v in class_of.items() if k in names}, exif))
    for source, target in class_of.items():
        if not any(source in coco_set.map for coco_set in sets):
            raise UserError(f"--map {source}={target}: no file given with it has a category '{source}'")
    return tuple(sets)


def _category_names(annotations: Path) -> set[str]:
    """Read the names of a file's categories. ``combine_sets`` validates the file later."""
    categories = [c for c in read_coco(annotations)["categories"] if isinstance(c, dict)]
    return {c["name"] for c in categories if isinstance(c.get("name"), str)}


def _parse_extra(text: str) -> tuple[str, str]:
    return _parse_files(text, f"--extra {text}", "FILE:IMAGES")


def _parse_files(text: str, option: str, form: str) -> tuple[str, str]:
    file, _, images = text.rpartition(":")
    if not file or not images:
        raise UserError(f"{option}: give a COCO file and its image folder as {form}")
    return file, images


def _parse_map(text: str) -> tuple[str, str]:
    source, _, target = text.partition("=")
    if not source or not target:
        raise UserError(f"--map {text}: give the file's category and the class as CATEGORY=CLASS")
    return source, target
