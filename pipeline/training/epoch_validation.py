"""Validation: detections on the validation split, their COCO metrics, and the model's score threshold.

Most frames of the validation split have objects, so false alarms are rarer there than before a camera that
mostly sees none. A split of ordinary frames beside it makes them count as often as they occur.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click
import torch
from torchvision.models.detection import MaskRCNN

from pipeline.config import ExtraSet, Profile
from pipeline.data.combine import select_categories
from pipeline.evaluation.diagnosis import best_threshold
from pipeline.evaluation.matching import evaluate_detections
from pipeline.evaluation.metrics import compute_metrics
from pipeline.inference.predictor import predict_coco
from pipeline.models.checkpoint import load_model, save_checkpoint
from pipeline.training.dataset import CocoDataset
from pipeline.training.device import autocast
from pipeline.training.distributed import gather, rank, shard, world_size
from pipeline.training.progress import Progress


@torch.inference_mode()
def predict_dataset(
    model: MaskRCNN, dataset: CocoDataset, precision: str, progress: Progress
) -> list[dict[str, Any]]:
    """Detect the objects in every image of a dataset, each process in its share of the images.

    Returns:
        COCO results for all images on rank 0, [] on other ranks.
    """
    device, processes = next(model.parameters()).device, world_size()
    # Only the images are read: the masks of all objects of a large photograph fill the memory.
    samples = ((dataset.records[i]["id"], dataset.read_image(i)) for i in shard(range(len(dataset))))
    with autocast(precision, device):
        results = predict_coco(
            model,
            samples,
            {label: category for category, label in dataset.labels.items()},
            lambda images: progress(images * processes, None),
        )
    return gather(results)


def compute_validation_metrics(
    dataset: CocoDataset, results: list[dict[str, Any]], main_classes: int = 0
) -> tuple[dict[str, Any], float]:
    """Compute the COCO metrics of results on a dataset, and the score threshold with the best F1.

    Args:
        dataset: the images.
        results: COCO results.
        main_classes: number of classes, the first of the dataset, that count; 0: all.
    """
    most = main_classes or len(dataset.classes)
    categories = [category for category, label in dataset.labels.items() if label <= most]
    of_main = [result for result in results if result["category_id"] in categories]
    evaluation = evaluate_detections(select_categories(dataset.coco, categories), of_main)
    return compute_metrics(evaluation), best_threshold(evaluation)


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


def choose_threshold(
    model_path: Path, dataset: CocoDataset, precision: str, device: torch.device, main_classes: int = 0
) -> None:
    """Set the score threshold of a checkpoint to that with the best F1 on a dataset. All processes call this.

    Args:
        model_path: the checkpoint, which is written again with another threshold.
        dataset: the images.
        precision: number format of the prediction.
        device: where the model runs.
        main_classes: as in ``compute_validation_metrics``.
    """
    model, checkpoint = load_model(model_path, str(device))
    results = predict_dataset(model, dataset, precision, lambda images, loss: None)
    if rank() == 0:
        _, threshold = compute_validation_metrics(dataset, results, main_classes)
        save_checkpoint(model_path, dataclasses.replace(checkpoint, score_threshold=threshold))
        click.echo(
            f"train: score threshold {threshold:.2f} (best F1 on {len(dataset)} images of two splits; on the "
            f"validation split alone {checkpoint.score_threshold:.2f})"
        )
