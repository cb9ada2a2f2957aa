"""One frame, from its number to its files: sample, build, trace, commit."""

from __future__ import annotations

import importlib.metadata
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from blender.assets import Assets, load_assets
from blender.config.run import Config, load_config
from blender.contract import (
    SCHEMA_VERSION,
    FrameRecord,
    UserError,
    commit_frame,
    sha256_bytes,
    split_folder,
)
from blender.geometry.lens import intrinsics
from blender.imaging.png import encode_png
from blender.imaging.sensor import expose
from blender.scene.scene import sample_scene
from blender.spec import SceneSpec

if TYPE_CHECKING:
    from blender.rendering.device import Device


@dataclass(frozen=True)
class Job:
    """What any process, on any machine, must be told to render frames of one split. JSON values only."""

    profile: str
    """Absolute path, like the two below."""
    split: str
    people: str
    out: str
    """Or the URL of an object store."""
    fingerprint: str
    """What the frames must come from; a process that has other files or another Blender refuses."""
    device: str = "auto"
    recycle: int = 500
    """Frames after which a process ends and a fresh one takes over."""


@dataclass(frozen=True)
class Workshop:
    """A job with its files read: all that is needed beside bpy."""

    job: Job
    config: Config
    assets: Assets
    out: Path


def open_workshop(job: Job) -> Workshop:
    """Read what the job names.

    Raises:
        UserError: it is missing here, or not what the job was made from.
    """
    config = load_config(Path(job.profile), job.split)
    assets = load_assets(Path(job.people), config.folder, config.files())
    if config.fingerprint(blender_version(), assets.digest) != job.fingerprint:
        raise UserError(
            f"{job.profile}: the profile, the people or Blender ({blender_version()}) differ between the "
            "process that asks for frames and the one that renders them; give both the same"
        )
    return Workshop(job, config, assets, split_folder(job.out))


def blender_version() -> str:
    """Version of the Blender that runs, or of the bpy package that would."""
    bpy = sys.modules.get("bpy")
    if bpy is not None and hasattr(bpy, "app"):
        return ".".join(str(n) for n in bpy.app.version)
    try:
        return importlib.metadata.version("bpy")
    except importlib.metadata.PackageNotFoundError:
        raise UserError("Blender's Python module 'bpy' is missing; run `make setup`") from None


def frame_rng(config: Config, frame: int, stream: int) -> np.random.Generator:
    """The frame's own generator: no other frame, order, worker or shard can change what it draws."""
    return np.random.default_rng([config.seed, zlib.crc32(config.split.encode()), frame, stream])


def frame_scene(config: Config, assets: Assets, frame: int) -> SceneSpec:
    """The scene of a frame."""
    return sample_scene(config, frame_rng(config, frame, 0), assets)


def render_frame(workshop: Workshop, frame: int, device: Device, threads: int, scratch: Path) -> None:
    """Render one frame and commit it: image, mask, arrays, and the record last.

    Args:
        threads: of the CPU; 0: all.
        scratch: a folder of this process's own for Blender's images.
    """
    from blender.rendering import annotations as records
    from blender.rendering import passes
    from blender.rendering.builder import build_scene
    from blender.rendering.device import use_device

    config, assets = workshop.config, workshop.assets
    spec = frame_scene(config, assets, frame)
    placed = build_scene(spec, config, assets)
    use_device(device, threads)
    light = passes.render_rgb(scratch)
    ids, distance = passes.render_ids(scratch)
    height, width = ids.shape
    image = encode_png(expose(light, distance, spec.sensor, frame_rng(config, frame, 1)))
    mask = encode_png(ids)
    arrays = passes.render_arrays(config.render.passes, scratch, distance, spec.camera)
    record = FrameRecord(
        schema=SCHEMA_VERSION,
        frame=frame,
        seed=config.seed,
        split=config.split,
        fingerprint=workshop.job.fingerprint,
        width=width,
        height=height,
        camera=intrinsics(spec.camera, width, height),
        lights={
            "lamps": sum(lamp.power > 0 for lamp in spec.lamps),
            "temperature": spec.temperature,
            "ambient": spec.ambient,
            "environment": spec.environment,
            **spec.sensor,
        },
        layout=spec.layout,
        image_sha256=sha256_bytes(image),
        mask_sha256=sha256_bytes(mask),
        instances=records.describe(placed, ids, spec.camera, assets, "boxes3d" in config.render.passes),
        arrays_sha256={name: sha256_bytes(data) for name, data in arrays.items()},
    )
    commit_frame(workshop.out, record, image, mask, arrays)
