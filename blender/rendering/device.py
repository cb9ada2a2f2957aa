"""Choose the device that Cycles renders on: a GPU that works, otherwise the CPU. Report failed GPUs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from blender.contract import UserError
from blender.rendering.passes import render_linear, use_exr

BACKENDS = ("optix", "cuda", "hip", "oneapi", "metal")
"""GPU backends in order of preference."""


@dataclass(frozen=True)
class Device:
    """The device that a process renders on."""

    note: str
    """Description for the user: the device, and the GPUs that failed before it was chosen."""
    backend: str = ""
    """An element of BACKENDS; empty: the CPU."""
    index: int = 0
    """Index of the GPU among those of the backend."""
    count: int = 0
    """Number of GPUs that the backend has on this machine."""


def choose_device(requested: str, worker: int, scratch: Path) -> Device:
    """Choose the device for a worker process.

    A GPU that Blender lists does not always work (an old driver, a kernel that does not load). So each
    candidate first renders a small test image. Several GPUs are assigned to the workers in turn.

    Args:
        requested: "auto", "cpu" or an element of BACKENDS.
        worker: number of the worker process on this machine, from 0.
        scratch: folder for the test image.

    Raises:
        UserError: the requested backend has no working GPU on this machine.
    """
    if requested == "cpu":
        return Device("CPU")
    failed: list[str] = []
    for backend in BACKENDS if requested == "auto" else (requested,):
        names = gpu_names(backend)
        if not names:
            continue
        index = worker % len(names)
        place = f" ({index + 1} of {len(names)})" if len(names) > 1 else ""
        note = f"{backend.upper()} {names[index]}{place}"
        device = Device(note, backend, index, len(names))
        error = check_device(device, scratch)
        if not error:
            return Device("; ".join([note, *failed]), backend, index, len(names))
        failed.append(f"{note} failed: {error}")
    if requested == "auto":
        return Device("; ".join(["CPU", *failed]) if failed else "CPU (no GPU found)")
    if failed:
        raise UserError(f"--device {requested}: {failed[0]}; use --device auto or cpu")
    if gpu_names(requested) is None:
        raise UserError(
            f"--device {requested}: this Blender was built without that backend; use --device auto or cpu"
        )
    raise UserError(f"--device {requested}: no such GPU or driver on this machine; use --device auto or cpu")


def gpu_names(backend: str) -> list[str] | None:
    """List the names of a backend's GPUs; None if this Blender was built without the backend."""
    devices = _gpus(backend)
    return None if devices is None else [device.name for device in devices]


def _gpus(backend: str) -> list[Any] | None:
    """Return Blender's device entries for a backend's GPUs; None if Blender was built without the backend."""
    preferences = bpy.context.preferences.addons["cycles"].preferences
    try:
        preferences.compute_device_type = backend.upper()
    except TypeError:
        return None
    preferences.refresh_devices()
    return [device for device in preferences.devices if device.type == backend.upper()]


def use_device(device: Device, threads: int) -> None:
    """Set the device and the number of CPU threads (0: all cores) in the current scene."""
    scene = bpy.context.scene
    scene.cycles.device = "GPU" if device.backend else "CPU"
    if device.backend:
        selected = (_gpus(device.backend) or [])[device.index]
        for gpu in bpy.context.preferences.addons["cycles"].preferences.devices:
            gpu.use = gpu == selected
    scene.render.threads_mode = "FIXED" if threads else "AUTO"
    if threads:
        scene.render.threads = threads


def check_device(device: Device, scratch: Path) -> str:
    """Render a few evenly lit pixels on a device.

    Returns:
        The error message, or "" if the pixels are right.
    """
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.resolution_x = scene.render.resolution_y = 8
    scene.render.resolution_percentage = 100
    use_exr(scene)
    scene.cycles.samples, scene.cycles.use_denoising = 1, False
    scene.world = bpy.data.worlds.new("world")
    scene.world.use_nodes = True
    background = scene.world.node_tree.nodes["Background"].inputs
    background["Color"].default_value, background["Strength"].default_value = (1.0, 1.0, 1.0, 1.0), 0.5
    scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(scene.camera)
    try:
        use_device(device, 1)
        pixels = render_linear(scratch / "device-test.exr")
    except (RuntimeError, OSError, IndexError) as error:
        return " ".join(str(error).split())
    deviation = abs(pixels - 0.5).max()
    return "" if deviation < 0.01 else f"it renders wrong pixels (off by {deviation:.2g})"
