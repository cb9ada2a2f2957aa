"""Convert a rendered split to COCO: masks and frame records to annotations.json (command ``coco``)."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_utils

from blender.contract import (
    KEYPOINTS,
    Clip,
    FrameRecord,
    Instance,
    Manifest,
    UserError,
    array_path,
    canonical_json,
    print_warning,
    read_manifest,
    write_atomic,
)
from pipeline.common.stages import is_up_to_date, write_stamp
from pipeline.common.task_pool import map_tasks
from pipeline.config import CocoConfig
from pipeline.data.frames import RENDER_AGAIN, read_frame
from pipeline.data.rle import compress_runs, encode_mask

CONVERTER_VERSION = 3
"""Increase it whenever the same split is converted to other bytes, so that splits are converted again."""

PERSON = "person"
"""The supercategory whose objects have keypoints."""
SUPERCATEGORIES = {"pedestrian": PERSON, "pallet_truck": "vehicle", "forklift": "vehicle"}
"""COCO's supercategory of each kind of object; any other kind is an "object"."""

SKELETON = [
    [16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7], [6, 8], [7, 9],
    [8, 10], [9, 11], [2, 3], [1, 2], [1, 3], [2, 4], [3, 5], [4, 6], [5, 7],
]  # fmt: skip
"""COCO's edges between the 17 body keypoints, numbered from 1."""

_FRAMES_PER_TASK = 16
"""Frames per task on the workers of a Dask scheduler."""


def convert_split(split_dir: Path, config: CocoConfig, scheduler: str | None = None) -> Path:
    """Write ``split_dir/annotations.json`` from the split's manifest, records and masks.

    Objects below ``config``'s limits become ignore regions (``iscrowd`` 1). Objects without a visible pixel
    are left out; images without objects are included. The bytes depend only on the split and on ``config``.
    If both are unchanged since the last run, nothing is done.

    Args:
        split_dir: folder of the rendered split.
        config: the limits.
        scheduler: address of a Dask scheduler whose workers read the frames, or None.

    Returns:
        The path of ``annotations.json``.

    Raises:
        UserError: a file of the split is missing, corrupt, or changed since it was rendered.
    """
    manifest = read_manifest(split_dir)
    out, stamp = split_dir / "annotations.json", split_dir / ".coco.stamp.json"
    inputs = {
        "converter": CONVERTER_VERSION,
        "manifest": manifest.digest(),
        "config": dataclasses.asdict(config),
    }
    if is_up_to_date(stamp, inputs, [out]):
        click.echo(f"coco: up to date ({out})")
        return out
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image, image_annotations in _convert_frames(split_dir, manifest, config, scheduler):
        images.append({"id": len(images) + 1} | image)
        for annotation in image_annotations:
            annotations.append({"id": len(annotations) + 1, "image_id": len(images)} | annotation)
    dataset = {
        "info": _info(manifest),
        "licenses": [],
        "categories": [
            _category(number, name, manifest.kinds.get(name, (name,)))
            for number, name in enumerate(manifest.categories, start=1)
        ],
        "images": images,
        "annotations": annotations,
    }
    if videos := _videos(images):
        dataset["videos"] = videos
    write_atomic(out, canonical_json(dataset))
    write_stamp(stamp, inputs, [out])
    ignored = sum(a["iscrowd"] for a in annotations)
    click.echo(
        f"coco: {len(images)} images, {len(annotations) - ignored} objects, {ignored} ignore regions -> {out}"
    )
    for line in _missing_classes(dataset, manifest.auxiliary):
        print_warning(line)
    return out


def _missing_classes(dataset: dict[str, Any], auxiliary: tuple[str, ...]) -> list[str]:
    """Describe each class without an object, one line each; ignore regions do not count.

    Auxiliary classes are left out: a split may do without them.
    """
    lines = []
    for category in dataset["categories"] if dataset["images"] else []:
        if category["name"] in auxiliary:
            continue
        crowds = [a["iscrowd"] for a in dataset["annotations"] if a["category_id"] == category["id"]]
        if all(crowds):
            reason = "render some (count, distance and size in [scene.objects])"
            if crowds:
                reason = f"{len(crowds)} ignore regions are below the limits of [coco]"
            lines.append(
                f"class '{category['name']}': 0 objects in {len(dataset['images'])} frames; {reason}"
            )
    return lines


