"""Run all epochs of a training: train, validate, save a checkpoint, stop early.

last.safetensors contains the complete state between epochs, and all random numbers depend only on the seed
and the epoch. So a resumed run gives the same bytes as an uninterrupted run.
"""

from __future__ import annotations

import dataclasses
import time
from itertools import chain
from pathlib import Path
from typing import Any

import click
import torch

from blender.contract import print_warning
from pipeline.config import Profile
from pipeline.models.checkpoint import Checkpoint, ResumeState, save_checkpoint
from pipeline.training.augment.resolution import usable_resolution
from pipeline.training.data_loader import TrainLoader
from pipeline.training.dataset import CocoDataset
from pipeline.training.device import choose_device, memory_guard
from pipeline.training.distributed import broadcast, from_leader, rank
from pipeline.training.epoch_images import write_epoch_images
from pipeline.training.epoch_validation import (
    choose_threshold,
    compute_validation_metrics,
    predict_dataset,
    read_threshold_set,
)
from pipeline.training.feature_cache import FeatureCache, choose_cached_views
from pipeline.training.loop import train_one_epoch
from pipeline.training.param_groups import set_trainable, trainable_parameters, trainable_parts
from pipeline.training.progress import (
    print_run,
    print_unfreezing,
    progress_bar,
    write_metrics,
    write_tensorboard,
)
from pipeline.training.sampling.mining import BackgroundLosses
from pipeline.training.sampling.negatives import add_negatives
from pipeline.training.sharded_optimizer import ShardedOptimizer
from pipeline.training.train_state import TrainState, find_resumable, initial_checkpoint, restore


def fit(
    profile: Profile,
    train_dir: Path,
    val_dir: Path,
    out: Path,
    inputs_hash: str,
    allow_empty_classes: bool = False,
    threshold_dir: Path | None = None,
) -> None:
    """Train from the profile's start weights, or resume from ``out``/last.safetensors.

    Args:
        train_dir: folder of the training split, with annotations.json and images/.
        val_dir: folder of the validation split.
        out: folder for model.safetensors, last.safetensors, metrics.jsonl and training/.
        inputs_hash: SHA-256 of all inputs of training; only a run with the same hash is resumed.
        allow_empty_classes: train even if a class has no object in the training images.
        threshold_dir: folder of a split on which, with that of validation, the score threshold is chosen.

    Raises:
        UserError: data or weights are missing or wrong, the loss is not finite, or memory is exhausted.
    """
    device = choose_device()
    train_set, val_set = from_leader(lambda: _read_splits(profile, train_dir, val_dir, allow_empty_classes))
    threshold_set = (
        from_leader(lambda: read_threshold_set(profile, val_dir, threshold_dir)) if threshold_dir else None
    )
    checkpoint = find_resumable(out, inputs_hash) or initial_checkpoint(
        profile, len(train_set), inputs_hash, device
    )
    config = profile.train.of_start(checkpoint.start["kind"])
    state = restore(checkpoint, config, device)
    with memory_guard(config, device):
        run_epochs(
            dataclasses.replace(profile, train=config), state, checkpoint, train_set, val_set, out, device
        )
        if threshold_set is not None and checkpoint.resume is not None:
            precision = checkpoint.resume.precision
            choose_threshold(out / "model.safetensors", threshold_set, precision, device, config.main_classes)


def _read_splits(
    profile: Profile, train_dir: Path, val_dir: Path, allow_empty_classes: bool
) -> tuple[CocoDataset, CocoDataset]:
    """Read and check the training set, with its extra sets and negatives, and the validation set."""
    exif, extra = profile.train.exif, profile.train.extra
    train_set, val_set = (
        CocoDataset(
            folder / "annotations.json",
            folder / "images",
            profile.classes,
            auxiliary=auxiliary,
            extra=sets,
            exif=exif,
        )
        for folder, auxiliary, sets in ((train_dir, profile.model.auxiliary, extra), (val_dir, (), ()))
    )
    if not allow_empty_classes:
        train_set.check_classes()
    for name in val_set.classes_without_objects():
        print_warning(f"class '{name}': 0 objects in {len(val_set)} validation images")
    train_set.check_images()
    val_set.check_images()
    return add_negatives(train_set, profile.train), val_set


