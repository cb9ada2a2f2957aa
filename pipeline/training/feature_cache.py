"""The feature cache: keep the features that the frozen backbone stages compute from augmented images.

Frozen stages always compute the same features from the same augmented view of an image. Together with image
loading and augmentation they take a third of a training step on a CPU; a cached view takes 1 to 2 MB. With
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
"""The cache may take 1 / ``MEMORY_DIVISOR`` of the machine's memory."""


@dataclass(frozen=True)
class BackboneFeatures:
    """The features of B images after the model's resizing and the frozen stages of its backbone."""

    images: Tensor
    """The resized and padded images (B, 3, H, W); on the "meta" device, without data, if a stage is
    frozen."""
    maps: dict[str, Tensor]
    """The feature maps (B, C, h, w) of the frozen stages, "0", "1", ..."""
    sizes: list[tuple[int, int]]
    """Height and width of each image without padding."""
    targets: list[Target]
    """Their targets, resized like the images."""

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
    """Compute from features the losses that ``model(images, targets)`` returns in training."""
    # There are fewer frozen stages than in the cached features if a stage was unfrozen in the meantime.
    stages = model.backbone.count_frozen_stages()
    maps = {name: feature_map for name, feature_map in features.maps.items() if int(name) < stages}
    levels = model.backbone.forward_fpn(model.backbone.finish_body(features.images, maps))
    targets = [dict(target) for target in features.targets]
    proposals, rpn_losses = model.rpn(ImageList(features.images, features.sizes), levels, targets)
    _, roi_losses = model.roi_heads(levels, proposals, features.sizes, targets)
    return {**rpn_losses, **roi_losses}


class FeatureCache:
    """Features of single images in memory, by (number of the view, index of the image).

    It contains only images of this process (see ``data_loader.shuffled_batches``).
    """

    def __init__(self, views: int) -> None:
        """Create an empty cache.

        Args:
            views: number of augmented views of each image to cache; 0: no cache, so every pass uses a new
            view.
        """
        self.views = views
        self._features: dict[tuple[int, int], BackboneFeatures] = {}

    def __contains__(self, key: tuple[int, int]) -> bool:
        return key in self._features

    def view_of(self, data_pass: int) -> int:
        """Return the number of the augmented view that a pass through the dataset uses."""
        return data_pass % self.views if self.views else data_pass

    def repeats(self, data_pass: int) -> bool:
        """Return whether a pass uses a view that an earlier pass of the run has used.

        The view is cached unless training was interrupted in the meantime.
        """
        return 0 < self.views <= data_pass

    def features(
        self, model: TranspaletteMaskRCNN, key: tuple[int, int], images: list[Tensor], targets: list[Target]
    ) -> BackboneFeatures:
        """Return the features of ``key`` from the cache, or compute them from ``images`` and cache them."""
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
    """Return how many views of each image to cache: ``config.cache_features``, or fewer to limit memory.

    It is 0 on a GPU, where the backbone takes little time and memory is scarce. It is also 0 if a stage is or
    will be trainable and the backbone cannot run stage by stage.
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
