"""Synthetic splits of coloured shapes in the renderer's format, perfect results, and a tiny model."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from blender.contract import (
    KEYPOINTS,
    SCHEMA_VERSION,
    FrameRecord,
    Instance,
    Manifest,
    RunLengths,
    frame_paths,
    sha256_bytes,
    write_atomic,
)

CATEGORIES = ("pedestrian", "pallet_truck")
COLOURS = {"pedestrian": (230, 120, 20), "pallet_truck": (200, 30, 40)}


def write_split(
    split_dir: Path,
    *,
    frames: int = 4,
    size: tuple[int, int] = (120, 160),
    objects: int = 3,
    seed: int = 0,
    categories: tuple[str, ...] = CATEGORIES,
    ids: tuple[int, ...] | None = None,
) -> Manifest:
    """Write ``frames`` frames of ``size`` (height, width) with ``objects`` shapes each.

    Pedestrians are upright ellipses, pallet trucks are two bars with a gap between them (one object in two
    pieces), and other categories are rectangles with a hole. The first frame of a split of at least three
    frames is empty.

    Args:
        ids: the instance ids of each frame; None: 1, 2, ...
    """
    hashes = {}
    for frame in range(frames):
        rng = np.random.default_rng([seed, frame])
        count = 0 if frames >= 3 and frame == 0 else objects
        record = write_frame(
            split_dir, frame, size, count, rng, categories=categories, ids=ids if count else None, seed=seed
        )
        hashes[f"{frame:06d}"] = sha256_bytes(record.to_bytes())
    manifest = Manifest(
        schema=SCHEMA_VERSION,
        profile="synthetic",
        split=split_dir.name,
        seed=seed,
        categories=categories,
        blender="4.5.0",
        render_version=1,
        fingerprint=hashlib.sha256(b"synthetic").hexdigest(),
        frames=hashes,
    )
    write_atomic(split_dir / "manifest.json", manifest.to_bytes())
    return manifest


def write_frame(
    split_dir: Path,
    frame: int,
    size: tuple[int, int],
    objects: int,
    rng: np.random.Generator,
    *,
    categories: tuple[str, ...] = CATEGORIES,
    ids: tuple[int, ...] | None = None,
    seed: int = 0,
) -> FrameRecord:
    """Write the image, mask and record of one frame; later shapes hide earlier ones."""
    height, width = size
    image = np.tile(np.linspace(90, 150, height)[:, None, None], (1, width, 3))
    image = np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
    mask = np.zeros(size, np.uint16)
    shapes = []
    for number, instance_id in enumerate(ids or range(1, objects + 1)):
        category = categories[number % len(categories)]
        shape = _shape(category, size, rng)
        mask[shape] = instance_id
        image[shape] = np.clip(
            np.array(COLOURS.get(category, (40, 160, 60))) + rng.integers(-20, 20, 3), 0, 255
        )
        shapes.append((instance_id, category, shape))
    record = FrameRecord(
        schema=SCHEMA_VERSION,
        frame=frame,
        seed=seed,
        split=split_dir.name,
        fingerprint=hashlib.sha256(b"synthetic").hexdigest(),
        width=width,
        height=height,
        camera={"height": 1.2, "focal": 0.9 * width},
        lights={"sun": 1.0},
        layout="aisle",
        image_sha256="",
        mask_sha256="",
        instances=tuple(_instance(i, c, s, mask, rng) for i, c, s in shapes),
    )
    return commit_frame(split_dir, record, image, mask)


def commit_frame(
    split_dir: Path, record: FrameRecord, image: np.ndarray[Any, Any], mask: np.ndarray[Any, Any]
) -> FrameRecord:
    """Write the three files of a frame, the record last and with the hashes of the other two."""
    image_path, mask_path, record_path = frame_paths(split_dir, record.frame)
    image_png, mask_png = png(image), png(mask.astype(np.uint16))
    record = dataclasses.replace(
        record, image_sha256=sha256_bytes(image_png), mask_sha256=sha256_bytes(mask_png)
    )
    write_atomic(image_path, image_png)
    write_atomic(mask_path, mask_png)
    write_atomic(record_path, record.to_bytes())
    return record


def png(pixels: np.ndarray[Any, Any]) -> bytes:
    """Encode (H, W, 3) uint8 as an RGB PNG, or (H, W) uint16 as a 16-bit grey PNG."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


