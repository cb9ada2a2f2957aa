"""COCO instances: labels to correct, and what annotation tools export as COCO."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from blender.contract import canonical_json, write_atomic
from pipeline.data.images import MAX_PIXELS
from pipeline.data.rle import as_rle, clip_box, measure_mask
from pipeline.data.values import has_mask
from pipeline.labelling.proposals import ProposedImage

ANNOTATIONS = "annotations.json"


class CocoBuilder:
    """Collects images and objects as a COCO dataset; ids count from 1."""

    def __init__(self, classes: Sequence[str] = ()) -> None:
        """Start with the categories ``classes``; others are added when an object has them."""
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self._names: set[str] = set()
        self._category_ids = {name: number for number, name in enumerate(dict.fromkeys(classes), start=1)}

    def add_image(self, file_name: str, width: int | None, height: int | None) -> int:
        """Add an image and return its id; a size of None is not known.

        Raises:
            ValueError: another image has this name, or it is larger than any that is read.
        """
        if width and height and width * height > MAX_PIXELS:
            raise ValueError(f"it has more than {MAX_PIXELS // 10**6} megapixels")
        if file_name in self._names:
            raise ValueError("another image has the same name: export the two apart, or rename one")
        self._names.add(file_name)
        image_id = len(self.images) + 1
        self.images.append({"id": image_id, "file_name": file_name, "width": width, "height": height})
        return image_id

    def add_mask(self, image_id: int, label: str, segmentation: Any) -> bool:
        """Add an object with a mask, polygons or RLE; return False if the mask has no pixel."""
        image = self.images[image_id - 1]
        fields = _mask_fields(segmentation, image["width"], image["height"])
        if fields["area"]:
            self._add(image_id, label, fields)
        return bool(fields["area"])

    def add_box(self, image_id: int, label: str, box: Sequence[float]) -> bool:
        """Add an object without a mask; return False if its box (x, y, width, height) is outside."""
        image = self.images[image_id - 1]
        clipped = clip_box(box, image["width"], image["height"])
        if clipped is None:
            return False
        self._add(image_id, label, {"bbox": clipped, "area": clipped[2] * clipped[3]})
        return True

    def _add(self, image_id: int, label: str, fields: dict[str, Any]) -> None:
        category_id = self._category_ids.setdefault(label, len(self._category_ids) + 1)
        ids = {"id": len(self.annotations) + 1, "image_id": image_id, "category_id": category_id}
        self.annotations.append(ids | {"iscrowd": 0} | fields)

    def shorten_names(self) -> None:
        """Remove the folders from the names of images, where the names then still differ."""
        tails = Counter(image["file_name"].rpartition("/")[2] for image in self.images)
        for image in self.images:
            tail = image["file_name"].rpartition("/")[2]
            image["file_name"] = tail if tails[tail] == 1 else image["file_name"]

    def dataset(self) -> dict[str, Any]:
        """Return the COCO dataset."""
        categories = [{"id": number, "name": name} for name, number in self._category_ids.items()]
        return {"images": self.images, "annotations": self.annotations, "categories": categories}


def write_coco(out: Path, images: Sequence[ProposedImage], classes: Sequence[str]) -> None:
    """Write annotations.json: COCO instances with masks as compressed RLE, in the order of ``images``."""
    builder = CocoBuilder(classes)
    for image in images:
        image_id = builder.add_image(image.name, image.width, image.height)
        for proposed in image.objects:
            builder.add_mask(image_id, proposed.label, proposed.rle)
    write_atomic(out / ANNOTATIONS, canonical_json(builder.dataset()))


def clear_brush_crowds(dataset: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Write iscrowd 0 for objects that CVAT's brush drew.

    CVAT's export "COCO 1.0" gives every mask iscrowd 1 and every polygon 0. Its annotations are known by the
    attribute "occluded", which CVAT gives to each.

    Returns:
        The dataset, which shares its unchanged entries, and notes for the user.
    """
    annotations, cleared = [], 0
    for a in dataset["annotations"]:
        is_brush = (
            isinstance(a, dict)
            and a.get("iscrowd") == 1
            and isinstance(a.get("attributes"), dict)
            and "occluded" in a["attributes"]
            and isinstance(a.get("segmentation"), dict)
        )
        cleared += is_brush
        annotations.append(a | {"iscrowd": 0} if is_brush else a)
    notes = [f"{cleared} masks of CVAT's brush have iscrowd 1: they are read as objects"] if cleared else []
    return dataset | {"annotations": annotations}, notes


def with_rle_masks(dataset: dict[str, Any]) -> dict[str, Any]:
    """Return a valid dataset with each mask as compressed RLE, and only the fields that training reads."""
    names = {c["id"]: c["name"] for c in dataset["categories"]}
    sizes = {i["id"]: (i["width"], i["height"]) for i in dataset["images"]}
    annotations = []
    for a in dataset["annotations"]:
        entry = {key: a[key] for key in ("id", "image_id", "category_id", "bbox", "area", "iscrowd")}
        if has_mask(a):
            entry |= _mask_fields(a["segmentation"], *sizes[a["image_id"]])
        annotations.append(entry)
    keys = ("id", "file_name", "width", "height")
    return {
        "images": [{key: image[key] for key in keys} for image in dataset["images"]],
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for number, name in names.items()],
    }


def _mask_fields(segmentation: Any, width: int, height: int) -> dict[str, Any]:
    """Return a valid mask as compressed RLE, its box and its area in pixels."""
    rle = as_rle(segmentation, width, height)
    measured = measure_mask(rle, width, height)
    counts = rle["counts"] if isinstance(rle["counts"], str) else rle["counts"].decode("ascii")
    mask = {"size": [height, width], "counts": counts}
    return {"segmentation": mask, "bbox": list(measured.bbox), "area": measured.area}
