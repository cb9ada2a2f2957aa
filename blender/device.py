"""What Cycles computes on: a GPU where there is one, the CPU otherwise, and no silence about it."""

from __future__ import annotations

import bpy

from blender.contract import UserError

BACKENDS = ("optix", "cuda", "hip", "oneapi", "metal")
"""In order of preference."""


def choose_device(wanted: str) -> str:
    """The device that ``wanted`` ("auto", "cpu" or one of BACKENDS) leads to: "CPU", or "CUDA: names".

    Raises:
        UserError: the named backend has no device here.
    """
    if wanted == "cpu":
        return "CPU"
    for backend in BACKENDS if wanted == "auto" else (wanted,):
        names = _devices(backend)
        if names:
            return f"{backend.upper()}: {', '.join(names)}"
    if wanted == "auto":
        return "CPU (no GPU found)"
    raise UserError(f"--device {wanted}: no such GPU or driver here; use --device auto or cpu")


def _devices(backend: str) -> list[str]:
    preferences = bpy.context.preferences.addons["cycles"].preferences
    try:
        preferences.compute_device_type = backend.upper()
    except TypeError:  # this Blender was built without it
        return []
    preferences.refresh_devices()
    chosen = [device for device in preferences.devices if device.type == backend.upper()]
    for device in preferences.devices:
        device.use = device in chosen
    return [device.name for device in chosen]


def use_device(wanted: str, threads: int) -> None:
    """Set the current scene to the device and number of CPU threads (0: all)."""
    scene = bpy.context.scene
    scene.cycles.device = "CPU" if choose_device(wanted).startswith("CPU") else "GPU"
    scene.render.threads_mode = "FIXED" if threads else "AUTO"
    if threads:
        scene.render.threads = threads
