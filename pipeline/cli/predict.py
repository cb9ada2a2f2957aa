"""The command ``predict``.

Imports inside functions are for start-up time (see ``pipeline.cli``).
"""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli.group import FILE, FOLDER
from pipeline.cli.model import CLASSES, PATHS, THRESHOLD, split_names


@click.command()
@PATHS
@click.option(
    "--out", type=FOLDER, required=True, help="Folder for drawings, predictions.json and predictions.csv."
)
@CLASSES
@THRESHOLD
@click.option("--camera", type=click.IntRange(0), help="Read the camera of this number until Ctrl-C.")
@click.option("--frames", type=click.IntRange(1), help="Read at most this many frames of a video or camera.")
@click.option(
    "--frame-rate",
    type=click.FloatRange(0, 1000, min_open=True),
    metavar="RATE",
    help="Read the numbered images of a folder as a video with this many frames per second.",
)
@click.option("--track", is_flag=True, help="Track the objects of videos; write tracks.json and tracks.csv.")
@click.option("--camera-file", type=FILE, help="Description of the camera (TOML); adds distances in metres.")
@click.option(
    "--near", type=click.FloatRange(0, min_open=True), help="List people closer to a truck than this, metres."
)
@click.option(
    "--event-distance",
    type=click.FloatRange(0, min_open=True),
    metavar="METRES",
    help="With --track: write events.json and events.csv, when people stay closer to a truck than this.",
)
@click.option(
    "--event-seconds",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="An event lasts longer than this.  [default: 1]",
)
def predict(
    paths: tuple[Path, ...],
    out: Path,
    classes: str | None,
    threshold: float | None,
    camera: int | None,
    frames: int | None,
    frame_rate: float | None,
    track: bool,
    camera_file: Path | None,
    near: float | None,
    event_distance: float | None,
    event_seconds: float | None,
) -> None:
    """Segment images, videos or a camera.

    IMAGE... are files, folders, 'patterns*' and videos. The masks are drawn, and COCO results are written.
    MODEL is a checkpoint (model.safetensors), or an .onnx file of 'export'. Without it, the general warehouse
    detector that comes with Transpalette finds pedestrians and pallet trucks.
    """
    from pipeline.inference.predict import predict_images
    from pipeline.inference.segmenter import split_model
    from pipeline.metres.results import read_metres
    from pipeline.tracking.event_files import read_event_rule

    metres = read_metres(camera_file, near)
    events = read_event_rule(event_distance, event_seconds, track, metres)
    model, images, names = split_model(paths, split_names(classes))
    predict_images(model, images, out, threshold, camera, frames, names, track, metres, events, frame_rate)
