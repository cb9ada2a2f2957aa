"""The score threshold of a trained model, chosen on the validation split and on a split of ordinary frames.

Most frames of the validation split have objects, so false alarms are rarer there than before a camera that
mostly sees none. Ordinary frames make them count as often as they occur.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click
import torch

from pipeline.config import ExtraSet, Profile
from pipeline.models.checkpoint import load_model, save_checkpoint
from pipeline.training.dataset import CocoDataset
from pipeline.training.distributed import rank
from pipeline.training.epoch_validation import compute_validation_metrics, predict_dataset


def read_threshold_set(profile: Profile, val_dir: Path, threshold_dir: Path) -> CocoDataset:
    """Read and check the validation split and another split as one dataset.

    Raises:
        UserError: a file is missing or wrong.
    """
    exif = profile.train.exif
    other = ExtraSet(str(threshold_dir / "annotations.json"), str(threshold_dir / "images"), exif=exif)
    annotations, images = val_dir / "annotations.json", val_dir / "images"
    dataset = CocoDataset(annotations, images, profile.classes, extra=(other,), exif=exif)
    dataset.check_images()
    return dataset


def choose_threshold(model_path: Path, dataset: CocoDataset, precision: str, device: torch.device) -> None:
    """Set the score threshold of a checkpoint to that with the best F1 on a dataset. All processes call this.

    Args:
        model_path: the checkpoint, which is written again with another threshold.
        dataset: the images.
        precision: number format of the prediction.
        device: where the model runs.
    """
    model, checkpoint = load_model(model_path, str(device))
    results = predict_dataset(model, dataset, precision, lambda images, loss: None)
    if rank() == 0:
        _, threshold = compute_validation_metrics(dataset, results)
        save_checkpoint(model_path, dataclasses.replace(checkpoint, score_threshold=threshold))
        click.echo(
            f"train: score threshold {threshold:.2f} (best F1 on {len(dataset)} images of two splits; on the "
            f"validation split alone {checkpoint.score_threshold:.2f})"
        )
