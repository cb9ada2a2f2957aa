"""Use a COCO set as every command does, in the test's own process."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from blender.contract import UserError
from pipeline.config import ExtraSet
from pipeline.data.coco_io import count_without_mask
from pipeline.data.combine import NamedSet
from pipeline.data.formats import FORMATS, CocoSet, ExportOptions
from pipeline.data.validation.check import load_validated_coco
from pipeline.evaluation.evaluate import evaluate_results
from pipeline.reporting.dataset_stats import class_panels, dataset_statistics
from pipeline.training.dataset import CocoDataset
from pipeline.viz.contact_sheet import PARTS, contact_sheet
from pipeline.viz.plots import plot_statistics, to_png
from tests.pipeline.data.validation.cases import HEIGHT, WIDTH, valid_dataset

CLASSES = ("pedestrian", "pallet_truck")


def write_set(folder: Path, dataset: Any) -> None:
    """Write annotations.json and the images of ``valid_dataset``."""
    (folder / "images" / "sub").mkdir(parents=True, exist_ok=True)
    for name in ("a.png", "sub/b.png"):
        if not (folder / "images" / name).exists():
            Image.fromarray(np.full((HEIGHT, WIDTH, 3), 90, np.uint8)).save(folder / "images" / name)
    (folder / "annotations.json").write_text(json.dumps(dataset))


def use_everywhere(folder: Path, plots: bool = False) -> None:
    """Evaluate, count, preview, convert and train on a set that ``validate`` finds sound.

    Args:
        folder: has annotations.json and images/.
        plots: draw the statistics too, which takes a second.
    """
    path, images = folder / "annotations.json", folder / "images"
    dataset = load_validated_coco(path)
    coco_set = ExtraSet(str(path), str(images))
    if dataset["annotations"]:
        evaluate_results(_perfect_results(folder, dataset), NamedSet("set", (coco_set,)), None, bootstrap=2)
    panels = class_panels([dataset_statistics(dataset)])
    if plots:
        to_png(plot_statistics(["set"], panels))
    contact_sheet(folder, count=2, columns=2, width=48, show=PARTS)
    # What needs masks may refuse a set with boxes.
    has_boxes = count_without_mask(dataset["annotations"])[0] > 0
    refusal = contextlib.suppress(UserError) if has_boxes else contextlib.nullcontext()
    for form in FORMATS.values():
        for layout in form.layouts:
            with refusal:
                for _ in form.write([CocoSet(dataset, images)], ExportOptions(layout)):
                    pass
    write_set(folder / "valid", valid_dataset())
    valid = folder / "valid"
    with refusal:
        samples = CocoDataset(valid / "annotations.json", valid / "images", CLASSES, extra=[coco_set])
        samples.check_images()
        for index in range(len(samples)):
            samples[index]


def _perfect_results(folder: Path, dataset: dict[str, Any]) -> Path:
    keys = ("image_id", "category_id", "bbox", "segmentation")
    objects = [a for a in dataset["annotations"] if not a["iscrowd"]]
    path = folder / "results.json"
    path.write_text(json.dumps([{k: a[k] for k in keys if k in a} | {"score": 0.9} for a in objects]))
    return path
