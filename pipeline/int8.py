"""What do 8-bit weights cost? The same exported model with both, on somebody's COCO file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blender.contract import UserError
from pipeline.evaluate import label_ids, predict_set, shared_classes
from pipeline.exported import Exported
from pipeline.image_files import find_image
from pipeline.matching import with_rle
from pipeline.metrics import coco_metrics
from pipeline.mixing import only
from pipeline.validate import read_sound_coco

MOST_LOSS = 0.02
"""Of AP50, boxes or masks, that 8-bit weights may cost."""


@dataclass(frozen=True)
class Truth:
    """What AP50 is measured on."""

    dataset: dict[str, Any]
    """COCO, its masks as compressed RLE."""
    paths: dict[int, Path]
    """Of its images, by id."""
    labels: dict[int, int]
    """The model's label to the file's category id."""


def read_truth(annotations: Path, images: Path, classes: tuple[str, ...]) -> Truth:
    """Read the COCO file on which two models are compared.

    Raises:
        UserError: it is missing or unsound, shares no class with the model, or has nothing to find.
    """
    dataset = read_sound_coco(annotations)
    shared, _ = shared_classes(classes, dataset["categories"], str(annotations))
    dataset = with_rle(only(dataset, shared.values()))
    if not any(not a["iscrowd"] for a in dataset["annotations"]):
        raise UserError(
            f"{annotations}: no object of the model's classes, so there is nothing to measure with"
        )
    paths = {i["id"]: find_image(images, i["file_name"]) for i in dataset["images"]}
    return Truth(dataset, paths, label_ids(classes, shared))


def check_int8(plain: Exported, int8: Exported, truth: Truth) -> str:
    """Compare AP50 of the same model with 32-bit and with 8-bit weights; a line that says both.

    Raises:
        UserError: 8 bits cost more than ``MOST_LOSS``.
    """
    before, after = _ap50(plain, truth), _ap50(int8, truth)
    says = "int8: AP50 " + ", ".join(f"{kind} {before[kind]:.3f} -> {after[kind]:.3f}" for kind in before)
    says += f" on {len(truth.paths)} images"
    if max(before[kind] - after[kind] for kind in before) > MOST_LOSS:
        raise UserError(
            f"{int8.name}: {says}: a loss of at most {MOST_LOSS} is wanted; export without --int8"
        )
    return says


def _ap50(exported: Exported, truth: Truth) -> dict[str, float]:
    results, _ = predict_set(
        exported.find, truth.dataset["images"], truth.paths, truth.labels, exported.facts.precision
    )
    overall = coco_metrics(truth.dataset, results)["overall"]
    return {"boxes": overall["bbox"]["AP50"], "masks": overall["segm"]["AP50"]}
