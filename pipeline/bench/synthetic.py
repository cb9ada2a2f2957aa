"""Sets of any size to convert, judge and validate: ellipses, drawn quickly."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as mask_utils

from blender.contract import (
    SCHEMA_VERSION,
    FrameRecord,
    Instance,
    Manifest,
    frame_paths,
    sha256_bytes,
)

CLASSES = ("pedestrian", "pallet_truck")
WIDTH, HEIGHT = 640, 480
PER_IMAGE = 5


def write_split(folder: Path, masks: int) -> None:
    """Write a split as the renderer would leave it, with ``masks`` objects, five a frame."""
    for name in ("images", "masks", "frames"):
        (folder / name).mkdir(parents=True)
    image, hashes = _png(np.full((HEIGHT, WIDTH, 3), 120, np.uint8)), {}
    for frame in range(-(-masks // PER_IMAGE)):
        count = min(PER_IMAGE, masks - frame * PER_IMAGE)
        pixels, instances = _frame(np.random.default_rng([0, frame]), count)
        mask = _png(pixels)
        record = FrameRecord(
            schema=SCHEMA_VERSION,
            frame=frame,
            seed=0,
            split=folder.name,
            fingerprint=sha256_bytes(b"bench"),
            width=WIDTH,
            height=HEIGHT,
            camera={"height": 1.5},
            lights={"lamps": 4},
            layout="aisle",
            image_sha256=sha256_bytes(image),
            mask_sha256=sha256_bytes(mask),
            instances=instances,
        ).to_bytes()
        for path, data in zip(frame_paths(folder, frame), (image, mask, record), strict=True):
            path.write_bytes(data)
        hashes[f"{frame:06d}"] = sha256_bytes(record)
    manifest = Manifest(
        SCHEMA_VERSION, "bench", folder.name, 0, CLASSES, "none", 0, sha256_bytes(b"bench"), hashes
    )
    (folder / "manifest.json").write_bytes(manifest.to_bytes())


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG", compress_level=1)
    return stream.getvalue()


def _frame(rng: np.random.Generator, count: int) -> tuple[np.ndarray, tuple[Instance, ...]]:
    """Ids (H, W) uint16 of ellipses, each in a column of its own, and what is known of them."""
    mask, instances = np.zeros((HEIGHT, WIDTH), np.uint16), []
    for number in range(1, count + 1):
        tall, wide = int(rng.integers(60, 300)), int(rng.integers(30, WIDTH // PER_IMAGE))
        top, left = int(rng.integers(0, HEIGHT - tall)), (number - 1) * WIDTH // PER_IMAGE
        y, x = np.mgrid[:tall, :wide]
        inside = (y / (tall - 1) - 0.5) ** 2 + (x / (wide - 1) - 0.5) ** 2 < 0.25
        mask[top : top + tall, left : left + wide][inside] = number
        area = int(inside.sum())
        instances.append(
            Instance(
                id=number,
                category=CLASSES[number % len(CLASSES)],
                parameters={"kind": "bench", "paint": str(rng.choice(["red", "blue"]))},
                distance=float(rng.uniform(1, 20)),
                visible_pixels=area,
                amodal_pixels=area,
                visible_fraction=1.0,
                truncated=False,
            )
        )
    return mask, tuple(instances)


def results_of(annotations: Path) -> list[dict[str, Any]]:
    """COCO results for a file: four in five of its objects as they are, another in place of the fifth."""
    dataset, rng = json.loads(annotations.read_bytes()), np.random.default_rng(0)
    objects, results = dataset["annotations"], []
    for number, one in enumerate(objects):
        shown = objects[number - 1] if number % 5 == 4 else one
        results.append(
            {
                "image_id": one["image_id"],
                "category_id": one["category_id"],
                "bbox": shown["bbox"],
                "segmentation": shown["segmentation"],
                "score": round(float(rng.uniform(0.1, 1)), 6),
            }
        )
    return results


def annotation_file(images: int, annotations: int) -> dict[str, Any]:
    """A sound COCO instances file with compressed RLE of polygons of 24 corners."""
    rng, turn = np.random.default_rng(0), np.linspace(0, 2 * np.pi, 24, endpoint=False)
    found = []
    for number in range(annotations):
        reach = rng.uniform(10, 100, 2)
        middle = rng.uniform(reach, [WIDTH - reach[0], HEIGHT - reach[1]])
        corners = middle + reach * np.stack([np.cos(turn), np.sin(turn)], 1) * rng.uniform(0.7, 1, (24, 1))
        (rle,) = mask_utils.frPyObjects([corners.ravel().tolist()], HEIGHT, WIDTH)
        found.append(
            {
                "id": number + 1,
                "image_id": number % images + 1,
                "category_id": number % len(CLASSES) + 1,
                "iscrowd": 0,
                "area": int(mask_utils.area(rle)),
                "bbox": [float(value) for value in mask_utils.toBbox(rle)],
                "segmentation": {"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode("ascii")},
            }
        )
    return {
        "images": [
            {"id": n + 1, "file_name": f"{n:06d}.png", "width": WIDTH, "height": HEIGHT}
            for n in range(images)
        ],
        "annotations": found,
        "categories": [{"id": n, "name": name} for n, name in enumerate(CLASSES, start=1)],
    }
