"""COCO splits of small images with coloured shapes: a pedestrian is a red bar, a pallet truck a blue L."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

CLASSES = ("pedestrian", "pallet_truck")
SIZE = 96
"""Width and height of an image in pixels."""


def draw_bar_and_l(rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draw a bar and an L on noise; return the image (SIZE, SIZE, 3) uint8 and both masks (SIZE, SIZE)."""
    image = rng.integers(90, 130, (SIZE, SIZE, 3), dtype=np.uint8)
    bar, ell = np.zeros((2, SIZE, SIZE), bool)
    x, y = rng.integers(4, 30, 2)
    bar[y : y + 50, x : x + 14] = True
    x, y = rng.integers(48, 54), rng.integers(20, 50)
    ell[y : y + 30, x : x + 8] = ell[y + 22 : y + 30, x : x + 36] = True
    image[bar] = (220, 60, 40)
    image[ell] = (40, 80, 220)
    return image, [bar, ell]


def rle(mask: np.ndarray) -> dict[str, Any]:
    """Encode a mask (H, W) as COCO's compressed RLE, ready for JSON."""
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def write_split(folder: Path, count: int, seed: int = 0, empty: int = 1) -> dict[str, Any]:
    """Write ``count`` images, the last ``empty`` of them without objects; return the COCO table."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(seed)
    table: dict[str, Any] = {
        "images": [],
        "annotations": [],
        # The ids have gaps, and their order is not that of ``CLASSES``.
        "categories": [{"id": 3, "name": "pallet_truck"}, {"id": 7, "name": "pedestrian"}],
    }
    for number in range(count):
        image, masks = draw_bar_and_l(rng)
        if number >= count - empty:
            image, masks = rng.integers(90, 130, (SIZE, SIZE, 3), dtype=np.uint8), []
        name = f"{number:06d}.png"
        Image.fromarray(image).save(folder / "images" / name)
        table["images"].append({"id": number + 10, "file_name": name, "width": SIZE, "height": SIZE})
        for mask, category in zip(masks, (7, 3), strict=False):
            rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
            box = [columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1]
            table["annotations"].append(
                {
                    "id": len(table["annotations"]) + 1,
                    "image_id": number + 10,
                    "category_id": category,
                    "iscrowd": 0,
                    "area": int(mask.sum()),
                    "bbox": [int(v) for v in box],
                    "segmentation": rle(mask),
                }
            )
    write_table(folder, table)
    return table


def write_table(folder: Path, table: dict[str, Any]) -> None:
    """Write the annotation file of a split."""
    (folder / "annotations.json").write_text(json.dumps(table))