def _convert_frames(
    split_dir: Path, manifest: Manifest, config: CocoConfig, scheduler: str | None
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Yield each frame's image entry and its annotations, without ids."""
    convert = functools.partial(_convert_frame, split_dir.absolute(), manifest.categories, config)
    frames = sorted(manifest.frames.items())
    with click.progressbar(length=len(frames), label=f"coco {manifest.split}", file=sys.stderr) as bar:
        for converted in map_tasks(convert, frames, scheduler, _FRAMES_PER_TASK):
            yield converted
            bar.update(1)


def _convert_frame(
    split_dir: Path, categories: tuple[str, ...], config: CocoConfig, frame: tuple[str, str]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    name, record_hash = frame
    if not name.isdecimal():
        raise UserError(f"{split_dir / 'manifest.json'}: '{name}' is not a frame; {RENDER_AGAIN}")
    record, mask = read_frame(split_dir, int(name), record_hash)
    return _image_entry(record), list(_annotations(record, mask, categories, config))


def _image_entry(record: FrameRecord) -> dict[str, Any]:
    name = f"{record.frame:06d}"
    arrays = {key: array_path(Path(), key, record.frame).as_posix() for key in sorted(record.arrays_sha256)}
    return {
        "file_name": f"{name}.png",
        "width": record.width,
        "height": record.height,
        "frame": record.frame,
        "scene": name,
        "layout": record.layout,
        "camera": record.camera,
        "lights": record.lights,
        **({"arrays": arrays} if arrays else {}),
        **(_clip_fields(record.clip, record.frame) if record.clip else {}),
    }


def _clip_fields(clip: Clip, frame: int) -> dict[str, Any]:
    """Return COCO-VID's fields of an image. A clip is one scene, so intervals are over clips."""
    first = f"{frame - clip.frame:06d}"
    return {"video_id": clip.number + 1, "frame_id": clip.frame, "fps": clip.rate, "scene": first}


def _videos(images: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return COCO-VID's entries of the clips, each named by its first frame."""
    firsts = {image["video_id"]: image for image in reversed(images) if "video_id" in image}
    fields = ("width", "height", "fps")
    return [
        {"id": number, "name": image["scene"], **{name: image[name] for name in fields}}
        for number, image in sorted(firsts.items())
    ]


def _annotations(
    record: FrameRecord, mask: npt.NDArray[np.uint16], categories: tuple[str, ...], config: CocoConfig
) -> Iterator[dict[str, Any]]:
    ids = {name: number for number, name in enumerate(categories, start=1)}
    for instance in sorted(record.instances, key=lambda i: i.id):
        if instance.category not in ids:
            raise UserError(
                f"frame {record.frame:06d}: no category '{instance.category}' in manifest.json; render again"
            )
        rle = encode_mask(mask == instance.id)
        area = int(mask_utils.area(rle))
        if area:
            yield _annotation(instance, rle, area, config) | {"category_id": ids[instance.category]}


def _annotation(instance: Instance, rle: dict[str, Any], area: int, config: CocoConfig) -> dict[str, Any]:
    ignored = area < config.min_pixels or instance.visible_fraction < config.min_visible_fraction
    annotation: dict[str, Any] = {
        "iscrowd": int(ignored),
        "segmentation": rle,
        "area": area,
        "bbox": [float(value) for value in mask_utils.toBbox(rle)],
        "instance": instance.id,
        "visible_fraction": instance.visible_fraction,
        "amodal_area": instance.amodal_pixels,
        **({"amodal_segmentation": compress_runs(instance.amodal)} if instance.amodal else {}),
        "truncated": instance.truncated,
        "distance": instance.distance,
        "parameters": instance.parameters,
        # pycocotools' evaluation of keypoints needs it of every object.
        "num_keypoints": sum(v > 0 for _, _, v in instance.keypoints),
    }
    if instance.keypoints:
        annotation["keypoints"] = [value for keypoint in instance.keypoints for value in keypoint]
    if instance.box3d is not None:
        annotation["box3d"] = dataclasses.asdict(instance.box3d)
    if instance.track_id is not None:
        annotation |= {"track_id": instance.track_id, "instance_id": instance.track_id}
    return annotation


def _category(number: int, name: str, kinds: tuple[str, ...]) -> dict[str, Any]:
    """Build the entry of a class. Its kinds of object decide what it is; the name is the user's choice."""
    of_kinds = [SUPERCATEGORIES[kind] for kind in (*kinds, name) if kind in SUPERCATEGORIES]
    is_person = any(SUPERCATEGORIES.get(kind) == PERSON for kind in kinds)
    category = {
        "id": number,
        "name": name,
        "supercategory": PERSON if is_person else next(iter(of_kinds), "object"),
    }
    return category | ({"keypoints": list(KEYPOINTS), "skeleton": SKELETON} if is_person else {})


def _info(manifest: Manifest) -> dict[str, Any]:
    return {
        "description": f"Transpalette renders: profile {manifest.profile}, split {manifest.split}",
        "version": str(manifest.schema),
        "profile": manifest.profile,
        "split": manifest.split,
        "seed": manifest.seed,
        "blender": manifest.blender,
        "render_version": manifest.render_version,
        "fingerprint": manifest.fingerprint,
    }
