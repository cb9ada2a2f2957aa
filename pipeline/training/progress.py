"""What training says while it runs, and metrics.jsonl."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import torch

from blender.contract import write_atomic
from pipeline.models.checkpoint import Checkpoint
from pipeline.training.dataset import CocoDataset
from pipeline.training.param_groups import trainable

Tick = Callable[[int, float | None], None]
"""Told how many images are done since the last call, and the loss on them if there is one."""


def announce(
    checkpoint: Checkpoint,
    train_set: CocoDataset,
    val_set: CocoDataset,
    model: torch.nn.Module,
    *,
    first: bool,
) -> None:
    """Say before this process's first epoch what is trained, on what, from what; later what else learns."""
    precision, device = (checkpoint.resume or {})["precision"], next(model.parameters()).device
    parameters = sum(p.numel() for _, p in trainable(model))
    known = sum(weights.numel() for weights in (checkpoint.resume or {})["weights"].values())
    if not first:
        if parameters > known:
            click.echo(
                f"train: from epoch {checkpoint.epoch + 1} on {parameters / 1e6:.1f} M parameters learn"
            )
        return
    name = f"{torch.get_num_threads()} threads"
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    click.echo(f"train: {checkpoint.model} from {checkpoint.start['kind']}: {checkpoint.start['source']}")
    click.echo(
        f"train: {len(train_set)} images ({len(val_set)} to validate), {checkpoint.epochs} epochs, "
        f"{parameters / 1e6:.1f} M parameters learn; {device.type} ({name}), {precision}"
    )
    for note in train_set.notes:
        click.echo(f"train: {note}")
    if checkpoint.epoch:
        click.echo(f"train: resuming after epoch {checkpoint.epoch}")


@contextlib.contextmanager
def epoch_bar(epoch: int, epochs: int, images: int, shown: bool = True) -> Iterator[Tick]:
    """Show one epoch's bar: the loss, images per second, and the time left of the whole training."""
    if not shown:
        yield lambda count, loss: None
        return
    began, done, seen, loss_now = time.monotonic(), 0, 0.0, 0.0
    label = f"epoch {epoch + 1}/{epochs}"
    with click.progressbar(length=images, label=label, show_eta=False, item_show_func=lambda s: s) as bar:

        def tick(count: int, loss: float | None) -> None:
            nonlocal done, seen, loss_now
            done += count
            if loss is not None:
                seen, loss_now = seen + 1, loss_now + (loss - loss_now) / min(seen + 1, 20)
            pace = done / max(1e-9, time.monotonic() - began)
            left = ((epochs - epoch) * images - done) / pace
            text = f"loss {loss_now:.3f}, {pace:.1f} images/s, {clock(left)} left"
            bar.update(count, text)

        yield tick


def clock(seconds: float) -> str:
    """Minutes and seconds, or hours and minutes."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def write_metrics(path: Path, checkpoint: Checkpoint, losses: dict[str, float], best: bool) -> None:
    """Put the epoch's line behind those of the epochs before it, and print it for people."""
    line = {
        "epoch": checkpoint.epoch,
        "epochs": checkpoint.epochs,
        "losses": losses,
        "val": checkpoint.metrics,
        "best": best,
        "score_threshold": checkpoint.score_threshold,
        "seconds": checkpoint.seconds,
    }
    kept = path.read_text().splitlines()[: checkpoint.epoch - 1] if checkpoint.epoch > 1 else []
    write_atomic(path, "".join(f"{one}\n" for one in [*kept, json.dumps(line)]).encode())
    scores = (
        f"{name} {figure(found['segm']['AP'])} ({figure(found['segm']['AP50'])})"
        for name, found in checkpoint.metrics["classes"].items()
    )
    click.echo(
        f"epoch {checkpoint.epoch}/{checkpoint.epochs}: loss {losses['loss']:.3f}; mask AP (AP50): "
        f"{', '.join(scores)}{' *' if best else ''}; {clock(checkpoint.seconds)} so far"
    )


def figure(value: float | None) -> str:
    """A figure for people; n/a where there is no ground truth."""
    return "n/a" if value is None else f"{value:.3f}"
