"""Unusual datasets train and evaluate: no objects, one image, tiny or very many objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pipeline.cli import main
from pipeline.models.checkpoint import load_checkpoint
from pipeline.training.command import train
from tests.helpers.shapes import SIZE, rle, write_table
from tests.helpers.training import with_train


def write_masks(
    folder: Path, masks: list[np.ndarray], images: int = 1, classes: tuple[int, ...] = (7, 3)
) -> None:
    """Write a split of ``images`` images with the same masks each; category ids of the masks: in turn."""
    (folder / "images").mkdir(parents=True)
    table: dict[str, Any] = {
        "images": [], "annotations": [],
        "categories": [{"id": 3, "name": "pallet_truck"}, {"id": 7, "name": "pedestrian"}],
    }  # fmt: skip
    rng = np.random.default_rng(0)
    for number in range(1, images + 1):
        pixels = rng.integers(90, 130, (SIZE, SIZE, 3), dtype=np.uint8)
        for i, mask in enumerate(masks):
            pixels[mask] = (220, 60, 40)
            rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
            box = [columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1]
            table["annotations"].append(
                {
                    "id": len(table["annotations"]) + 1, "image_id": number, "iscrowd": 0,
                    "category_id": classes[i % len(classes)], "area": int(mask.sum()),
                    "bbox": [int(v) for v in box], "segmentation": rle(mask),
                }
            )  # fmt: skip
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        table["images"].append({"id": number, "file_name": f"{number}.png", "width": SIZE, "height": SIZE})
    write_table(folder, table)


def squares(count: int, side: int) -> list[np.ndarray]:
    masks = np.zeros((count, SIZE, SIZE), bool)
    step = side + 1
    for i, mask in enumerate(masks):
        row, column = divmod(i, SIZE // step)
        mask[row * step : row * step + side, column * step : column * step + side] = True
    return list(masks)


DATA_SETS: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
    "no training objects": (([], 2), (squares(2, 20), 2)),
    "objects of one pixel": ((squares(5, 1), 2), (squares(5, 1), 2)),
    "300 objects in an image": ((squares(300, 4), 1), (squares(300, 4), 1)),
    "a class absent from validation": ((squares(4, 20), 2), (squares(2, 20), 2, (7,))),
    "a single image": ((squares(2, 30), 1), (squares(2, 30), 1)),
}


FAST = ("no training objects", "300 objects in an image")
"""The others are slow tests."""


@pytest.mark.parametrize(
    "case", [pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow]) for name in DATA_SETS]
)
def test_unusual_datasets_train_and_evaluate(case: str, tmp_path: Path) -> None:
    for name, arguments in zip(("train", "val"), DATA_SETS[case], strict=True):
        write_masks(tmp_path / name, *arguments)
    train(
        with_train(epochs=1, copy_paste=1.0, pictures=1),
        tmp_path / "train",
        tmp_path / "val",
        tmp_path / "out",
        allow_empty_classes=case == "no training objects",
    )
    losses = json.loads((tmp_path / "out" / "metrics.jsonl").read_text())["losses"]
    assert all(np.isfinite(v) for v in losses.values())
    assert (tmp_path / "out" / "training" / "epoch-001-validation.jpg").is_file()
    files = ["--annotations", tmp_path / "val" / "annotations.json", "--images", tmp_path / "val" / "images"]
    done = CliRunner().invoke(main, [*map(str, ["evaluate", tmp_path / "out" / "model.safetensors", *files])])
    assert done.exit_code == 0, done.output
    metrics = load_checkpoint(tmp_path / "out" / "model.safetensors").metrics
    ap = metrics["classes"]["pallet_truck"]["segm"]["AP"]
    assert (ap is None) == (case == "a class absent from validation")
