"""What Cycles computes on: a GPU where one works, the CPU otherwise, and no silence about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from blender.contract import UserError

BACKENDS = ("optix", "cuda", "hip", "oneapi", "metal")
"""In order of preference."""


@dataclass(frozen=True)
class Device:
    """What one process renders on."""

    note: str
    """For people: what it is, and what was tried before it."""
    backend: str = ""
    """One of BACKENDS; none: the CPU."""
    index: int = 0
    """Which of the backend's GPUs."""
    count: int = 0
    """GPUs that the backend has here."""


def choose_device(wanted: str, member: int, scratch: Path) -> Device:
    """What ``wanted`` ("auto", "cpu" or one of BACKENDS) leads to in the ``member``-th process of a machine.

    A GPU that is listed need not work (an old driver, a kernel that doesn't load), so it renders a few
    pixels first. Several GPUs are dealt out in turn.

    Raises:
        UserError: the named backend has no GPU that works here.
    """
    if wanted == "cpu":
        return Device("CPU")
    failed: list[str] = []
    for backend in BACKENDS if wanted == "auto" else (wanted,):
        names = gpu_names(backend)
        if not names:
            continue
        index = member % len(names)
        place = f" ({index + 1} of {len(names)})" if len(names) > 1 else ""
        note = f"{backend.upper()} {names[index]}{place}"
        device = Device(note, backend, index, len(names))
        fault = try_device(device, scratch)
        if not fault:
            return Device("; ".join([note, *failed]), backend, index, len(names))
        failed.append(f"{note} failed: {fault}")
    if wanted == "auto":
        return Device("; ".join(["CPU", *failed]) if failed else "CPU (no GPU found)")
    if failed:
        raise UserError(f"--device {wanted}: {failed[0]}; use --device auto or cpu")
    if gpu_names(wanted) is None:
        raise UserError(f"--device {wanted}: this Blender was built without it; use --device auto or cpu")
    raise UserError(f"--device {wanted}: no such GPU or driver here; use --device auto or cpu")


def gpu_names(backend: str) -> list[str] | None:
    """Names of a backend's GPUs; None: this Blender was built without it."""
    devices = _devices(backend)
    return None if devices is None else [device.name for device in devices]


def _devices(backend: str) -> list[Any] | None:
    preferences = bpy.context.preferences.addons["cycles"].preferences
    try:
        preferences.compute_device_type = backend.upper()
    except TypeError:
        return None
    preferences.refresh_devices()
    return [device for device in preferences.devices if device.type == backend.upper()]


def use_device(device: Device, threads: int) -> None:
    """Set the current scene to the device and number of CPU threads (0: all)."""
    scene = bpy.context.scene
    scene.cycles.device = "GPU" if device.backend else "CPU"
    if device.backend:
        mine = (_devices(device.backend) or [])[device.index]
        for other in bpy.context.preferences.addons["cycles"].preferences.devices:
            other.use = other == mine
    scene.render.threads_mode = "FIXED" if threads else "AUTO"
    if threads:
        scene.render.threads = threads


def try_device(device: Device, scratch: Path) -> str:
    """Render a few pixels of even light on the device; returns what went wrong, "" if nothing did."""
    from blender.rendering.passes import render_linear, use_exr

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
        pixels = render_linear(scratch / "trial.exr")
    except (RuntimeError, OSError, IndexError) as error:
        return " ".join(str(error).split())
    wrong = abs(pixels - 0.5).max()
    return "" if wrong < 0.01 else f"it renders wrong pixels (off by {wrong:.2g})"
