"""One epoch of training, to be read from top to bottom."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from pipeline.common.seeds import seed_of
from pipeline.config import Profile, UserError
from pipeline.models.checkpoint import Checkpoint
from pipeline.models.targets import Target
from pipeline.training.augment import augmentation
from pipeline.training.dataset import CocoDataset, collate_fn
from pipeline.training.distributed import add_up, share, size
from pipeline.training.feature_cache import View, losses, see
from pipeline.training.progress import Tick
from pipeline.training.run_state import Learner
from pipeline.training.schedule import autocast, schedule
from pipeline.training.sharded_step import Step

LOSSES = ("loss_classifier", "loss_box_reg", "loss_mask", "loss_dice", "loss_objectness", "loss_rpn_box_reg")
"""What the model gives while it trains; their sum is minimised."""
PIXEL_LOSSES = ("loss_pixels", "loss_regions")
"""What light heads give besides."""
Chunk = tuple[list[int], list[Tensor], list[Target]]
"""Indices of images that go through the model together; the images and targets of those not kept."""


def train_one_epoch(
    learner: Learner,
    train_set: CocoDataset,
    kept: dict[tuple[int, int], View],
    *,
    profile: Profile,
    so_far: Checkpoint,
    tick: Tick,
) -> dict[str, float]:
    """Go ``passes`` times through the images, each time in another order; return the mean of each loss.

    Args:
        kept: views of earlier epochs, by number of the view and index of the image; grows.
        so_far: what says which epoch this is, of how many, at which precision, with how many views.

    Raises:
        UserError: the loss or its gradient is not finite; names the images.
    """
    model, optimizer, scaler = learner.model, learner.optimizer, learner.scaler
    config, device, resume = profile.train, next(model.parameters()).device, so_far.resume or {}
    steps = math.ceil(len(train_set) / (config.batch_size * config.accumulate)) * config.passes
    rounds = range(so_far.epoch * config.passes, (so_far.epoch + 1) * config.passes)
    names = model.loss_names
    sums = torch.zeros(len(names), device=device)
    second = Step(model, learner.average, optimizer)
    model.train()
    for step, (turn, view, batch, chunks) in enumerate(
        batches(train_set, profile, rounds, resume["views"], device, kept), start=so_far.epoch * steps
    ):
        for group in optimizer.param_groups:
            group["lr"] = config.lr * group["factor"] * schedule(step, so_far.epochs * steps, config)
        total = torch.zeros(len(names), device=device)
        second.gradients.zero_()
        for indices, images, targets in chunks:
            # torchvision samples boxes from the global generator.
            seed = seed_of(profile.seed, turn + 1, indices[0])
            torch.manual_seed(seed)
            with autocast(resume["precision"], device):
                seen = see(model, images, targets) if images else kept[view, indices[0]]
                if 0 < resume["views"] <= turn:  # kept, or lost to an interruption: to see it again draws
                    torch.manual_seed(seed)
                parts = losses(model, seen)
            if resume["views"]:
                kept[view, indices[0]] = seen
            found = torch.stack([parts[name].float() for name in names]) * (len(indices) / len(batch))
            if not torch.isfinite(found).all():
                raise UserError(not_finite("loss", so_far.epoch, [train_set.name(i) for i in indices]))
            scaler.scale(found.sum()).backward()
            total += found.detach()
        second.add_up()
        add_up(total)
        scaler.unscale_(optimizer)
        norm = second.norm()
        if not (scaler.is_enabled() or torch.isfinite(norm)):  # the scaler leaves out such a step itself
            raise UserError(not_finite("gradient", so_far.epoch, [train_set.name(i) for i in batch]))
        if config.clip_grad_norm:
            second.scale((config.clip_grad_norm / (norm + 1e-6)).clamp(max=1.0))
        second.move(scaler, decay=min(config.ema, (1 + step) / (10 + step)))
        scaler.update()
        sums += total / steps
        tick(len(batch), total.sum().item())
    named = dict(zip(names, sums.tolist(), strict=True))
    return {name: round(value, 6) for name, value in {"loss": sums.sum().item(), **named}.items()}


def not_finite(what: str, epoch: int, names: list[str]) -> str:
    """What to say of a loss or gradient that is NaN or infinite."""
    return (
        f"the {what} is not finite in epoch {epoch + 1} on {', '.join(names)}; look at these images "
        "('transpalette validate'), or lower [train] lr; last.pt and model.pt are those of the epoch before"
    )


def shuffled(count: int, batch_size: int, rng: np.random.Generator) -> list[list[int]]:
    """Batches of an epoch: each place in a batch draws from images of its own, in random order.

    So an image always meets the same process, which may have kept its features.
    """
    places = [rng.permutation(np.arange(first, count, batch_size)).tolist() for first in range(batch_size)]
    return [[place[i] for place in places if i < len(place)] for i in range(math.ceil(count / batch_size))]


def shuffled_round(train_set: CocoDataset, profile: Profile, turn: int) -> list[list[int]]:
    """The batches of one round through the images, each what one step takes."""
    batch_size = profile.train.batch_size * profile.train.accumulate
    return shuffled(len(train_set), batch_size, np.random.default_rng([profile.seed, turn]))


def batches(
    train_set: CocoDataset,
    profile: Profile,
    rounds: Iterable[int],
    views: int,
    device: torch.device,
    kept: Collection[tuple[int, int]],
) -> Iterator[tuple[int, int, list[int], list[Chunk]]]:
    """Yield the batches of some rounds through the images: round, view, the indices of all images of the
    batch, and this process's share of them in chunks.

    A chunk is what goes through the model at once. On a CPU that is one image, which costs no more and makes
    the result independent of the number of processes; on a GPU it is this process's part of ``batch_size``.
    """
    for turn in rounds:
        view = turn % views if views else turn
        for batch, chunks in _round(train_set, profile, turn, view, device, kept):
            yield turn, view, batch, chunks


def _round(
    train_set: CocoDataset,
    profile: Profile,
    turn: int,
    view: int,
    device: torch.device,
    kept: Collection[tuple[int, int]],
) -> Iterator[tuple[list[int], list[Chunk]]]:
    config = profile.train
    groups = shuffled_round(train_set, profile, turn)
    shares = [list(share(group)) for group in groups]
    wanted = [[i for i in mine if (view, i) not in kept] for mine in shares]
    loader = torch.utils.data.DataLoader(
        train_set.transformed(augmentation(config, profile.seed, view)),
        batch_sampler=wanted,
        collate_fn=collate_fn,
        num_workers=config.workers,
        generator=torch.Generator(),  # or it would draw from the global one
    )
    step = 1 if device.type == "cpu" else math.ceil(config.batch_size / size())
    for group, mine, new, (images, targets) in zip(groups, shares, wanted, loader, strict=True):
        image_of = {i: image.to(device) for i, image in zip(new, images, strict=True)}
        target_of = {i: {k: v.to(device) for k, v in t.items()} for i, t in zip(new, targets, strict=True)}
        chunks = [mine[i : i + step] for i in range(0, len(mine), step)]
        yield (
            group,
            [
                ([*c], [image_of[i] for i in c if i in new], [target_of[i] for i in c if i in new])
                for c in chunks
            ],
        )
