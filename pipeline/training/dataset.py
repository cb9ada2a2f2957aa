"""The dataset: COCO annotations and their images as checked samples for torchvision's Mask R-CNN."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.config import ExifReading, ExtraSet, UserError
from pipeline.data.coco_io import count_without_mask
from pipeline.data.combine import CombinedSets, check_class_mapping, combine_sets, describe_extra_sets
from pipeline.data.images import read_rgb
from pipeline.data.rle import clip_box, measure_mask, sample_mask
from pipeline.data.values import has_mask
from pipeline.models.samples import (
    KEYPOINT_NUMBERS,
    Sample,
    Target,
    boxes_from_masks,
    check_sample,
    keypoints_from_annotations,
)
from pipeline.training.augment.resolution import Resolution

Transform = Callable[[Sample, int, Callable[[np.random.Generator], Sample]], Sample]
"""Transforms a sample. Its arguments are the sample, its index in the dataset, and a function that draws
another
sample of the dataset, which is not transformed."""


class CocoDataset(torch.utils.data.Dataset[Sample]):
    """Samples of a COCO instances file, in the file's order; images without objects included."""

    def __init__(
        self,
        annotations: Path,
        images: Path,
        classes: Sequence[str],
        transform: Transform | None = None,
        auxiliary: Sequence[str] = (),
        extra: Sequence[ExtraSet] = (),
        exif: ExifReading = "stored",
    ) -> None:
        """Read the annotations; images are read when they are accessed.

        Args:
            annotations: the COCO instances file.
            images: the folder of its images.
            classes: names of labels 1, 2, ...; matched to the file's categories by name. Objects of other
                categories are background.
            transform: applied to each sample.
            auxiliary: auxiliary classes, whose labels follow those of ``classes``; the file may lack them.
            extra: more COCO sets, whose images follow those of the first set.
            exif: what the annotations of the first set refer to (``ExtraSet.exif``).

        Raises:
            UserError: a file is missing, not a valid COCO file, or lacks one of the classes.
        """
        self.path, self.classes, self.transform = annotations, tuple(classes), transform
        self.auxiliary = tuple(auxiliary)
        self.resolution: Resolution | None = None
        self.negatives = 0  # how many records follow those of the sets (see ``sampling.negatives``)
        sets = [ExtraSet(str(annotations), str(images), exif=exif), *extra]
        check_class_mapping(sets, self.classes)
        combined = combine_sets(sets)
        self.coco, self.combined = combined.dataset, combined
        self.notes = (
            combined.notes
            + describe_extra_sets(combined, sets, self.classes)
            + self._check_masks(combined, sets)
        )
        self.labels = self._labels_of_categories()
        self.annotations: dict[int, list[dict[str, Any]]] = {r["id"]: [] for r in self.coco["images"]}
        for annotation in self.coco["annotations"]:
            if annotation["category_id"] in self.labels and annotation["image_id"] in self.annotations:
                self.annotations[annotation["image_id"]].append(annotation)
        self.records: list[dict[str, Any]] = [*self.coco["images"]]
        for number, coco_set in enumerate(sets):
            of_set = [r for r in self.coco["images"] if combined.set_numbers[r["id"]] == number]
            self.records += of_set * (coco_set.repeat - 1)
        auxiliary_ids = {key for key, label in self.labels.items() if label > len(self.classes)}
        self.auxiliary_sets = {
            combined.set_numbers[a["image_id"]]
            for a in self.coco["annotations"]
            if a["category_id"] in auxiliary_ids
        }
        """Numbers of the sets in which auxiliary classes are labelled."""
        self.has_keypoints = any(
            len(a.get("keypoints", ())) == KEYPOINT_NUMBERS for a in self.coco["annotations"]
        )

    def _check_masks(self, combined: CombinedSets, sets: Sequence[ExtraSet]) -> list[str]:
        """Return a note for each set in which some objects of the classes have no mask.

        Raises:
            UserError: no object of a set has a mask.
        """
        ids = {c["id"] for c in self.coco["categories"] if c["name"] in self.classes}
        objects_of: list[list[dict[str, Any]]] = [[] for _ in sets]
        for a in self.coco["annotations"]:
            if a["category_id"] in ids:
                objects_of[combined.set_numbers[a["image_id"]]].append(a)
        notes = []
        for coco_set, of_set in zip(sets, objects_of, strict=True):
            without_mask, objects = count_without_mask(of_set)
            if without_mask and without_mask == objects:
                raise UserError(
                    f"{coco_set.annotations}: none of its {objects} objects has a mask, and training needs "
                    "masks; draw them, or leave the file out ('evaluate' measures boxes)"
                )
            if without_mask:
                notes.append(
                    f"{coco_set.annotations}: {without_mask} of {objects} objects have no mask: "
                    "training ignores them"
                )
        return notes

    def _labels_of_categories(self) -> dict[int, int]:
        """Map category ids of the file to labels."""
        names = {c["name"]: c["id"] for c in self.coco["categories"]}
        for name in self.classes:
            if name not in names:
                raise UserError(
                    f"{self.path}: has no category '{name}'; it has: {', '.join(names) or 'none'}"
                )
        labels = enumerate((*self.classes, *self.auxiliary), start=1)
        return {names[name]: label for label, name in labels if name in names}

    def classes_without_objects(self) -> list[str]:
        """Return the classes of which no image has an object; ignore regions do not count."""
        found = {
            self.labels[a["category_id"]]
            for annotations in self.annotations.values()
            for a in annotations
            if not a.get("iscrowd")
        }
        return [name for label, name in enumerate(self.classes, start=1) if label not in found]

    def check_classes(self) -> None:
        """Check that there is an object of each class, without which training cannot learn it.

        Raises:
            UserError: a class has no object; the message names all such classes.
        """
        if names := self.classes_without_objects():
            quoted = ", ".join(f"'{name}'" for name in names)
            raise UserError(
                f"{self.path}: class {quoted}: 0 objects in {len(self)} images, so training cannot learn it; "
                "render or label some, remove it from classes, or add --allow-empty-classes"
            )

    def check_images(self) -> None:
        """Check the header of every image file, so that a problem is reported before training starts.

        Raises:
            UserError: an image is missing, unreadable or not of the annotated size; the message names it.
        """
        self.notes += self.combined.check_images()

    def transformed(self, transform: Transform) -> CocoDataset:
        """Return the same dataset with another transform."""
        other = copy.copy(self)
        other.transform = transform
        return other

    def limited(self, resolution: Resolution) -> CocoDataset:
        """Return the same dataset with larger images shrunk to ``resolution`` when they are read."""
        other = copy.copy(self)
        other.resolution = resolution
        return other

    def __len__(self) -> int:
        """Return the number of images, without negatives, which have the indices from this number on."""
        return len(self.records) - self.negatives

    def name(self, index: int) -> str:
        """Return the file name of an image, for messages."""
        return str(self.records[index]["file_name"])

    def __getitem__(self, index: int) -> Sample:
        """Read, transform and check one sample.

        Raises:
            UserError: the image is missing, unreadable or not as annotated; the message names it.
        """
        sample = self.read(index)
        if self.transform is not None:
            sample = self.transform(sample, index, self.draw)
        check_sample(sample, len(self.classes) + len(self.auxiliary), self.name(index))
        return sample

    def draw(self, rng: np.random.Generator) -> Sample:
        """Read and check a random sample, without the transform."""
        index = int(rng.integers(len(self)))
        sample = self.read(index)
        check_sample(sample, len(self.classes) + len(self.auxiliary), self.name(index))
        return sample

    def read(self, index: int) -> Sample:
        """Read one sample, without the transform.

        A large image is shrunk while it is read, and its masks are sampled at that size, one by one. An
        object that vanishes becomes an ignore region.
        """
        record = self.records[index]
        size = record["width"], record["height"]
        image = self.read_image(index)
        height, width = image.shape[1:]
        scale = torch.tensor([width / size[0], height / size[1]] * 2)
        objects = [a for a in self.annotations[record["id"]] if _is_trained(a)]
        ignored = [a for a in self.annotations[record["id"]] if not _is_trained(a)]
        masks = torch.zeros(len(objects), height, width, dtype=torch.uint8)
        for mask, annotation in zip(masks, objects, strict=True):
            mask[:] = torch.from_numpy(sample_mask(annotation["segmentation"], size, (width, height)))
        visible = masks.flatten(1).any(1).bool()  # any() of uint8 is uint8
        if not visible.all():
            ignored += [a for a, is_visible in zip(objects, visible, strict=True) if not is_visible]
            objects = [a for a, is_visible in zip(objects, visible, strict=True) if is_visible]
            masks = masks[visible]
        target = {
            "boxes": boxes_from_masks(masks),
            "labels": torch.tensor([self.labels[a["category_id"]] for a in objects], dtype=torch.int64),
            "masks": masks,
            "ignore": _tight_boxes(ignored, size) * scale,
            "image_id": torch.tensor(record["id"]),
            "auxiliary_labelled": torch.tensor(
                self.combined.set_numbers.get(record["id"]) in self.auxiliary_sets
            ),
        }
        if self.has_keypoints:
            points = keypoints_from_annotations(objects)
            target["keypoints"] = torch.cat([points[..., :2] * scale[:2], points[..., 2:]], 2)
        return image, target

    def read_image(self, index: int) -> Tensor:
        """Read the image (3, H, W) of one sample, in 0..1, without the transform."""
        record = self.records[index]
        size = record["width"], record["height"]
        shrunk = self.resolution.limit(size) if self.resolution else size
        path, upright = self.combined.path_of(record), record["id"] in self.combined.upright
        image = read_rgb(path, size, upright, None if shrunk == size else shrunk)
        return torch.from_numpy(image).permute(2, 0, 1).float().div_(255)


def _is_trained(annotation: dict[str, Any]) -> bool:
    """Return whether an annotation is an object to learn from; the others are ignore regions.

    An object without a mask is ignored too: it is not background, and its mask cannot be learned.
    """
    return not annotation.get("iscrowd") and has_mask(annotation)


def _tight_boxes(annotations: list[dict[str, Any]], size: tuple[int, int]) -> Tensor:
    """Return the boxes (N, 4) xyxy of the masks of N annotations, or their own boxes if they have no mask.

    Args:
        annotations: the annotations.
        size: of the image: (width, height).
    """
    boxes = torch.tensor(
        [
            measure_mask(a["segmentation"], *size).bbox if has_mask(a) else clip_box(a["bbox"], *size)
            for a in annotations
        ]
    ).reshape(-1, 4)
    return torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)


def collate_fn(samples: list[Sample]) -> tuple[list[Tensor], list[Target]]:
    """Collate samples into the two lists that torchvision's detectors take."""
    return [image for image, _ in samples], [target for _, target in samples]
