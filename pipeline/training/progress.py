"""Report the progress of training: terminal output, metrics.jsonl, and TensorBoard's files."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import torch
from torch import nn

from blender.contract import write_atomic
from pipeline.common.durations import format_duration
from pipeline.models.checkpoint import Checkpoint, ResumeState
from pipeline.training.dataset import CocoDataset
from pipeline.training.param_groups import trainable_parameters

Progress = Callable[[int, float | None], None]
"""Called with the number of images since the last call and their loss; None in validation."""
LOSS_WINDOW = 20
"""Steps over which the loss of the progress bar is averaged."""


def print_run(
    checkpoint: Checkpoint,
    resume: ResumeState,
    train_set: CocoDataset,
    val_set: CocoDataset,
    model: nn.Module,
) -> None:
    """Print the model, its start weights, the data, the device and the precision of a run."""
    device = next(model.parameters()).device
    processor = f"{torch.get_num_threads()} threads"
    if device.type == "cuda":
        processor = torch.cuda.get_device_name(device)
    click.echo(f"train: {checkpoint.model} from {checkpoint.start['kind']}: {checkpoint.start['source']}")
    click.echo(
        f"train: {len(train_set)} training images, {len(val_set)} validation images, {checkpoint.epochs} "
        f"epochs, {_millions(model)} trainable parameters; {device.type} ({processor}), {resume.precision}"
    )
    for note in (*train_set.notes, *(f"validation split: {note}" for note in val_set.notes)):
        click.echo(f"train: {note}")
    if checkpoint.epoch:
        click.echo(f"train: resuming after epoch {checkpoint.epoch}")


def print_unfreezing(epoch: int, model: nn.Module) -> None:
    """Print that more parameters are trainable from an epoch on, counted from 0."""
    click.echo(f"train: {_millions(model)} trainable parameters from epoch {epoch + 1} on")


def _millions(model: nn.Module) -> str:
    return f"{sum(p.numel() for _, p in trainable_parameters(model)) / 1e6:.1f} M"


@contextlib.contextmanager
def progress_bar(epoch: int, epochs: int, images: int, visible: bool = True) -> Iterator[Progress]:
    """Show an epoch's progress bar: loss, images per second, and the remaining time of the run.

    Args:
        epoch: number of the epoch, from 0.
        epochs: number of planned epochs.
        images: images per epoch: those of all passes, and the validation images.
        visible: False: show nothing, for other ranks than 0.
    """
    if not visible:
        yield lambda count, loss: None
        return
    began, done, steps, mean_loss = time.monotonic(), 0, 0, 0.0
    label = f"epoch {epoch + 1}/{epochs}"
    with click.progressbar(length=images, label=label, show_eta=False, item_show_func=lambda s: s) as bar:

        def update(count: int, loss: float | None) -> None:
            nonlocal done, steps, mean_loss
            done += count
            if loss is not None:
                steps += 1
                mean_loss += (loss - mean_loss) / min(steps, LOSS_WINDOW)
            rate = done / max(1e-9, time.monotonic() - began)
            remaining = ((epochs - epoch) * images - done) / rate
            bar.update(count, f"loss {mean_loss:.3f}, {rate:.1f} images/s, {format_duration(remaining)} left")

        yield update


def write_metrics(path: Path, checkpoint: Checkpoint, losses: dict[str, float], is_best: bool) -> None:
    """Append the epoch's line to metrics.jsonl, and print a summary.

    Lines of later epochs, which an interrupted run may have left, are removed.
    """
    entry = {
        "epoch": checkpoint.epoch,
        "epochs": checkpoint.epochs,
        "losses": losses,
        "val": checkpoint.metrics,
        "best": is_best,
        "score_threshold": checkpoint.score_threshold,
        "seconds": checkpoint.seconds,
    }
    earlier = path.read_text().splitlines()[: checkpoint.epoch - 1] if checkpoint.epoch > 1 else []
    write_atomic(path, "".join(f"{line}\n" for line in [*earlier, json.dumps(entry)]).encode())
    scores = ", ".join(
        f"{name} {_format_score(metrics['segm']['AP'])} ({_format_score(metrics['segm']['AP50'])})"
        for name, metrics in checkpoint.metrics["classes"].items()
    )
    click.echo(
        f"epoch {checkpoint.epoch}/{checkpoint.epochs}: loss {losses['loss']:.3f}; mask AP (AP50): {scores}"
        f"{' (best)' if is_best else ''}; {format_duration(checkpoint.seconds)}"
    )


def _format_score(value: float | None) -> str:
    """Format a metric; "n/a" if there is no ground truth."""
    return "n/a" if value is None else f"{value:.3f}"


def write_tensorboard(folder: Path, checkpoint: Checkpoint, losses: dict[str, float]) -> None:
    """Add the epoch's losses and validation metrics to TensorBoard's event files, if it is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter  # imported here because it is an optional package
    except ImportError:
        return
    scalars = {f"losses/{name}": value for name, value in losses.items()}
    for name, metrics in {**checkpoint.metrics["classes"], "overall": checkpoint.metrics["overall"]}.items():
        scalars |= {
            f"{iou_type}/{name}/{metric}": metrics[iou_type][metric]
            for iou_type in ("bbox", "segm")
            for metric in ("AP", "AP50")
        }
    with SummaryWriter(str(folder)) as writer:
        for name, value in scalars.items():
            if value is not None:  # a class without ground truth in the validation split
                writer.add_scalar(name, value, checkpoint.epoch)
