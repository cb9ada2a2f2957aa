"""The training loop. Its state between epochs is last.pt; every draw follows from seed and epoch."""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN

from pipeline.augment import augmentation
from pipeline.checkpoint import Checkpoint, load_checkpoint, model_of, save_checkpoint
from pipeline.config import Profile, TrainConfig, UserError
from pipeline.dataset import CocoDataset, Target, collate_fn
from pipeline.diagnosis import best_threshold
from pipeline.ignore import respect_ignore_regions
from pipeline.inference import predict_coco
from pipeline.metrics import coco_metrics
from pipeline.model import build_model, parameter_groups, set_trainable, trainable, training_options
from pipeline.progress import Tick, announce, epoch_bar, write_metrics
from pipeline.recipe import autocast, choose_precision, schedule, seed_of
from pipeline.weights import resolve


def fit(profile: Profile, train_dir: Path, val_dir: Path, out: Path, key: str) -> None:
    """Train from the profile's start, or on from ``out``/last.pt if that has the same inputs.

    Args:
        key: hash of the inputs.

    Raises:
        UserError: data or weights are missing or wrong, or the loss is not finite.
    """
    config, device = profile.train, torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train_set = CocoDataset(train_dir / "annotations.json", train_dir / "images", profile.classes)
    val_set = CocoDataset(val_dir / "annotations.json", val_dir / "images", profile.classes)
    train_set.check_images()
    val_set.check_images()
    checkpoint = resumable(out, key) or fresh(profile, len(train_set), key, device)
    model, average, optimizer, resume = restore(checkpoint, config, device)
    announce(checkpoint, len(train_set), len(val_set), sum(p.numel() for _, p in trainable(model)), device)

    for epoch in range(checkpoint.epoch, checkpoint.epochs):
        began = time.monotonic()
        with epoch_bar(epoch, checkpoint.epochs, len(train_set) + len(val_set)) as tick:
            losses = train_one_epoch(
                model, average, optimizer, train_set, profile=profile, so_far=checkpoint, tick=tick
            )
            metrics, threshold = validate(average, val_set, resume["precision"], tick)
        ap = metrics["overall"]["segm"]["AP"]
        best = ap is None or ap > resume["best"]
        resume["best"] = ap if best and ap is not None else resume["best"]
        resume["optimizer"] = optimizer.state_dict()
        resume["weights"] = {name: p.detach() for name, p in trainable(model)}
        checkpoint = dataclasses.replace(
            checkpoint,
            epoch=epoch + 1,
            metrics=metrics,
            score_threshold=threshold,
            seconds=round(checkpoint.seconds + time.monotonic() - began, 1),
            state=average.state_dict(),
            resume=resume,
        )
        if best:
            save_checkpoint(out / "model.pt", dataclasses.replace(checkpoint, resume=None))
        write_metrics(out / "metrics.jsonl", checkpoint, losses, best)
        # Last, so that what it says has happened; a run killed before this repeats the epoch.
        save_checkpoint(out / "last.pt", checkpoint)


def train_one_epoch(
    model: MaskRCNN,
    average: MaskRCNN,
    optimizer: torch.optim.Optimizer,
    train_set: CocoDataset,
    *,
    profile: Profile,
    so_far: Checkpoint,
    tick: Tick,
) -> dict[str, float]:
    """Go once through the images, in this epoch's order; return the mean of each loss.

    Args:
        so_far: what says which epoch this is, of how many, at which precision.

    Raises:
        UserError: the loss is not finite; names the images of the batch.
    """
    config, device = profile.train, next(model.parameters()).device
    epoch, precision = so_far.epoch, (so_far.resume or {})["precision"]
    steps = math.ceil(len(train_set) / config.batch_size)
    sums: dict[str, float] = {}
    model.train()
    torch.manual_seed(seed_of(profile.seed, epoch + 1))  # torchvision samples boxes from the global generator
    for step, (names, images, targets) in enumerate(
        batches(train_set, profile, epoch, device), start=epoch * steps
    ):
        for group in optimizer.param_groups:
            group["lr"] = config.lr * group["factor"] * schedule(step, so_far.epochs * steps, config)
        with autocast(precision, device):
            parts = model(images, targets)
        loss = torch.stack([part.float() for part in parts.values()]).sum()
        if not torch.isfinite(loss):
            raise UserError(
                f"the loss is {loss.item()} in epoch {epoch + 1} on {', '.join(names)}; look at these images "
                "('transpalette validate'), or lower [train] lr"
            )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for _, p in trainable(model)], config.clip_grad_norm)
        optimizer.step()
        update_average(average, model, min(config.ema, (1 + step) / (10 + step)))
        for name, value in {"loss": loss, **parts}.items():
            sums[name] = sums.get(name, 0.0) + value.item() / steps
        tick(len(images), loss.item())
    return {name: round(value, 6) for name, value in sums.items()}


