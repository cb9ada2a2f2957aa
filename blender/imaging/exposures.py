"""Expose the linear light of rendered frames again, with other settings of the sensor. Numpy only.

``python -m blender.imaging.exposures --profile FILE --split NAME --frames DIR --draws N`` reads the frames of
a split with the passes "depth" and "light", and writes to standard output:

- a line of JSON with the profile's tables [scene.sensor] and [scene.camera], defaults included, and the
  number of exposures;
- for each exposure a line of JSON (frame, width, height, settings of the sensor), followed by the pixels:
  RGB, 8 bits per channel, row by row.

``transpalette fit`` reads this stream, so that no exposure is stored on disk.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from blender.config.capture import SensorConfig
from blender.config.profile import load_config
from blender.contract import UserError, array_path, exit_on_user_error, from_table, read_manifest, read_record
from blender.imaging.sensor import expose, sample_sensor

_RNG_STREAM = 0xE9
"""Part of the seed, so that these draws differ from those of the rendered frames."""


def main() -> None:
    """Parse the arguments and write the exposures. A user's mistake is one line and exit status 2."""
    options = _parser().parse_args()
    with exit_on_user_error():
        write_exposures(options, sys.stdout.buffer)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m blender.imaging.exposures",
        description="Expose rendered frames again with other settings of the sensor.",
    )
    parser.add_argument("--profile", type=Path, required=True, help="TOML file of the profile")
    parser.add_argument("--split", required=True, help="name of the split")
    parser.add_argument("--frames", type=Path, required=True, help="folder of the rendered split")
    parser.add_argument("--draws", type=int, default=1, help="exposures of each frame")
    parser.add_argument("--sensor", default="{}", help="JSON: keys of [scene.sensor] that differ")
    return parser


def write_exposures(options: argparse.Namespace, stream: BinaryIO) -> None:
    """Write all exposures of the frames to ``stream``.

    Raises:
        UserError: a mistake in the profile or in ``--sensor``, or a frame without linear light.
    """
    config = load_config(options.profile, options.split)
    own = json.loads(json.dumps(asdict(config.scene.sensor)))  # lists for tuples, as in a file
    drawn = from_table(SensorConfig, own | json.loads(options.sensor), "--sensor")
    frames = [int(name) for name in sorted(read_manifest(options.frames).frames)]
    head = {"sensor": own, "camera": asdict(config.scene.camera), "exposures": len(frames) * options.draws}
    _write_line(stream, head)
    for frame in frames:
        for settings, pixels in frame_exposures(options.frames, frame, drawn, options.draws):
            height, width = pixels.shape[:2]
            _write_line(stream, {"frame": frame, "width": width, "height": height, "settings": settings})
            stream.write(pixels.tobytes())


def frame_exposures(
    split_dir: Path, frame: int, sensor: SensorConfig, draws: int
) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Yield exposures of one frame: the settings of the sensor, and the photograph (H, W, 3) uint8.

    Args:
        split_dir: folder of the split.
        frame: number of the frame.
        sensor: the ranges to draw from.
        draws: number of exposures.

    Raises:
        UserError: the frame has no linear light or no depth.
    """
    record = read_record(split_dir / "frames" / f"{frame:06d}.json")
    try:
        light, depth = (np.load(array_path(split_dir, name, frame)) for name in ("light", "depth"))
    except FileNotFoundError as error:
        raise UserError(
            f'{error.filename}: no such file; render the split with passes = ["depth", "light"]'
        ) from None
    for draw in range(draws):
        rng = np.random.default_rng([record.seed, _RNG_STREAM, frame, draw])
        settings = sample_sensor(sensor, rng)
        yield settings, expose(light, depth, settings, rng)


def _write_line(stream: BinaryIO, value: dict[str, Any]) -> None:
    stream.write(json.dumps(value).encode() + b"\n")


if __name__ == "__main__":
    main()