def run_epochs(
    profile: Profile,
    state: TrainState,
    checkpoint: Checkpoint,
    train_set: CocoDataset,
    val_set: CocoDataset,
    out: Path,
    device: torch.device,
) -> None:
    """Train, validate and save, epoch by epoch, until the last epoch or early stopping.

    All processes call this. Only rank 0 computes metrics, updates ``checkpoint`` and writes files; other
    ranks use only the fields of ``checkpoint`` that do not change during a run.
    """
    config, is_leader = profile.train, rank() == 0
    resolution = usable_resolution(state.model, config)
    train_set = train_set.limited(resolution)
    resume = _with_cached_views(checkpoint, state, profile, train_set, device)
    feature_cache = FeatureCache(resume.cached_views or 0)
    background_losses = (
        BackgroundLosses(len(train_set), resume.background_losses, device) if config.mining else None
    )
    data_loader = TrainLoader(train_set, config, profile.seed, feature_cache, device, background_losses)
    images = len(train_set) * config.passes + len(val_set)
    first_epoch, epochs_without_improvement = checkpoint.epoch, resume.epochs_without_improvement
    for epoch in range(first_epoch, checkpoint.epochs):
        if config.patience and epochs_without_improvement >= config.patience:
            if is_leader:
                click.echo(
                    f"train: stopping early: {epochs_without_improvement} epochs without a better mask AP "
                    "([train] patience)"
                )
            break

        for network in (state.model, state.ema_model):
            set_trainable(network, trainable_parts(config, epoch))
        optimizer = ShardedOptimizer(state.model, state.ema_model, state.optimizer)
        if is_leader and epoch == first_epoch:
            print_run(checkpoint, resume, train_set, val_set, state.model)
        elif is_leader and trainable_parts(config, epoch) != trainable_parts(config, epoch - 1):
            print_unfreezing(epoch, state.model)

        first = list(chain.from_iterable(data_loader.indices_of_pass(epoch * config.passes)))
        began = time.monotonic()
        with progress_bar(epoch, checkpoint.epochs, images, visible=is_leader) as progress:
            losses = train_one_epoch(
                state.model,
                optimizer,
                data_loader,
                device,
                epoch,
                profile=profile,
                precision=resume.precision,
                scaler=state.scaler,
                feature_cache=feature_cache,
                progress=progress,
            )
            results = predict_dataset(state.ema_model, val_set, resume.precision, progress)

        optimizer_state = optimizer.state_dict()
        seconds = round(checkpoint.seconds + time.monotonic() - began, 1)
        if is_leader:
            metrics, score_threshold = compute_validation_metrics(val_set, results, config.main_classes)
            resume = _after_validation(resume, metrics, state, optimizer_state)
            if background_losses:
                resume = dataclasses.replace(resume, background_losses=background_losses.state())
            checkpoint = dataclasses.replace(
                checkpoint,
                epoch=epoch + 1,
                metrics=metrics,
                score_threshold=score_threshold,
                seconds=seconds,
                state={name: value.clone() for name, value in state.ema_model.state_dict().items()},
                resume=resume,
            )
            if is_best := resume.epochs_without_improvement == 0:
                save_checkpoint(out / "model.safetensors", dataclasses.replace(checkpoint, resume=None))
            write_metrics(out / "metrics.jsonl", checkpoint, losses, is_best)
            shown = val_set.limited(resolution)
            write_epoch_images(
                out / "training", checkpoint, profile, feature_cache, train_set, shown, results, first
            )
            write_tensorboard(out / "training", checkpoint, losses)
            # Written last: a run that is killed before this repeats the epoch.
            save_checkpoint(out / "last.safetensors", checkpoint)
        epochs_without_improvement = broadcast(resume.epochs_without_improvement)


def _with_cached_views(
    checkpoint: Checkpoint, state: TrainState, profile: Profile, train_set: CocoDataset, device: torch.device
) -> ResumeState:
    """Return the checkpoint's resume state with the number of cached views, which is chosen once per run."""
    resume = checkpoint.resume
    if resume is None:
        raise ValueError("a checkpoint without ResumeState cannot be resumed")
    if resume.cached_views is not None:
        return resume
    views = choose_cached_views(state.model, train_set, profile.train, device)
    return dataclasses.replace(resume, cached_views=views)


def _after_validation(
    resume: ResumeState, metrics: dict[str, Any], state: TrainState, optimizer_state: dict[str, Any]
) -> ResumeState:
    """Return the resume state after an epoch; the best epoch has 0 ``epochs_without_improvement``."""
    # Without an object in the validation split the AP is None, and every epoch is the best.
    ap = metrics["overall"]["segm"]["AP"]
    is_best = ap is None or ap > resume.best_ap
    return dataclasses.replace(
        resume,
        best_ap=ap if is_best and ap is not None else resume.best_ap,
        epochs_without_improvement=0 if is_best else resume.epochs_without_improvement + 1,
        weights={name: p.detach().clone() for name, p in trainable_parameters(state.model)},
        optimizer=optimizer_state,
        scaler=state.scaler.state_dict(),
    )