@torch.inference_mode()
def validate(
    model: MaskRCNN, val_set: CocoDataset, precision: str, tick: Tick
) -> tuple[dict[str, Any], float]:
    """Give ``coco_metrics`` on the validation split, and the score threshold best there (F1)."""
    device, labels = next(model.parameters()).device, val_set.labels
    truth = val_set.coco | {
        "categories": [c for c in val_set.coco["categories"] if c["id"] in labels],
        "annotations": [a for image in val_set.annotations.values() for a in image],
    }
    samples = ((record["id"], val_set[i][0]) for i, record in enumerate(val_set.records))
    with autocast(precision, device):
        results = predict_coco(
            model, samples, {label: i for i, label in labels.items()}, lambda n: tick(n, None)
        )
    return coco_metrics(truth, results), best_threshold(truth, results)


# ------------------------------------------------------------------------------ the run's state


def fresh(profile: Profile, images: int, key: str, device: torch.device) -> Checkpoint:
    """The checkpoint of epoch 0: the start weights, and predictors for the profile's classes."""
    start = resolve(profile.model)
    detects = start.kind in ("coco", "checkpoint")
    epochs = (profile.train.pretrained_epochs if detects else 0) or profile.train.epochs
    torch.manual_seed(seed_of(profile.seed, 0))
    model = build_model(
        start.model,
        len(profile.classes) + 1,
        profile.model,
        start.state,
        keep_predictors=start.classes == profile.classes,
    )
    return Checkpoint(
        model=start.model,
        config=dataclasses.asdict(profile.model),
        classes=profile.classes,
        start=start.describe(),
        metrics={},
        epoch=0,
        epochs=epochs,
        seed=profile.seed,
        seconds=0.0,
        images=images,
        score_threshold=0.5,
        state=model.state_dict(),
        resume={
            "key": key,
            "best": -1.0,
            "precision": choose_precision(profile.train.precision, device),
            "optimizer": {},
            "weights": {},
        },
    )


def resumable(out: Path, key: str) -> Checkpoint | None:
    """The run in ``out``, if it is whole and has these inputs."""
    try:
        last = load_checkpoint(out / "last.pt")
        load_checkpoint(out / "model.pt")
    except UserError:
        return None
    same = last.resume is not None and last.resume["key"] == key and (out / "metrics.jsonl").is_file()
    return last if same else None


def restore(
    checkpoint: Checkpoint, config: TrainConfig, device: torch.device
) -> tuple[MaskRCNN, MaskRCNN, torch.optim.Optimizer, dict[str, Any]]:
    """Build from a checkpoint: the model that learns, its running average, the optimizer, the rest."""
    resume = dict(checkpoint.resume or {})
    average = model_of(checkpoint, Path("last.pt"), **training_options(config))
    average = average.to(device, memory_format=torch.channels_last).eval()
    set_trainable(average, config.trainable)
    model = respect_ignore_regions(copy.deepcopy(average))
    if config.min_size:
        model.transform.min_size = (config.min_size,)
    with torch.no_grad():
        for name, parameter in trainable(model):
            if name in resume["weights"]:
                parameter.copy_(resume["weights"][name])
    groups = parameter_groups(model, config, checkpoint.start["kind"])
    optimizer: torch.optim.Optimizer = (
        torch.optim.AdamW(groups)
        if config.optimizer == "adamw"
        else torch.optim.SGD(groups, momentum=config.momentum)
    )
    if resume["optimizer"]:
        optimizer.load_state_dict(resume["optimizer"])
    return model, average, optimizer, resume


def batches(
    train_set: CocoDataset, profile: Profile, epoch: int, device: torch.device
) -> Iterator[tuple[list[str], list[Tensor], list[Target]]]:
    """Yield the epoch's batches: file names, images, targets."""
    config = profile.train
    order = np.random.default_rng([profile.seed, epoch]).permutation(len(train_set)).tolist()
    groups = [order[i : i + config.batch_size] for i in range(0, len(order), config.batch_size)]
    loader = torch.utils.data.DataLoader(
        train_set.transformed(augmentation(config, profile.seed, epoch)),
        batch_sampler=groups,
        collate_fn=collate_fn,
        num_workers=config.workers,
        generator=torch.Generator(),  # or it would draw from the global one
    )
    for group, (images, targets) in zip(groups, loader, strict=True):
        yield (
            [train_set.name(i) for i in group],
            [image.to(device) for image in images],
            [{k: v.to(device) for k, v in target.items()} for target in targets],
        )


def update_average(average: MaskRCNN, model: MaskRCNN, decay: float) -> None:
    """Move the running average of the weights that learn towards ``model``."""
    with torch.no_grad():
        for (_, mean), (_, now) in zip(trainable(average), trainable(model), strict=True):
            mean.lerp_(now, 1 - decay)
