"""The command ``fit``: photographs of one hall and a profile in, a fitted profile out."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import click

from blender.contract import (
    TEMPORARY_PREFIX,
    UserError,
    list_names,
    load_profile,
    temporary_root,
    write_atomic,
)
from blender.contract.shipped import shipped_folder
from pipeline.common.processes import module_command
from pipeline.common.stages import prepare_output_dir
from pipeline.fitting.blur import fit_blur
from pipeline.fitting.camera import LEAST, fit_jpeg, fit_lenses, fit_mounts, fit_resolution, fit_size
from pipeline.fitting.photographs import Photograph, measure_photographs
from pipeline.fitting.profile_text import to_profile, to_table
from pipeline.fitting.ranges import STRANGE, FittedRange, fit_settings, search_ranges
from pipeline.fitting.renders import measure_frames, open_exposures, read_ranges, render_frames
from pipeline.fitting.statistics import SMALLEST
from pipeline.inference.sources import find_images

T = TypeVar("T")

DEFAULT_SIZE = 400, 300
"""Width and height of the renders of a profile that names none, as in ``blender.config.profile``."""
EXPOSURES, SEARCHES = 12, 2
"""Exposures of each rendered frame in a search, and number of searches."""


def fit_profile(
    paths: tuple[Path, ...], profile: Path, out: Path, renders: Path | None = None, frames: int = 24
) -> int:
    """Write a profile that extends another one, with ranges that match photographs.

    Args:
        paths: photographs, folders or patterns of them.
        profile: the profile that is extended.
        out: the profile to write.
        renders: folder for the renders, which are kept and used again; None: a temporary folder.
        frames: number of frames to render.

    Returns:
        The exit status: 1 if a photograph could not be read, otherwise 0.

    Raises:
        UserError: ``out`` exists, there are too few photographs, the profile is wrong, or rendering failed.
    """
    if out.exists() or out.is_symlink():
        raise UserError(f"{out}: exists; give --out another name, or delete it")
    _check(profile)
    images = find_images(paths)
    _require(len(images), len(images))
    prepare_output_dir(out.parent)
    width, height = (load_profile(profile).get("render", {}).get(key, default)
                     for key, default in zip(("width", "height"), DEFAULT_SIZE, strict=True))  # fmt: skip
    if min(width, height) < SMALLEST:
        raise UserError(
            f"{profile}: [render]: a fit needs renders of at least {SMALLEST} x {SMALLEST} pixels"
        )
    photographs, unreadable = _measure(images, width * height)
    for line in unreadable:
        click.echo(f"error: {line}; left out", err=True)
    _require(len(photographs), len(images))
    size_rows = fit_size(photographs, (width, height))
    size = tuple(int(row.new or row.old) for row in size_rows)
    with _render_folder(renders) as folder:
        probe = render_frames(profile, (size[0], size[1]), frames, folder)
        rows = size_rows + _fit(photographs, probe, width * height)
    changed = [row for row in rows if row.new is not None]
    text = to_profile(rows, out.stem, _name_for_extends(profile, out), len(photographs))
    _write_checked(out, text)
    click.echo(to_table(rows))
    kept = list_names(sorted({row.key for row in rows} - {row.key for row in changed}), 20)
    click.echo(
        f"fit: {len(changed)} values from {len(photographs)} photographs; not changed: {kept} -> {out}"
    )
    return 1 if unreadable else 0


def _fit(photographs: Sequence[Photograph], probe: Path, area: int) -> list[FittedRange]:
    """Fit all ranges but the size of the images.

    Args:
        photographs: the photographs.
        probe: the profile of the rendered frames.
        area: pixels of a render.
    """
    own = read_ranges(probe)
    statistics, renders = [photo.statistics for photo in photographs], measure_frames(probe.parent)
    jpeg, settings = fit_jpeg(photographs, area, own.sensor), list[FittedRange]()
    for search in range(1, SEARCHES + 1):
        # Compression removes noise, so the exposures have the photographs' quality where the files tell it.
        quality = {row.key: row.new for row in jpeg if row.new is not None}
        count, stream = open_exposures(probe, EXPOSURES, search_ranges(own.sensor, settings) | quality)
        exposures = list(_progress(stream, count, f"exposures {search} of {SEARCHES}"))
        settings = fit_settings(own.sensor, statistics, renders, exposures)
        if quality and any(row.key == "noise" and row.why == STRANGE for row in settings):
            why = "the pictures do not look so: resized or compressed before?"
            jpeg = [replace(row, new=None, why=why) for row in jpeg]
    return [
        *settings,
        *fit_blur(own.sensor, statistics, exposures),
        *fit_resolution(photographs, area, own.sensor),
        *jpeg,
        *fit_lenses(photographs, own.camera["lenses"]),
        *fit_mounts(photographs, own.camera),
    ]


def _measure(images: Sequence[Path], area: int) -> tuple[list[Photograph], list[str]]:
    """Measure the photographs; return those that can be read, and a line for each other one."""
    photographs, unreadable = [], []
    for result in _progress(measure_photographs(images, area), len(images), "photographs"):
        if isinstance(result, str):
            unreadable.append(result)
        else:
            photographs.append(result)
    return photographs, unreadable


def _progress(items: Iterable[T], length: int, label: str) -> Iterator[T]:
    """Show a progress bar on standard error while the items are used."""
    with click.progressbar(items, length, label, show_pos=True, file=sys.stderr) as bar:
        yield from bar


def _require(count: int, given: int) -> None:
    if count < LEAST:
        readable = "" if count == given else f" of {given}"
        noun = "photograph" if count == 1 and count == given else "photographs"
        readable += f" {noun}" if count == given else f" {noun} can be read"
        raise UserError(
            f"{count}{readable}: a fit needs at least {LEAST}, better 30, from different places of the hall"
        )


def _check(profile: Path) -> None:
    """Run the command ``check``.

    Raises:
        UserError: a line for each problem.
    """
    command = module_command("pipeline", "check", "--profile", profile)
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        lines = [line.removeprefix("error: ") for line in done.stderr.splitlines()]
        raise UserError("\n".join(lines) or f"{profile}: not a valid profile")


def _name_for_extends(profile: Path, out: Path) -> str:
    """Return how the written profile names the other one: a shipped one by its name, others by a path."""
    if (
        profile.resolve().parent == shipped_folder("profiles").resolve()
        and not (out.parent / profile.name).exists()
    ):
        return profile.name
    return Path(os.path.relpath(profile.resolve(), out.parent.resolve())).as_posix()


def _write_checked(out: Path, text: str) -> None:
    """Write the profile after a check of all its tables; a wrong one is not written."""
    descriptor, name = tempfile.mkstemp(prefix=".fit-", suffix=".toml", dir=out.parent)
    os.close(descriptor)
    try:
        Path(name).write_text(text, encoding="utf-8")
        _check(Path(name))
    finally:
        Path(name).unlink(missing_ok=True)
    write_atomic(out, text.encode())


@contextmanager
def _render_folder(renders: Path | None) -> Iterator[Path]:
    """Yield the folder for the renders: the given one, or a temporary one that is deleted at the end."""
    if renders is not None:
        prepare_output_dir(renders)
        yield renders
        return
    with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=temporary_root()) as name:
        yield Path(name)
