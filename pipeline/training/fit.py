"""The training loop. Its state between epochs is last.pt; every draw follows from seed and epoch."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import click
import torch
from torchvision.models.detection import MaskRCNN

from pipeline.config import Profile
from pipeline.data.combine import only
from pipeline.evaluation.diagnosis import best_threshold
from pipeline.evaluation.matching import evaluate_detections
from pipeline.evaluation.metrics import compute_metrics
from pipeline.inference.predictor import predict_coco
from pipeline.models.checkpoint import Checkpoint, save_checkpoint
from pipeline.training.dataset import CocoDataset
from pipeline.training.distributed import from_leader, gather, rank, share, size
from pipeline.training.feature_cache import View, affordable_views
from pipeline.training.loop import train_one_epoch
from pipeline.training.oom import memory_guard
from pipeline.training.param_groups import learning_parts, set_trainable
from pipeline.training.progress import Tick, announce, epoch_bar, write_metrics
from pipeline.training.run_state import Learner, fresh, restore, resumable
from pipeline.training.schedule import autocast
from pipeline.training.snapshots import log_board, show_epoch


def fit(profile: Profile, train_dir: Path, val_dir: Path, out: Path, key: str) -> None:
    """Train from the profile's start, or on from ``out``/last.pt if that has the same inputs.

    Args:
        key: hash of the inputs.

    Raises:
        UserError: data or weights are missing or wrong, the loss is not finite, or memory is short.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train_set = CocoDataset(
        train_dir / "annotations.json", train_dir / "images", profile.classes, extra=profile.train.extra
    )
    val_set = CocoDataset(val_dir / "annotations.json", val_dir / "images", profile.classes)
    train_set.check_images()
    val_set.check_images()
    checkpoint = resumable(out, key) or fresh(profile, len(train_set), key, device)
    config = profile.train.of_start(checkpoint.start["kind"])
    profile = dataclasses.replace(profile, train=config)
    learner, resume = restore(checkpoint, config, device)
    with memory_guard(config, device):
        if "views" not in resume:
            resume["views"] = affordable_views(learner.model, train_set, config, device)
        run_epochs(profile, learner, dataclasses.replace(checkpoint, resume=resume), train_set, val_set, out)


def run_epochs(
    profile: Profile,
    learner: Learner,
    checkpoint: Checkpoint,
    train_set: CocoDataset,
    val_set: CocoDataset,
    out: Path,
) -> None:
    """Train, validate and write, epoch after epoch, until the last one or until it gets no better."""
    config, resume, leads = profile.train, dict(checkpoint.resume or {}), rank() == 0
    kept: dict[tuple[int, int], View] = {}
    images, begin = len(train_set) * config.passes + len(val_set), checkpoint.epoch
    for epoch in range(begin, checkpoint.epochs):
        if config.patience and resume["stale"] >= config.patience:
            if leads:
                click.echo(f"train: {resume['stale']} epochs without a better one: [train] patience ends it")
            break
        for one in (learner.model, learner.average):
            set_trainable(one, learning_parts(config, epoch))
        so_far = dataclasses.replace(checkpoint, epoch=epoch, resume=resume)
        if leads:
            announce(so_far, train_set, val_set, learner.model, first=epoch == begin)
        began = time.monotonic()
        with epoch_bar(epoch, checkpoint.epochs, images, leads) as tick:
            losses = train_one_epoch(learner, train_set, kept, profile=profile, so_far=so_far, tick=tick)
            results = predict_split(learner.average, val_set, resume["precision"], tick)
        state = learner.state()
        if leads:  # it judges and writes
            seconds = round(checkpoint.seconds + time.monotonic() - began, 1)
            checkpoint = conclude(so_far, learner.average, state, val_set, results, seconds)
            resume = dict(checkpoint.resume or {})
            if best := resume["stale"] == 0:
                save_checkpoint(out / "model.pt", dataclasses.replace(checkpoint, resume=None))
            write_metrics(out / "metrics.jsonl", checkpoint, losses, best)
            show_epoch(out / "training", checkpoint, profile, train_set, val_set, results)
            log_board(out / "training", checkpoint, losses)
            # Last, so that what it says has happened; a run killed before this repeats the epoch.
            save_checkpoint(out / "last.pt", checkpoint)
        resume["stale"] = from_leader(resume["stale"])


def conclude(
    so_far: Checkpoint,
    average: MaskRCNN,
    learner_state: dict[str, Any],
    val_set: CocoDataset,
    results: list[dict[str, Any]],
    seconds: float,
) -> Checkpoint:
    """Judge an epoch: the checkpoint after it. The best one so far has ``resume["stale"]`` 0."""
    resume = dict(so_far.resume or {})
    metrics, threshold = judge(val_set, results)
    ap = metrics["overall"]["segm"]["AP"]
    best = ap is None or ap > resume["best"]
    resume["stale"] = 0 if best else resume["stale"] + 1
    resume["best"] = ap if best and ap is not None else resume["best"]
    return dataclasses.replace(
        so_far,
        epoch=so_far.epoch + 1,
        metrics=metrics,
        score_threshold=threshold,
        seconds=seconds,
        state={name: value.clone() for name, value in average.state_dict().items()},
        resume=resume | learner_state,
    )


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
    """Compute COCO's figures of the results, and the score threshold with the best F1."""
    evaluation = evaluate_detections(only(val_set.coco, val_set.labels), results)
    return compute_metrics(evaluation), best_threshold(evaluation)
