"""Synthetic sets of any size for conversion, evaluation and validation; the objects are ellipses."""

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
    """Write a split in the renderer's format with ``masks`` objects, ``PER_IMAGE`` in each frame."""
    for name in ("images", "masks", "frames"):
        (folder / name).mkdir(parents=True)
    image, hashes = _png(np.full((HEIGHT, WIDTH, 3), 120, np.uint8)), {}
    for frame in range(-(-masks // PER_IMAGE)):
        count = min(PER_IMAGE, masks - frame * PER_IMAGE)
        pixels, instances = _draw_frame(np.random.default_rng([0, frame]), count)
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


def _draw_frame(rng: np.random.Generator, count: int) -> tuple[np.ndarray, tuple[Instance, ...]]:
    """Draw ellipses next to each other.

    Returns:
        The instance ids, (H, W) uint16, and the instance records.
    """
    mask, instances = np.zeros((HEIGHT, WIDTH), np.uint16), []
    for number in range(1, count + 1):
        height, width = int(rng.integers(60, 300)), int(rng.integers(30, WIDTH // PER_IMAGE))
        top, left = int(rng.integers(0, HEIGHT - height)), (number - 1) * WIDTH // PER_IMAGE
        y, x = np.mgrid[:height, :width]
        inside = (y / (height - 1) - 0.5) ** 2 + (x / (width - 1) - 0.5) ** 2 < 0.25
        mask[top : top + height, left : left + width][inside] = number
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


def coco_results(annotations: Path) -> list[dict[str, Any]]:
    """Make COCO results for an annotation file: every fifth detection is wrong, the others are exact."""
    dataset, rng = json.loads(annotations.read_bytes()), np.random.default_rng(0)
    objects, results = dataset["annotations"], []
    for number, annotation in enumerate(objects):
        detected = objects[number - 1] if number % 5 == 4 else annotation
        results.append(
            {
                "image_id": annotation["image_id"],
                "category_id": annotation["category_id"],
                "bbox": detected["bbox"],
                "segmentation": detected["segmentation"],
                "score": round(float(rng.uniform(0.1, 1)), 6),
            }
        )
    return results


def instances_file(images: int, annotations: int) -> dict[str, Any]:
    """Make a valid COCO instances file with compressed RLE masks of polygons with 24 corners."""
    rng, angles = np.random.default_rng(0), np.linspace(0, 2 * np.pi, 24, endpoint=False)
    entries = []
    for number in range(annotations):
        radius = rng.uniform(10, 100, 2)
        centre = rng.uniform(radius, [WIDTH - radius[0], HEIGHT - radius[1]])
        circle = np.stack([np.cos(angles), np.sin(angles)], 1)
        corners = centre + radius * circle * rng.uniform(0.7, 1, (24, 1))
        (rle,) = mask_utils.frPyObjects([corners.ravel().tolist()], HEIGHT, WIDTH)
        entries.append(
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
        "annotations": entries,
        "categories": [{"id": n, "name": name} for n, name in enumerate(CLASSES, start=1)],
    }
