"""The training data loader: shuffled batches of augmented images, divided among the training processes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.config import TrainConfig
from pipeline.models.samples import Target
from pipeline.training.augment.augmentation import augmentation
from pipeline.training.dataset import CocoDataset, collate_fn
from pipeline.training.distributed import shard, world_size
from pipeline.training.feature_cache import FeatureCache
from pipeline.training.sampling.images import batches_of_pass, images_of_view, images_per_step, mine
from pipeline.training.sampling.mining import BackgroundLosses


@dataclass(frozen=True)
class Chunk:
    """Images that one process runs through the model together."""

    indices: list[int]
    """Indices of the images in the dataset."""
    images: list[Tensor]
    """The augmented images, (3, H, W) in 0..1; empty if their features are cached."""
    targets: list[Target]
    """Their targets; empty if their features are cached."""


@dataclass(frozen=True)
class Batch:
    """The images of one optimizer step."""

    data_pass: int
    """Number of the pass through the dataset, counted from 0 over the complete run."""
    view: int
    """Number of the augmented view."""
    indices: list[int]
    """Indices of the batch's images in the dataset, over all processes."""
    chunks: list[Chunk]
    """This process's share of the images."""


class TrainLoader:
    """The batches of each epoch. A pass has as many views as there are labelled images.

    Without negatives and mining these are all labelled images, each once.
    """

    def __init__(
        self,
        dataset: CocoDataset,
        config: TrainConfig,
        seed: int,
        feature_cache: FeatureCache,
        device: torch.device,
        background_losses: BackgroundLosses | None = None,
    ) -> None:
        """Set up the loader.

        Args:
            dataset: the training images.
            config: the recipe; ``passes`` is the number of passes through the dataset in an epoch.
            seed: the run's seed.
            feature_cache: images whose features it contains are not loaded.
            device: images and targets are moved to it. On a CPU images go through the model one by one,
                which is as fast, and makes the result independent of the number of processes. On a GPU a
                chunk is this process's share of ``batch_size``.
            background_losses: decide which images are mined; None: no mining.
        """
        self.dataset, self.config, self.seed = dataset, config, seed
        self.feature_cache, self.device = feature_cache, device
        self.background_losses = background_losses
        on_cpu = device.type == "cpu"
        self._chunk_size = 1 if on_cpu else math.ceil(config.batch_size / world_size())

    def __len__(self) -> int:
        """Return the number of optimizer steps in an epoch."""
        return math.ceil(len(self.dataset) / images_per_step(self.config)) * self.config.passes

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, counted from 0."""
        for data_pass in range(epoch * self.config.passes, (epoch + 1) * self.config.passes):
            yield from self._pass(data_pass)

    def indices_of_pass(self, data_pass: int) -> list[list[int]]:
        """Return the indices of the images in each batch of a pass, over all processes."""
        images, view = len(self.dataset), self.feature_cache.view_of(data_pass)
        indices = images_of_view(images, self.dataset.negatives, self.config, self.seed, view)
        losses = self.background_losses.weights() if self.background_losses else None
        if losses is not None:
            indices = mine(indices, losses, self.config, self.seed, data_pass)
        return batches_of_pass(indices, self.config, self.seed, data_pass)

    def _pass(self, data_pass: int) -> Iterator[Batch]:
        view = self.feature_cache.view_of(data_pass)
        batches = self.indices_of_pass(data_pass)
        shares = [list(shard(indices)) for indices in batches]
        to_load = [[i for i in share if (view, i) not in self.feature_cache] for share in shares]
        main_classes = self.config.main_classes or len(self.dataset.classes)
        loader = torch.utils.data.DataLoader(
            self.dataset.transformed(augmentation(self.config, self.seed, view, main_classes)),
            batch_sampler=to_load,
            collate_fn=collate_fn,
            num_workers=self.config.workers,
            generator=torch.Generator(),  # without it, the loader draws from the global generator
        )
        for indices, share, loaded, (images, targets) in zip(batches, shares, to_load, loader, strict=True):
            yield Batch(data_pass, view, indices, self._chunks(share, loaded, images, targets))

    def _chunks(
        self, share: list[int], loaded: list[int], images: list[Tensor], targets: list[Target]
    ) -> list[Chunk]:
        """Divide this process's share into chunks, on the device."""
        image_of = {i: image.to(self.device) for i, image in zip(loaded, images, strict=True)}
        target_of = {
            i: {name: value.to(self.device) for name, value in target.items()}
            for i, target in zip(loaded, targets, strict=True)
        }
        chunks = [share[i : i + self._chunk_size] for i in range(0, len(share), self._chunk_size)]
        return [
            Chunk(
                indices,
                [image_of[i] for i in indices if i in image_of],
                [target_of[i] for i in indices if i in target_of],
            )
            for indices in chunks
        ]
