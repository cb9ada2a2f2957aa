"""The command tracks.

Imports inside functions are for start-up time (see ``pipeline.cli``).
"""

from __future__ import annotations

from pathlib import Path

import click

from blender.contract import UserError
from pipeline.cli.group import FILE, FOLDER
from pipeline.cli.model import CLASSES, THRESHOLD, split_names


@click.command()
@click.argument("paths", type=click.Path(path_type=Path), nargs=-1, metavar="[MODEL] GROUND_TRUTH")
@click.option("--images", type=FOLDER, help="Folder of the frames that GROUND_TRUTH names.")
@click.option("--predictions", type=FILE, help="tracks.json to measure instead of a MODEL.")
@click.option("--out", type=FOLDER, help="Folder for track-metrics.json.")
@click.option(
    "--iou",
    "iou_type",
    type=click.Choice(["bbox", "segm"]),
    default="bbox",
    show_default=True,
    help="Match boxes or masks.",
)
@CLASSES
@THRESHOLD
def tracks(
    paths: tuple[Path, ...],
    images: Path | None,
    predictions: Path | None,
    out: Path | None,
    iou_type: str,
    classes: str | None,
    threshold: float | None,
) -> None:
    """Print HOTA, IDF1 and MOTA of tracks.

    GROUND_TRUTH is a COCO-VID file. The detections of MODEL are tracked as 'predict --track' does and, as a
    baseline, by matching successive frames by IoU. Without a MODEL, the general warehouse detector is used.
    """
    from pipeline.evaluation.tracks.evaluate import evaluate_tracks as run
    from pipeline.inference.segmenter import split_model

    model, files, names = split_model(paths, split_names(classes))
    if len(files) != 1:
        raise UserError("give one GROUND_TRUTH, a COCO-VID file; a MODEL comes before it")
    if predictions is not None:
        if len(paths) > 1 or images is not None or classes is not None or threshold is not None:
            raise UserError("--predictions replaces a MODEL and its options: leave them and --images out")
        run(files[0], None, None, predictions, out, iou_type=iou_type)
        return
    if images is None:
        raise UserError("give the folder of the --images, or --predictions")
    run(files[0], model, images, None, out, threshold, names, iou_type)
