"""The command ``serve``.

Imports inside functions are for start-up time (see ``pipeline.cli``).
"""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli.group import FILE, FOLDER
from pipeline.cli.model import CLASSES, THRESHOLD, TOOLS, split_names


@click.command()
@click.argument("model", type=FILE, required=False)
@click.option(
    "--port", type=click.IntRange(1, 65535), default=7860, show_default=True, help="Port on 127.0.0.1."
)
@CLASSES
@THRESHOLD
@click.option(
    "--keep",
    type=FOLDER,
    default=Path("kept"),
    show_default=True,
    help="Folder for pictures that are kept for correction, with their detections.",
)
@click.option(
    "--for",
    "tool",
    type=click.Choice(TOOLS),
    default="coco",
    show_default=True,
    help="The annotation tool for kept pictures.",
)
@click.option(
    "--frames",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Predict at most this many frames of a video, evenly spread.",
)
def serve(
    model: Path | None,
    port: int,
    classes: str | None,
    threshold: float | None,
    keep: Path,
    tool: str,
    frames: int,
) -> None:
    """Show detections on a local web page.

    The page takes pictures, videos and the camera, on this machine alone (127.0.0.1). Without a MODEL, the
    general warehouse detector is used (see 'predict'). Kept pictures are in the form of 'prelabel'.
    """
    from pipeline.serving.command import serve as run

    run(model, port, split_names(classes), threshold, tool, keep, frames)
