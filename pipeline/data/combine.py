"""Several COCO sets as one, their categories renamed to the classes that they mean."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blender.contract import UserError, sha256_file
from pipeline.config import ExtraSet, Profile
from pipeline.data.images import find_image
from pipeline.data.validation.check import read_sound_coco


@dataclass(frozen=True)
class Mix:
    """One COCO table made of several."""

    dataset: dict[str, Any]
    folders: dict[int, Path]
    """By image id, the folder that the image's file_name is relative to."""
    sources: dict[int, int]
    """By image id, the number of the set that it comes from."""

    def counts(self, number: int) -> Counter[str]:
        """How many objects of each category set ``number`` brings, ignore regions left out."""
        names = {c["id"]: c["name"] for c in self.dataset["categories"]}
        return Counter(
            names[a["category_id"]]
            for a in self.dataset["annotations"]
            if self.sources[a["image_id"]] == number and not a["iscrowd"]
        )


def mix(sets: Sequence[ExtraSet]) -> Mix:
    """Join COCO sets. An id stays what it is unless an earlier set has it; the files are not changed.

    What else the first file says (``info``, ...) is kept.

    Raises:
        UserError: a file is missing or faulty, or lacks a category that it is to be mapped from.
    """
    joined: dict[str, Any] = {"categories": [], "images": [], "annotations": []}
    ids, image_ids, annotation_ids = _Ids(), _Ids(), _Ids()
    named: dict[str, int] = {}
    mixed = Mix(joined, {}, {})
    for number, one in enumerate(sets):
        table = read_sound_coco(Path(one.annotations))
        _check_map(one, table)
        joined |= {} if number else {key: value for key, value in table.items() if key not in joined}
        categories: dict[int, int] = {}
        for c in table["categories"]:
            name = one.map.get(c["name"], c["name"])
            if name not in named:
                named[name] = ids.take(c["id"])
                joined["categories"].append(c | {"id": named[name], "name": name})
            categories[c["id"]] = named[name]
        images = {i["id"]: image_ids.take(i["id"]) for i in table["images"]}
        for i in table["images"]:
            more: dict[str, Any] = {"set": number} if number else {}
            if number and "scene" in i:  # drawn as a whole when intervals are made; no two sets share one
                more["scene"] = f"{number}/{i['scene']}"
            joined["images"].append(i | {"id": images[i["id"]]} | more)
            mixed.folders[images[i["id"]]] = Path(one.images)
            mixed.sources[images[i["id"]]] = number
        joined["annotations"] += [
            a
            | {
                "id": annotation_ids.take(a["id"]),
                "image_id": images[a["image_id"]],
                "category_id": categories[a["category_id"]],
            }
            for a in table["annotations"]
        ]
    return mixed


class _Ids:
    """Ids that are given out once each."""

    def __init__(self) -> None:
        self.taken: set[int] = set()
        self.fresh = 1

    def take(self, wanted: int) -> int:
        """``wanted`` if nobody has it, else one above all that were given out."""
        found = self.fresh if wanted in self.taken else wanted
        self.taken.add(found)
        self.fresh = max(self.fresh, found + 1)
        return found


def _check_map(one: ExtraSet, table: dict[str, Any]) -> None:
    names = [c["name"] for c in table["categories"]]
    for source in one.map:
        if source not in names:
            raise UserError(
                f"{one.annotations}: has no category '{source}' to map; it has: {', '.join(map(str, names))}"
            )


def only(dataset: dict[str, Any], categories: Collection[int]) -> dict[str, Any]:
    """The dataset with the categories of these ids alone; all of its images stay."""
    kept = set(categories)
    return dataset | {
        "categories": [c for c in dataset["categories"] if c["id"] in kept],
        "annotations": [a for a in dataset["annotations"] if a["category_id"] in kept],
    }


def check_targets(sets: Sequence[ExtraSet], classes: Sequence[str]) -> None:
    """See that categories are mapped to classes.

    Raises:
        UserError: one is not.
    """
    for one in sets:
        for source, target in one.map.items():
            if target not in classes:
                raise UserError(
                    f"{one.annotations}: '{source}' is mapped to '{target}', which is no class; "
                    f"classes: {', '.join(classes)}"
                )


def describe_extra(mixed: Mix, sets: Sequence[ExtraSet], classes: Sequence[str]) -> list[str]:
    """A line for each set after the first: what of it counts, and what is dropped."""
    lines = []
    for number, one in enumerate(sets[1:], start=1):
        counts, images = mixed.counts(number), list(mixed.sources.values()).count(number)
        kept = [f"{counts[name]} {name}" for name in classes if counts[name]]
        dropped = [f"{count} {name}" for name, count in counts.most_common() if name not in classes]
        missing = [name for name in classes if not counts[name]]
        parts = [f"{images} images with {', '.join(kept) or 'no object of any class'}"]
        parts += [f"dropped: {', '.join(dropped)}"] if dropped else []
        parts += (
            [f"no {', '.join(missing)} labelled: any in its images count as background"] if missing else []
        )
        lines.append(f"extra set {one.annotations}: {'; '.join(parts)}")
    return lines


def with_extra(profile: Profile, extra: Sequence[str], mapping: Sequence[str]) -> Profile:
    """The profile with the command line's ``--extra`` and ``--map`` beside its own sets.

    Raises:
        UserError: an option is misspelt, or a category is in none of the files.
    """
    more = _parse_sets([_split_extra(text) for text in extra], mapping)
    config = dataclasses.replace(profile.train, extra=(*profile.train.extra, *more))
    return dataclasses.replace(profile, train=config)


def parse_sets(
    annotations: Path, images: Path, extra: Sequence[str], mapping: Sequence[str]
) -> tuple[ExtraSet, ...]:
    """A first set and the command line's ``--extra``, each with the part of ``--map`` that it needs.

    Raises:
        UserError: an option is misspelt, or a category is in none of the files.
    """
    return _parse_sets([(str(annotations), str(images)), *(_split_extra(text) for text in extra)], mapping)


def _parse_sets(places: list[tuple[str, str]], mapping: Sequence[str]) -> tuple[ExtraSet, ...]:
    wanted = dict(_split_map(text) for text in mapping)
    sets = []
    for file, images in places:
        names = [c["name"] for c in read_sound_coco(Path(file))["categories"]] if wanted else []
        sets.append(ExtraSet(file, images, {k: v for k, v in wanted.items() if k in names}))
    for source, target in wanted.items():
        if not any(source in one.map for one in sets):
            raise UserError(f"--map {source}={target}: no file given with it has a category '{source}'")
    return tuple(sets)


def _split_extra(text: str) -> tuple[str, str]:
    file, _, images = text.rpartition(":")
    if not file or not images:
        raise UserError(f"--extra {text}: give a COCO file and its image folder as FILE:IMAGES")
    return file, images


def _split_map(text: str) -> tuple[str, str]:
    source, _, target = text.partition("=")
    if not source or not target:
        raise UserError(f"--map {text}: give the file's category and the class as CATEGORY=CLASS")
    return source, target


def set_hash(one: ExtraSet) -> str:
    """SHA-256 of a set: its annotations and the pictures that it names.

    Raises:
        UserError: a file is missing or faulty.
    """
    table = read_sound_coco(Path(one.annotations))
    digest = hashlib.sha256(sha256_file(Path(one.annotations)).encode())
    for image in table["images"]:
        digest.update(sha256_file(find_image(Path(one.images), image["file_name"])).encode())
    return digest.hexdigest()
