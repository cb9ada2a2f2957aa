"""Train a Mask R-CNN with torchvision's recipe (its references/detection), as the reference for training.

float32, uncropped images, a random flip, torchvision's numbers of proposals and samples, SGD with a learning
rate of 0.02 for 16 images per step, a linear warm-up in the first epoch, and learning-rate steps at 16/26
and 22/26 of the run. Network, initial weights and trainable parameters are those of the profile, so only
the recipe differs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.models.detection import MaskRCNN
from torchvision.transforms import v2

from pipeline.bench.measurement import clocks
from pipeline.common.seeds import derive_seed
from pipeline.config import Profile
from pipeline.models.pretrained import initial_model, resolve
from pipeline.models.samples import Sample
from pipeline.training.dataset import CocoDataset, collate_fn
from pipeline.training.param_groups import set_trainable, trainable_parameters

StepTime = tuple[float, float]
"""Wall-clock seconds and CPU seconds of a step."""
LR, LR_IMAGES, WEIGHT_DECAY, MOMENTUM = 0.02, 16, 1e-4, 0.9
WARMUP_STEPS, WARMUP_FACTOR = 1000, 1 / 1000
LR_MILESTONES, EPOCHS = (16, 22), 26


def train(
    profile: Profile, train_set: CocoDataset, epochs: int, sizes: tuple[int, int] | None = None
) -> tuple[MaskRCNN, list[StepTime]]:
    """Train a model with torchvision's recipe.

    Args:
        profile: sets network, initial weights, trainable parameters, batch size and seed.
        train_set: the training images.
        epochs: number of epochs.
        sizes: lengths of the shorter and the longer side to which images are resized; None: the profile's.

    Returns:
        The model and the time of each step.
    """
    config = replace(profile.model, auxiliary=())  # torchvision's heads have none
    if sizes is not None:
        config = replace(config, min_size=sizes[0], max_size=sizes[1])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = initial_model(resolve(config), profile.classes, config, profile.seed).to_torchvision().to(device)
    set_trainable(model, profile.train.trainable)
    torch.manual_seed(derive_seed(profile.seed, 1))
    batch_size = profile.train.batch_size
    loader = torch.utils.data.DataLoader(
        train_set.transformed(random_flip), batch_size=batch_size, shuffle=True, collate_fn=collate_fn
    )
    optimizer = torch.optim.SGD(
        [p for _, p in trainable_parameters(model)],
        lr=LR * batch_size / LR_IMAGES,
        momentum=MOMENTUM,
        weight_decay=WEIGHT_DECAY,
    )
    milestones = [round(n * epochs / EPOCHS) for n in LR_MILESTONES]
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones)
    times: list[StepTime] = []
    for epoch in range(epochs):
        _train_one_epoch(model, optimizer, loader, device, warm_up=epoch == 0, times=times)
        scheduler.step()
    return model, times


def _train_one_epoch(
    model: MaskRCNN,
    optimizer: torch.optim.Optimizer,
    data_loader: Any,
    device: torch.device,
    *,
    warm_up: bool,
    times: list[StepTime],
) -> None:
    """Train one epoch; the time of each step is appended to ``times``."""
    model.train()
    warm_up_scheduler = None
    if warm_up and len(data_loader) > 1:
        steps = min(WARMUP_STEPS, len(data_loader) - 1)
        warm_up_scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, WARMUP_FACTOR, total_iters=steps)
    last = clocks()
    for images, targets in data_loader:
        targets_on_device = [{name: value.to(device) for name, value in t.items()} for t in targets]
        losses = model([image.to(device) for image in images], targets_on_device)
        loss = sum(losses.values())
        if not torch.isfinite(loss):
            raise RuntimeError("the reference's loss is not finite")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if warm_up_scheduler is not None:
            warm_up_scheduler.step()
        now = clocks()
        times.append((now[0] - last[0], now[1] - last[1]))
        last = now


def random_flip(sample: Sample, index: int, other: Callable[[np.random.Generator], Sample]) -> Sample:
    """Flip a sample horizontally at random, as in torchvision's training preset.

    Ignore regions are treated as background. ``index`` and ``other`` belong to the interface of a transform
    and are not used.
    """
    image, target = sample
    boxes = tv_tensors.BoundingBoxes(target["boxes"], format="XYXY", canvas_size=image.shape[1:])
    wrapped = {"boxes": boxes, "masks": tv_tensors.Mask(target["masks"])}
    image, wrapped = v2.RandomHorizontalFlip(0.5)(tv_tensors.Image(image), wrapped)
    flipped = {name: value.as_subclass(torch.Tensor) for name, value in wrapped.items()}
    rest = {name: target[name] for name in ("labels", "ignore", "image_id")}
    return image.as_subclass(torch.Tensor), {**rest, **flipped}
