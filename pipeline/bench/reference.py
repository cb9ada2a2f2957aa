"""torchvision's own way to train a Mask R-CNN, as its references/detection does, to measure ours against.

float32, whole pictures, a random flip, torchvision's numbers of proposals and samples, SGD at 0.02 for 16
images a step, a linear warm-up in the first epoch and steps at 16/26 and 22/26 of the run. The network, its
start weights and the parts that learn are ours, so that only the way to train differs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.models.detection import MaskRCNN
from torchvision.transforms import v2

from pipeline.common.seeds import derive_seed
from pipeline.config import Profile
from pipeline.models.pretrained import initial_model, resolve
from pipeline.models.targets import Sample
from pipeline.training.dataset import CocoDataset, collate_fn
from pipeline.training.param_groups import set_trainable, trainable_parameters

Spent = tuple[float, float]
"""Seconds on the wall, and of the processor."""
LR, LR_IMAGES, WEIGHT_DECAY, MOMENTUM = 0.02, 16, 1e-4, 0.9
WARMUP, WARMUP_FACTOR = 1000, 1 / 1000
STEPS, EPOCHS = (16, 22), 26


def train(
    profile: Profile, train_set: CocoDataset, epochs: int, sizes: tuple[int, int] | None = None
) -> tuple[MaskRCNN, list[Spent]]:
    """Train for some epochs; the model, and what each step took: seconds, and CPU seconds.

    Args:
        sizes: shorter and longer side of what the network sees; None: the profile's.
    """
    config = profile.model if sizes is None else replace(profile.model, min_size=sizes[0], max_size=sizes[1])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = initial_model(resolve(config), profile.classes, config, profile.seed).to_torchvision().to(device)
    set_trainable(model, profile.train.trainable)
    torch.manual_seed(derive_seed(profile.seed, 1))
    batch_size = profile.train.batch_size
    loader = torch.utils.data.DataLoader(
        train_set.transformed(flipped), batch_size=batch_size, shuffle=True, collate_fn=collate_fn
    )
    optimizer = torch.optim.SGD(
        [p for _, p in trainable_parameters(model)],
        lr=LR * batch_size / LR_IMAGES,
        momentum=MOMENTUM,
        weight_decay=WEIGHT_DECAY,
    )
    steps = torch.optim.lr_scheduler.MultiStepLR(optimizer, [round(n * epochs / EPOCHS) for n in STEPS])
    spent: list[Spent] = []
    for epoch in range(epochs):
        _one_epoch(model, optimizer, loader, warm=epoch == 0, device=device, spent=spent)
        steps.step()
    return model, spent


def _one_epoch(
    model: MaskRCNN,
    optimizer: torch.optim.Optimizer,
    loader: Any,
    *,
    warm: bool,
    device: torch.device,
    spent: list[Spent],
) -> None:
    model.train()
    warmup = None
    if warm and len(loader) > 1:
        length = min(WARMUP, len(loader) - 1)
        warmup = torch.optim.lr_scheduler.LinearLR(optimizer, WARMUP_FACTOR, total_iters=length)
    began = clocks()
    for images, targets in loader:
        moved = [{name: value.to(device) for name, value in target.items()} for target in targets]
        found = model([image.to(device) for image in images], moved)
        loss = sum(found.values())
        if not torch.isfinite(loss):
            raise RuntimeError("the reference's loss is not finite")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if warmup is not None:
            warmup.step()
        now = clocks()
        spent.append((now[0] - began[0], now[1] - began[1]))
        began = now


def clocks() -> Spent:
    """Two clocks: on the wall, and this process's of the processor."""
    return time.perf_counter(), time.process_time()


def flipped(sample: Sample, index: int, other: Callable[[np.random.Generator], Sample]) -> Sample:
    """A sample, mirrored or not, as in torchvision's training preset; ignore regions are background."""
    image, target = sample
    boxes = tv_tensors.BoundingBoxes(target["boxes"], format="XYXY", canvas_size=image.shape[1:])
    wrapped = {"boxes": boxes, "masks": tv_tensors.Mask(target["masks"])}
    image, wrapped = v2.RandomHorizontalFlip(0.5)(tv_tensors.Image(image), wrapped)
    plain = {name: value.as_subclass(torch.Tensor) for name, value in wrapped.items()}
    rest = {name: target[name] for name in ("labels", "ignore", "image_id")}
    return image.as_subclass(torch.Tensor), {**rest, **plain}
