"""Run the command predict in this process, and make its inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
from click.testing import CliRunner, Result
from PIL import Image

from pipeline.cli import main


def predict(model: Path, *words: object, out: Path, threshold: float | None = 0.0) -> Result:
    """Run predict; threshold 0 gives 10 detections per image."""
    options = [] if threshold is None else ["--threshold", str(threshold)]
    return CliRunner().invoke(main, ["predict", str(model), *map(str, words), "--out", str(out), *options])


def read_results(out: Path) -> list[dict[str, Any]]:
    """Read predictions.json."""
    results: list[dict[str, Any]] = json.loads((out / "predictions.json").read_bytes())
    return results


def noise(size: tuple[int, int] = (80, 60), seed: int = 0) -> Image.Image:
    """Return an RGB image (width, height) of noise."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


def write_image(path: Path, mode: str = "RGB", size: tuple[int, int] = (80, 60), **options: Any) -> Path:
    """Write an image of noise and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise(size).convert(mode).save(path, **options)
    return path


def encode_video(path: Path, codec: str, pix_fmt: str, frames: int = 5, **fields: Any) -> Path:
    """Write a video of 80x60 pixels whose frame n is white in its left 8 (n + 1) columns.

    Args:
        path: the file; its extension names the container, unless ``fields`` has "format".
        codec: FFmpeg's name of the codec.
        pix_fmt: FFmpeg's name of the pixel format.
        frames: number of frames.
        fields: "format", and attributes of the codec context.
    """
    with av.open(str(path), "w", format=fields.pop("format", None)) as container:
        track: Any = container.add_stream(codec, rate=10)
        track.width, track.height, track.pix_fmt = 80, 60, pix_fmt
        for name, value in fields.items():
            setattr(track.codec_context, name, value)
        for number in range(frames):
            pixels = np.zeros((60, 80, 3), np.uint8)
            pixels[:, : 8 * (number + 1)] = 255
            container.mux(track.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(track.encode(None))
    return path
