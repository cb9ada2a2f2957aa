"""Validation after an epoch: detections on the validation split, and their COCO metrics."""

from __future__ import annotations

from typing import Any

import torch
from torchvision.models.detection import MaskRCNN

from pipeline.data.combine import select_categories
from pipeline.evaluation.diagnosis import best_threshold
from pipeline.evaluation.matching import evaluate_detections
from pipeline.evaluation.metrics import compute_metrics
from pipeline.inference.predictor import predict_coco
from pipeline.training.dataset import CocoDataset
from pipeline.training.device import autocast
from pipeline.training.distributed import gather, shard, world_size
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
    dataset: CocoDataset, results: list[dict[str, Any]]
) -> tuple[dict[str, Any], float]:
    """Compute the COCO metrics of results on a dataset, and the score threshold with the best F1."""
    evaluation = evaluate_detections(select_categories(dataset.coco, dataset.labels), results)
    return compute_metrics(evaluation), best_threshold(evaluation)
