"""Views of training images, as augmented, and what the frozen part of the body makes of them.

The body is a third of a training step, and what is frozen of it always answers the same view with the same
features: kept, they need not be computed again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.image_list import ImageList

from pipeline.config import TrainConfig
from pipeline.models.targets import Target
from pipeline.training.augment import augmentation
from pipeline.training.dataset import CocoDataset


@dataclass(frozen=True)
class View:
    """A few images on their way through the model, behind what is frozen of its body."""

    images: Tensor
    """Padded: (B, 3, H, W); without data (on the "meta" device) where some of the body is frozen."""
    features: dict[str, Tensor]
    """The frozen stages', (B, C, h, w) each."""
    sizes: list[tuple[int, int]]
    """Height and width of each image, without the padding."""
    targets: list[Target]
    """At the images' size."""

    def bytes(self) -> int:
        """What keeping it takes."""
        tensors = [*self.features.values(), *(t for target in self.targets for t in target.values())]
        return sum(t.numel() * t.element_size() for t in tensors)


def see(model: MaskRCNN, images: list[Tensor], targets: list[Target]) -> View:
    """Resize and pad images (3, H, W) with their targets, and send them through the frozen stages."""
    padded, resized = model.transform(images, targets)
    frozen = model.backbone.count_frozen_stages()
    if not frozen:
        return View(padded.tensors, {}, padded.image_sizes, resized)
    with torch.no_grad():
        features = model.backbone.forward_body(padded.tensors, frozen)
    return View(padded.tensors.to("meta"), features, padded.image_sizes, resized)


def losses(model: MaskRCNN, view: View) -> dict[str, Tensor]:
    """What ``model(images, targets)`` gives in training, from the view on."""
    frozen = model.backbone.count_frozen_stages()  # fewer than when the view was seen, if some thawed since
    found = {name: tap for name, tap in view.features.items() if int(name) < frozen}
    images = ImageList(view.images, view.sizes)
    levels = model.backbone.forward_fpn(model.backbone.finish_body(view.images, found))
    targets = [dict(target) for target in view.targets]
    proposals, found = model.rpn(images, levels, targets)
    _, more = model.roi_heads(levels, proposals, view.sizes, targets)
    return {**found, **more}


def affordable_views(
    model: MaskRCNN, train_set: CocoDataset, config: TrainConfig, device: torch.device
) -> int:
    """How many views of each image to keep: as wanted, or what half of the machine's memory holds.

    On a GPU none: there, the body costs little and memory is dear. None either where a stage learns, or will,
    of a body that can't be cut at it.
    """
    if not config.cache_features or device.type != "cpu" or not len(train_set):
        return 0
    thaws = any(part.startswith("stage") for part in (*config.trainable, *config.unfreeze))
    if thaws and not model.backbone.stages():
        return 0
    image, target = train_set.transformed(augmentation(config, 0, 0))[0]
    each = see(model.train(), [image], [target]).bytes() * len(train_set)
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return config.cache_features
    return min(config.cache_features, memory // 2 // each)
