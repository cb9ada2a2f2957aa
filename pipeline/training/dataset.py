"""A COCO file and its images as samples for torchvision's Mask R-CNN, each one checked."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco_mask
from torch import Tensor

from pipeline.config import ExtraSet, UserError
from pipeline.data.combine import check_targets, describe_extra, mix
from pipeline.data.images import check_image, find_image, read_rgb
from pipeline.data.rle import as_rle
from pipeline.models.targets import (
    KEYPOINT_NUMBERS,
    Sample,
    Target,
    boxes_from_masks,
    check_sample,
    keypoints_from_annotations,
)

Transform = Callable[[Sample, int, Callable[[np.random.Generator], Sample]], Sample]
"""Given a sample, its index, and what draws another sample, untransformed, from the same data set."""


class CocoDataset(torch.utils.data.Dataset[Sample]):
    """Samples of a COCO instances file, in the file's order; images without objects included."""

    def __init__(
        self,
        annotations: Path,
        images: Path,
        classes: Sequence[str],
        transform: Transform | None = None,
        extra: Sequence[ExtraSet] = (),
    ) -> None:
        """Read the annotations; images are read when asked for.

        Args:
            extra: more sets, whose images follow.
            classes: label 1, 2, ...; matched to the file's categories by name. Objects of other
                categories are background.

        Raises:
            UserError: the file is missing, no sound COCO file, or lacks one of the classes.
        """
        self.path, self.classes, self.transform = annotations, tuple(classes), transform
        sets = [ExtraSet(str(annotations), str(images)), *extra]
        check_targets(sets, self.classes)
        mixed = mix(sets)
        self.coco, self.folders = mixed.dataset, mixed.folders
        self.notes = describe_extra(mixed, sets, self.classes)
        self.labels = self._labels_of_categories()
        self.records: list[dict[str, Any]] = self.coco["images"]
        self.annotations: dict[int, list[dict[str, Any]]] = {r["id"]: [] for r in self.records}
        for annotation in self.coco["annotations"]:
            if annotation["category_id"] in self.labels and annotation["image_id"] in self.annotations:
                self.annotations[annotation["image_id"]].append(annotation)
        self.has_keypoints = any(
            len(a.get("keypoints", ())) == KEYPOINT_NUMBERS for a in self.coco["annotations"]
        )

    def _labels_of_categories(self) -> dict[int, int]:
        names = {c["name"]: c["id"] for c in self.coco["categories"]}
        for name in self.classes:
            if name not in names:
                raise UserError(
                    f"{self.path}: has no category '{name}'; it has: {', '.join(names) or 'none'}"
                )
        return {names[name]: label for label, name in enumerate(self.classes, start=1)}

    def check_images(self) -> None:
        """Look at every image's header, so that a fault shows before an hour's work.

        Raises:
            UserError: an image is missing, unreadable or of another size; names it.
        """
        for record in self.records:
            path = find_image(self.folders[record["id"]], record["file_name"])
            check_image(path, (record["width"], record["height"]))

    def transformed(self, transform: Transform) -> CocoDataset:
        """The same data set, seen through ``transform``."""
        other = copy.copy(self)
        other.transform = transform
        return other

    def __len__(self) -> int:
        """Count the images."""
        return len(self.records)

    def name(self, index: int) -> str:
        """The image's file name, for messages."""
        return str(self.records[index]["file_name"])

    def __getitem__(self, index: int) -> Sample:
        """Read, check and transform one sample.

        Raises:
            UserError: the image is missing, unreadable or not as annotated; names it.
        """
        sample = self.read(index)
        if self.transform is not None:
            sample = self.transform(sample, index, self.draw)
        check_sample(sample, len(self.classes), self.name(index))
        return sample

    def draw(self, rng: np.random.Generator) -> Sample:
        """Read any sample as it lies on disk, and check it."""
        index = int(rng.integers(len(self)))
        sample = self.read(index)
        check_sample(sample, len(self.classes), self.name(index))
        return sample

    def read(self, index: int) -> Sample:
        """Read one sample as it lies on disk."""
        record = self.records[index]
        height, width = record["height"], record["width"]
        image = read_rgb(find_image(self.folders[record["id"]], record["file_name"]), (width, height))
        objects = [a for a in self.annotations[record["id"]] if not a.get("iscrowd")]
        crowds = [a for a in self.annotations[record["id"]] if a.get("iscrowd")]
        masks = self._decode(objects, height, width)
        target = {
            "boxes": boxes_from_masks(masks),
            "labels": torch.tensor([self.labels[a["category_id"]] for a in objects], dtype=torch.int64),
            "masks": masks,
            "ignore": boxes_from_masks(self._decode(crowds, height, width)),
            "image_id": torch.tensor(record["id"]),
        }
        if self.has_keypoints:
            target["keypoints"] = keypoints_from_annotations(objects)
        return torch.from_numpy(image).permute(2, 0, 1).float() / 255, target

    def _decode(self, annotations: list[dict[str, Any]], height: int, width: int) -> Tensor:
        masks = np.zeros((len(annotations), height, width), np.uint8)
        for mask, annotation in zip(masks, annotations, strict=True):
            mask[:] = decode_segmentation(annotation["segmentation"], height, width)
        return torch.from_numpy(masks)


def decode_segmentation(segmentation: Any, height: int, width: int) -> np.ndarray:
    """Decode polygons or RLE, compressed or not, of a sound file to a mask (H, W) uint8."""
    return np.asarray(coco_mask.decode(as_rle(segmentation, width, height)))


def collate_fn(samples: list[Sample]) -> tuple[list[Tensor], list[Target]]:
    """Batch samples as torchvision's detectors want them: two lists."""
    return [image for image, _ in samples], [target for _, target in samples]
