"""Measure the loss of accuracy by 8-bit weights on a COCO file, of exported models and of checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blender.contract import UserError
from pipeline.data.combine import select_categories
from pipeline.data.images import find_image
from pipeline.data.validation.check import load_validated_coco
from pipeline.evaluation.masks import with_rle
from pipeline.evaluation.matching import evaluate_detections
from pipeline.evaluation.metrics import compute_metrics
from pipeline.evaluation.run_model import Predict, run_model
from pipeline.evaluation.sets.read import label_ids, shared_classes

MAX_AP50_LOSS = 0.02
"""Largest allowed loss of AP50 of boxes or masks by 8-bit weights."""


@dataclass(frozen=True)
class ComparisonSet:
    """The images and annotations on which AP50 is measured."""

    dataset: dict[str, Any]
    """A COCO dataset, its masks as compressed RLE."""
    paths: dict[int, Path]
    """Image id to image file."""
    category_ids: dict[int, int]
    """The model's label to the dataset's category id."""


def read_comparison_set(annotations: Path, images: Path, classes: tuple[str, ...]) -> ComparisonSet:
    """Read the COCO file on which two models are compared.

    Args:
        annotations: the COCO file.
        images: the folder of its images.
        classes: the model's classes.

    Raises:
        UserError: the file is missing or invalid, or has no class in common with the model, or no object.
    """
    dataset = load_validated_coco(annotations)
    shared, _ = shared_classes(classes, dataset["categories"], str(annotations))
    dataset = with_rle(select_categories(dataset, shared.values()))
    if not any(not a["iscrowd"] for a in dataset["annotations"]):
        raise UserError(f"{annotations}: no object of the model's classes, so AP50 cannot be measured")
    paths = {i["id"]: find_image(images, i["file_name"]) for i in dataset["images"]}
    return ComparisonSet(dataset, paths, label_ids(classes, shared))


def check_int8(
    fp32: Predict, int8: Predict, comparison_set: ComparisonSet, name: str, limit: float = MAX_AP50_LOSS
) -> str:
    """Compare the AP50 of a model with 32-bit and with 8-bit weights.

    Args:
        fp32: predicts with 32-bit weights.
        int8: predicts with 8-bit weights.
        comparison_set: the images.
        name: the file's name, for messages.
        limit: largest allowed loss of AP50.

    Returns:
        A line for the terminal that states both.

    Raises:
        UserError: the loss is more than ``limit``, or the AP50 is too low to measure a loss.
    """
    before = _ap50(fp32, comparison_set, "fp32")
    if max(before.values()) <= limit:
        raise UserError(f"{name}: its AP50 on these images is too low to measure a loss; give other --images")
    after = _ap50(int8, comparison_set, "int8")
    line = "int8: AP50 " + ", ".join(f"{kind} {before[kind]:.3f} -> {after[kind]:.3f}" for kind in before)
    line += f" on {len(comparison_set.paths)} images"
    if max(before[kind] - after[kind] for kind in before) > limit:
        raise UserError(f"{name}: {line}: the largest allowed loss is {limit}; export without --int8")
    return line


def _ap50(predict: Predict, comparison_set: ComparisonSet, title: str) -> dict[str, float]:
    results, _ = run_model(
        predict,
        comparison_set.dataset["images"],
        comparison_set.paths,
        comparison_set.category_ids,
        title=title,
    )
    overall = compute_metrics(evaluate_detections(comparison_set.dataset, results))["overall"]
    kinds = {"boxes": "bbox", "masks": "segm"}
    return {kind: overall[name]["AP50"] for kind, name in kinds.items() if name in overall}
