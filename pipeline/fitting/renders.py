"""Render frames of a profile with their linear light, and measure them under many settings of the sensor."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from blender.contract import UserError, frame_paths, read_manifest, write_atomic
from pipeline.common.processes import module_command
from pipeline.data.images import read_rgb
from pipeline.fitting.statistics import measure

SPLIT = "fit"
"""Name of the split that is rendered, and of its folder."""


@dataclass(frozen=True)
class Exposure:
    """A rendered frame as a photograph with known settings of the sensor."""

    frame: int
    """Number of the frame: exposures of one frame show the same scene."""
    settings: dict[str, float]
    """The settings, as in a frame's record."""
    statistics: dict[str, float]
    """See ``pipeline.fitting.statistics.measure``."""


@dataclass(frozen=True)
class ProfileRanges:
    """The ranges of a profile that are fitted, with the defaults of keys that it does not have."""

    sensor: dict[str, Any]
    """[scene.sensor]."""
    camera: dict[str, Any]
    """[scene.camera]: ``lenses`` and ``mounts``."""


def render_frames(profile: Path, size: tuple[int, int], frames: int, folder: Path) -> Path:
    """Render frames of a profile with the passes "depth" and "light"; finished ones stay.

    Args:
        profile: the profile.
        size: width and height of the images.
        frames: number of frames.
        folder: folder for the profile of these renders, the people and the split.

    Returns:
        The profile of these renders; the split is ``folder / SPLIT``.

    Raises:
        UserError: a command failed; it has printed the reason.
    """
    probe = folder / "fit.toml"
    lines = [
        f"extends = {json.dumps(str(profile.absolute()), ensure_ascii=False)}",
        f"[splits]\n{SPLIT} = {frames}",
        f'[render]\nwidth = {size[0]}\nheight = {size[1]}\npasses = ["depth", "light"]',
        "[scene.clip]\nframes = 0",  # each frame shows another scene
    ]
    write_atomic(probe, ("\n".join(lines) + "\n").encode())
    people = folder / "people"
    _run("pipeline", "people", "--profile", probe, "--out", people)
    options = ("--profile", probe, "--split", SPLIT, "--people", people, "--out", folder / SPLIT, "--update")
    _run("blender.render", *options)
    return probe


def _run(module: str, *arguments: object) -> None:
    status = subprocess.run(module_command(module, *arguments), check=False).returncode
    if status:
        raise UserError(f"rendering for the fit failed (status {status}); see the lines above")


def measure_frames(folder: Path) -> list[dict[str, float]]:
    """Return the statistics of the rendered frames as they are, with the profile's own sensor."""
    names = sorted(read_manifest(folder / SPLIT).frames)
    return [measure(read_rgb(frame_paths(folder / SPLIT, int(name))[0])) for name in names]


def read_ranges(probe: Path) -> ProfileRanges:
    """Return the ranges of the profile of the renders, with the renderer's defaults."""
    head, process, _ = _start(probe, 0, {})
    with process:
        return ProfileRanges(head["sensor"], head["camera"])


def open_exposures(probe: Path, draws: int, sensor: dict[str, Any]) -> tuple[int, Iterator[Exposure]]:
    """Expose the rendered frames with drawn settings of the sensor, and measure each exposure.

    Args:
        probe: the profile from ``render_frames``.
        draws: exposures of each frame.
        sensor: ranges of [scene.sensor] to draw from in place of the profile's.

    Returns:
        The number of exposures, and the exposures one after the other.

    Raises:
        UserError: the exposures cannot be made; the program has printed the reason.
    """
    head, process, stream = _start(probe, draws, sensor)
    return head["exposures"], _read(process, stream)


def _start(
    probe: Path, draws: int, sensor: dict[str, Any]
) -> tuple[dict[str, Any], subprocess.Popen[bytes], BinaryIO]:
    """Start ``blender.imaging.exposures``, and read the first line of its stream."""
    command = module_command(
        "blender.imaging.exposures", "--profile", probe, "--split", SPLIT,
        "--frames", probe.parent / SPLIT, "--draws", draws, "--sensor", json.dumps(sensor),
    )  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    stream = cast("BinaryIO", process.stdout)
    line = stream.readline()
    if not line:
        raise UserError(f"exposing the renders failed (status {process.wait()}); see the lines above")
    return json.loads(line), process, stream


def _read(process: subprocess.Popen[bytes], stream: BinaryIO) -> Iterator[Exposure]:
    with process:
        try:
            while line := stream.readline():
                entry = json.loads(line)
                shape = entry["height"], entry["width"], 3
                pixels = np.frombuffer(stream.read(shape[0] * shape[1] * 3), np.uint8).reshape(shape)
                yield Exposure(entry["frame"], entry["settings"], measure(pixels))
        except BaseException:
            process.kill()
            raise
        status = process.wait()
    if status:
        raise UserError(f"exposing the renders failed (status {status}); see the lines above")
