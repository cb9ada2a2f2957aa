"""Render one frame: sample the scene, build it, render it, write its files."""

from __future__ import annotations

import importlib.metadata
import sys
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from blender.assets import Assets, load_assets
from blender.config.profile import Config, load_config
from blender.contract import (
    SCHEMA_VERSION,
    Clip,
    FrameRecord,
    Instance,
    UserError,
    commit_frame,
    sha256_bytes,
    split_folder,
)
from blender.geometry.lens import intrinsics
from blender.imaging.png import encode_png
from blender.imaging.sensor import expose
from blender.scene.checks import Placements
from blender.scene.motion import RATE, ClipTime
from blender.scene.sample_scene import sample_scene
from blender.spec import SceneSpec

if TYPE_CHECKING:
    from blender.rendering.device import Device


@dataclass(frozen=True)
class RenderJob:
    """Everything a process on any machine needs to render frames of a split. All values are JSON values."""

    profile: str
    """Absolute path of the profile."""
    split: str
    people: str
    """Absolute path of the folder with the posed body meshes."""
    out: str
    """Absolute path of the split's folder, or the URL of an object store."""
    fingerprint: str
    """Fingerprint of the frames. A process with other files or another Blender version refuses the job."""
    device: str = "auto"
    recycle: int = 500
    """Number of frames after which a worker process ends and a new one replaces it."""


@dataclass(frozen=True)
class RenderContext:
    """A job with its profile and assets loaded: everything ``render_frame`` needs except bpy."""

    job: RenderJob
    config: Config
    assets: Assets
    out: Path


def load_context(job: RenderJob) -> RenderContext:
    """Load the profile and the assets of a job.

    Raises:
        UserError: a file is missing on this machine, or differs from the file of the submitting process.
    """
    config = load_config(Path(job.profile), job.split)
    assets = load_assets(Path(job.people), config.folder, config.files())
    if config.fingerprint(blender_version(), assets.digest) != job.fingerprint:
        raise UserError(
            f"{job.profile}: the profile, the people or Blender ({blender_version()}) differ between the "
            "process that submits frames and the one that renders them; give both the same files and version"
        )
    return RenderContext(job, config, assets, split_folder(job.out))


def blender_version() -> str:
    """Return the version of the running Blender, or of the installed bpy package if bpy is not loaded.

    Raises:
        UserError: the bpy package is not installed.
    """
    bpy = sys.modules.get("bpy")
    if bpy is not None and hasattr(bpy, "app"):
        return ".".join(str(n) for n in bpy.app.version)
    try:
        return importlib.metadata.version("bpy")
    except importlib.metadata.PackageNotFoundError:
        raise UserError("Blender's Python module 'bpy' is missing; run `make setup`") from None


def frame_rng(config: Config, frame: int, stream: int) -> np.random.Generator:
    """Create the random generator of a frame for one stream (0: the scene, 1: noise, 2: motion in a clip).

    It depends on seed, split, frame and stream only. So the order of the frames, the workers and the shards
    cannot change what a frame draws.
    """
    return np.random.default_rng([config.seed, zlib.crc32(config.split.encode()), frame, stream])


def frame_scene(
    config: Config, assets: Assets, frame: int, placements: Placements | None = None
) -> SceneSpec:
    """Sample the scene of a frame; see ``sample_scene``. Frames of a clip are its first one's, later."""
    clip = frame_clip(config, frame)
    if clip is None:
        return sample_scene(config, frame_rng(config, frame, 0), assets, placements)
    first, duration = frame - clip.frame, (config.scene.clip.frames - 1) / RATE
    time = ClipTime(frame_rng(config, first, 2), clip.frame / RATE, duration)
    return sample_scene(config, frame_rng(config, first, 0), assets, placements, time)


def lights_record(spec: SceneSpec) -> dict[str, Any]:
    """Return the frame record's lights: lamps, ambient light and sensor."""
    return {
        "lamps": sum(lamp.power > 0 for lamp in spec.lamps),
        "temperature": spec.temperature,
        "ambient": spec.ambient,
        "environment": spec.environment,
        **spec.sensor,
    }


def frame_clip(config: Config, frame: int) -> Clip | None:
    """Return the clip to which a frame belongs; None if the profile has no clips."""
    length = config.scene.clip.frames
    return Clip(frame // length, frame % length, RATE) if length else None


def render_frame(
    context: RenderContext, frame: int, device: Device, threads: int, scratch: Path
) -> Placements:
    """Render one frame and write its files: image, mask, optional arrays, and the record last.

    Args:
        context: the job with its profile and assets.
        frame: number of the frame in its split.
        device: the device to render on.
        threads: CPU threads; 0: all cores.
        scratch: folder for Blender's temporary images; no other process may use it.

    Returns:
        The number of objects that the scene should have, and that were placed.

    Raises:
        OSError: a file cannot be written, for example on a full disk.
    """
    # Imported here for start-up time: these modules load bpy, which the parent process does not need.
    from blender.rendering import passes
    from blender.rendering.builder import build_scene
    from blender.rendering.device import use_device
    from blender.rendering.instance_records import instance_records

    config, assets = context.config, context.assets
    placements: Placements = {}
    spec = frame_scene(config, assets, frame, placements)
    placed = build_scene(spec, config, assets)
    use_device(device, threads)
    light = passes.render_rgb(scratch)
    ids, distance = passes.render_ids(scratch)
    alone = passes.render_alone([item.object for item in placed if item.spec.category], scratch)
    height, width = ids.shape
    image = encode_png(expose(light, distance, spec.sensor, frame_rng(config, frame, 1)))
    mask = encode_png(ids)
    arrays = passes.render_arrays(config.render.passes, scratch, light, distance, spec.camera)
    boxes3d = "boxes3d" in config.render.passes
    instances: Iterable[Instance] = instance_records(placed, ids, spec.camera, assets, boxes3d, alone)
    clip = frame_clip(config, frame)
    if clip is not None:
        instances = (replace(item, track_id=clip.track_id(item.id)) for item in instances)
    record = FrameRecord(
        schema=SCHEMA_VERSION,
        frame=frame,
        seed=config.seed,
        split=config.split,
        fingerprint=context.job.fingerprint,
        width=width,
        height=height,
        camera=intrinsics(spec.camera, width, height),
        lights=lights_record(spec),
        layout=spec.layout,
        image_sha256=sha256_bytes(image),
        mask_sha256=sha256_bytes(mask),
        instances=tuple(instances),
        arrays_sha256={name: sha256_bytes(data) for name, data in arrays.items()},
        clip=clip,
    )
    commit_frame(context.out, record, image, mask, arrays)
    return placements
