"""The feature cache: keep what the frozen backbone stages compute of augmented images.

Frozen stages compute the same features of the same augmented view of an image every time. They, image loading
and augmentation are a third of a training step on a CPU; a cached view costs 1 to 2 MB. With
``cache_features = k`` each image has k augmented views, which are used in turn.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.models.detection.image_list import ImageList

from pipeline.config import TrainConfig
from pipeline.models.mask_rcnn import TranspaletteMaskRCNN
from pipeline.models.samples import Target
from pipeline.training.augment.augmentation import augmentation
from pipeline.training.dataset import CocoDataset

MEMORY_DIVISOR = 2
"""The cache may take half of the machine's memory."""


@dataclass(frozen=True)
class BackboneFeatures:
    """A few images (B of them) after the model's resizing and the frozen stages of its backbone."""

    images: Tensor
    """Padded to one size: (B, 3, H, W); on the "meta" device, without data, if any stage is frozen."""
    maps: dict[str, Tensor]
    """The feature maps (B, C, h, w) of the frozen stages, "0", "1", ..."""
    sizes: list[tuple[int, int]]
    """Height and width of each image without padding."""
    targets: list[Target]
    """Resized like the images."""

    @property
    def nbytes(self) -> int:
        """Memory that the tensors take, in bytes."""
        tensors = [*self.maps.values(), *(t for target in self.targets for t in target.values())]
        return sum(t.numel() * t.element_size() for t in tensors)


def forward_frozen(
    model: TranspaletteMaskRCNN, images: list[Tensor], targets: list[Target]
) -> BackboneFeatures:
    """Resize and pad images (3, H, W) with their targets, and compute the frozen stages' feature maps."""
    padded, resized = model.transform(images, targets)
    stages = model.backbone.count_frozen_stages()
    if not stages:
        return BackboneFeatures(padded.tensors, {}, padded.image_sizes, resized)
    with torch.no_grad():
        maps = model.backbone.forward_body(padded.tensors, stages)
    return BackboneFeatures(padded.tensors.to("meta"), maps, padded.image_sizes, resized)


def forward_losses(model: TranspaletteMaskRCNN, features: BackboneFeatures) -> dict[str, Tensor]:
    """Compute the losses that ``model(images, targets)`` returns in training, from the features on."""
    # Fewer than when a view was cached, if a stage was unfrozen since.
    stages = model.backbone.count_frozen_stages()
    maps = {name: feature_map for name, feature_map in features.maps.items() if int(name) < stages}
    levels = model.backbone.forward_fpn(model.backbone.finish_body(features.images, maps))
    targets = [dict(target) for target in features.targets]
    proposals, rpn_losses = model.rpn(ImageList(features.images, features.sizes), levels, targets)
    _, roi_losses = model.roi_heads(levels, proposals, features.sizes, targets)
    return {**rpn_losses, **roi_losses}


class FeatureCache:
    """Features of single images in memory, by (number of the view, index of the image).

    It holds images of this process alone: see ``data_loader.shuffled_batches``.
    """

    def __init__(self, views: int) -> None:
        """Create an empty cache.

        Args:
            views: augmented views of each image to keep; 0: none, and every pass augments anew.
        """
        self.views = views
        self._features: dict[tuple[int, int], BackboneFeatures] = {}

    def __contains__(self, key: tuple[int, int]) -> bool:
        return key in self._features

    def view_of(self, data_pass: int) -> int:
        """Return the number of the augmented view that a pass through the data set uses."""
        return data_pass % self.views if self.views else data_pass

    def repeats(self, data_pass: int) -> bool:
        """Does a pass use views that an earlier pass has cached, unless training was interrupted since?"""
        return 0 < self.views <= data_pass

    def features(
        self, model: TranspaletteMaskRCNN, key: tuple[int, int], images: list[Tensor], targets: list[Target]
    ) -> BackboneFeatures:
        """Return the features of ``key``: cached ones, or those of ``images``, which are then cached."""
        if key in self._features:
            return self._features[key]
        features = forward_frozen(model, images, targets)
        if self.views:
            self._features[key] = features
        return features

    def mean_nbytes(self) -> float:
        """Return the mean size of an entry in bytes; 0 for an empty cache."""
        return sum(f.nbytes for f in self._features.values()) / max(1, len(self._features))


def choose_cached_views(
    model: TranspaletteMaskRCNN, train_set: CocoDataset, config: TrainConfig, device: torch.device
) -> int:
    """Return how many views of each image to cache: ``config.cache_features``, or fewer if memory is short.

    0 on a GPU, where the backbone costs little and memory is scarce. 0 also if a stage is or will be
    trained of a backbone that cannot be computed stage by stage.
    """
    if not config.cache_features or device.type != "cpu" or not len(train_set):
        return 0
    trains_stages = any(part.startswith("stage") for part in (*config.trainable, *config.unfreeze))
    if trains_stages and not model.backbone.stages():
        return 0
    image, target = train_set.transformed(augmentation(config, 0, 0))[0]
    view_nbytes = forward_frozen(model.train(), [image], [target]).nbytes * len(train_set)
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return config.cache_features
    return min(config.cache_features, memory // MEMORY_DIVISOR // view_nbytes)