def _shape(category: str, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray[Any, Any]:
    height, width = size
    y, x = np.mgrid[:height, :width]
    tall = height * rng.uniform(0.25, 0.45)
    cy, cx = rng.uniform(0.3, 0.7) * height, rng.uniform(0.15, 0.85) * width
    if category == "pedestrian":
        inside = ((y - cy) / (tall / 2)) ** 2 + ((x - cx) / (tall / 5)) ** 2 < 1
    else:
        box = (abs(y - cy) < tall / 3) & (abs(x - cx) < tall / 2)
        gap = abs(y - cy) < tall / 9
        hole = gap & (abs(x - cx) < tall / 6)
        inside = box & ~(gap if category == "pallet_truck" else hole)
    return np.asarray(inside)


def _instance(
    instance_id: int,
    category: str,
    shape: np.ndarray[Any, Any],
    mask: np.ndarray[Any, Any],
    rng: np.random.Generator,
) -> Instance:
    visible, amodal = int((mask == instance_id).sum()), int(shape.sum())
    rows, columns = np.nonzero(shape)
    x, y = float(columns.mean()), float(rows.mean())
    keypoints = ((x, y, 2), *(((x, y, 1),) * (len(KEYPOINTS) - 2)), (0.0, 0.0, 0))
    return Instance(
        id=instance_id,
        category=category,
        parameters={"colour": "red"},
        distance=float(rng.uniform(1, 20)),
        visible_pixels=visible,
        amodal_pixels=amodal,
        visible_fraction=visible / amodal,
        truncated=bool(shape[0].any() or shape[-1].any() or shape[:, 0].any() or shape[:, -1].any()),
        keypoints=keypoints if category == "pedestrian" else (),
        amodal=RunLengths((shape.shape[0], shape.shape[1]), _runs(shape)),
    )


def _runs(mask: np.ndarray[Any, Any]) -> tuple[int, ...]:
    """Return the run lengths of a mask, column by column, starting with a run of zeros."""
    runs, value = [0], False
    for pixel in mask.T.ravel().tolist():
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    return tuple(runs)


def perfect_results(dataset: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the COCO results of a perfect model: every object of a COCO file with score 0.9."""
    return [
        {key: a[key] for key in ("image_id", "category_id", "bbox", "segmentation")} | {"score": 0.9}
        for a in dataset["annotations"]
        if not a["iscrowd"]
    ]


def write_tiny_model(
    path: Path, classes: tuple[str, ...] = CATEGORIES, auxiliary: tuple[str, ...] = (), **fields: Any
) -> None:
    """Write a checkpoint with random weights that resizes images to 96 pixels and detects 10 objects in each.

    Args:
        path: the file.
        classes: the classes.
        auxiliary: auxiliary classes.
        fields: replace those of ``pipeline.models.checkpoint.Checkpoint``.
    """
    import torch  # imported here for start-up time: many tests use this module without torch

    from pipeline.config import ModelConfig
    from pipeline.models.checkpoint import Checkpoint, save_checkpoint
    from pipeline.models.registry import EMBEDDED, build_model

    torch.manual_seed(0)
    config = ModelConfig(min_size=96, max_size=128, detections_per_img=10, box_rounds=2, auxiliary=auxiliary)
    model = build_model(EMBEDDED, len(classes) + 1, config)
    checkpoint = Checkpoint(
        model=EMBEDDED,
        config=dataclasses.asdict(config),
        classes=classes,
        start={"kind": "none", "source": "nothing: random weights", "fallback": ""},
        metrics={},
        epoch=1,
        epochs=2,
        seed=0,
        seconds=75.0,
        images=4,
        score_threshold=0.3,
        state=model.state_dict(),
    )
    save_checkpoint(path, dataclasses.replace(checkpoint, **fields))
