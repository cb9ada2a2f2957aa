"""The training loop. Its state between epochs is last.pt; every draw follows from seed and epoch."""

from __future__ import annotations

import copy
import dataclasses
import time
from pathlib import Path
from typing import Any

import click
import torch
from torchvision.models.detection import MaskRCNN

from pipeline.checkpoint import Checkpoint, load_checkpoint, model_of, save_checkpoint
from pipeline.config import ModelConfig, Profile, TrainConfig, UserError
from pipeline.dataset import CocoDataset
from pipeline.diagnosis import best_threshold
from pipeline.distributed import gather, rank, share, size
from pipeline.epoch import train_one_epoch
from pipeline.ignore import respect_ignore_regions
from pipeline.inference import predict_coco
from pipeline.metrics import coco_metrics
from pipeline.mixing import only
from pipeline.model import build_model, parameter_groups, set_trainable, trainable, training_options
from pipeline.progress import Tick, announce, epoch_bar, write_metrics
from pipeline.recipe import autocast, choose_precision, seed_of
from pipeline.views import View, affordable_views
from pipeline.weights import StartWeights, resolve


def fit(profile: Profile, train_dir: Path, val_dir: Path, out: Path, key: str) -> None:
    """Train from the profile's start, or on from ``out``/last.pt if that has the same inputs.

    Args:
        key: hash of the inputs.

    Raises:
        UserError: data or weights are missing or wrong, or the loss is not finite.
    """
    config, device = profile.train, torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train_set = CocoDataset(
        train_dir / "annotations.json", train_dir / "images", profile.classes, extra=config.extra
    )
    val_set = CocoDataset(val_dir / "annotations.json", val_dir / "images", profile.classes)
    train_set.check_images()
    val_set.check_images()
    checkpoint = resumable(out, key) or fresh(profile, len(train_set), key, device)
    model, average, optimizer, resume = restore(checkpoint, config, device)
    if "views" not in resume:
        resume["views"] = affordable_views(model, train_set, config, device)
    kept: dict[tuple[int, int], View] = {}
    if rank() == 0:
        announce(
            checkpoint, len(train_set), len(val_set), sum(p.numel() for _, p in trainable(model)), device
        )
        for note in train_set.notes:
            click.echo(f"train: {note}")

    images = len(train_set) * config.passes + len(val_set)
    for epoch in range(checkpoint.epoch, checkpoint.epochs):
        began = time.monotonic()
        with epoch_bar(epoch, checkpoint.epochs, images, rank() == 0) as tick:
            losses = train_one_epoch(
                model,
                average,
                optimizer,
                train_set,
                kept,
                profile=profile,
                so_far=dataclasses.replace(checkpoint, epoch=epoch, resume=resume),
                tick=tick,
            )
            results = predict_split(average, val_set, resume["precision"], tick)
        if rank() > 0:
            continue  # the leader judges and writes
        metrics, threshold = judge(val_set, results)
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


@torch.inference_mode()
def predict_split(model: MaskRCNN, val_set: CocoDataset, precision: str, tick: Tick) -> list[dict[str, Any]]:
    """Predict every image, each process its share; the leader gets them all, as COCO results."""
    device, count = next(model.parameters()).device, size()
    samples = ((val_set.records[i]["id"], val_set[i][0]) for i in share(range(len(val_set))))
    with autocast(precision, device):
        results = predict_coco(
            model,
            samples,
            {label: i for i, label in val_set.labels.items()},
            lambda n: tick(n * count, None),
        )
    return gather(results)


def judge(val_set: CocoDataset, results: list[dict[str, Any]]) -> tuple[dict[str, Any], float]:
    """Give ``coco_metrics`` of the results, and the score threshold best for them (F1)."""
    truth = only(val_set.coco, val_set.labels)
    return coco_metrics(truth, results), best_threshold(truth, results)


# ------------------------------------------------------------------------------ the run's state


def fresh(profile: Profile, images: int, key: str, device: torch.device) -> Checkpoint:
    """The checkpoint of epoch 0: the start weights, and predictors for the profile's classes."""
    start = resolve(profile.model)
    detects = start.kind in ("coco", "checkpoint")
    epochs = (profile.train.pretrained_epochs if detects else 0) or profile.train.epochs
    model = untrained(start, profile.classes, profile.model, profile.seed)
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


def untrained(start: StartWeights, classes: tuple[str, ...], config: ModelConfig, seed: int) -> MaskRCNN:
    """The network before its first step: the start weights, and predictors drawn from ``seed``."""
    torch.manual_seed(seed_of(seed, 0))
    keep = start.classes == classes
    return build_model(start.model, len(classes) + 1, config, start.state, keep_predictors=keep)


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
    whole = config.min_size or model.transform.min_size[0]
    model.transform.min_size = (max(32, round(whole * config.crop)),)
    with torch.no_grad():
        for name, parameter in trainable(model):
            if name in resume["weights"]:
                parameter.copy_(resume["weights"][name])
    groups = parameter_groups(model, config, checkpoint.start["kind"])
    optimizer: torch.optim.Optimizer = (
        torch.optim.AdamW(groups, fused=True)
        if config.optimizer == "adamw"
        else torch.optim.SGD(groups, momentum=config.momentum, fused=True)
    )
    if resume["optimizer"]:
        optimizer.load_state_dict(resume["optimizer"])
    return model, average, optimizer, resume
