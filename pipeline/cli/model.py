"""Commands about models: train, evaluate, prelabel, export, report.

Imports inside functions are for start-up time (see ``pipeline.cli``).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from blender.contract import UserError
from pipeline.cli.group import EXIF, EXTRA, FILE, FOLDER, MAP, PROFILE, SCHEDULER, SHARE, profile_option
from pipeline.config import ExifReading

TOOLS = ("cvat", "label-studio", "coco")
"""Names of the annotation tools that ``pipeline.labelling.prelabel`` writes for; a test compares them."""
PATHS = click.argument("paths", type=click.Path(path_type=Path), nargs=-1, metavar="[MODEL] IMAGE...")
CLASSES = click.option("--classes", help="Classes to detect, separated by commas.  [default: all of MODEL]")
THRESHOLD = click.option("--threshold", type=SHARE, help="Lowest score.  [default: the model's]")


def split_names(text: str | None) -> tuple[str, ...]:
    """Split the value of --classes."""
    return tuple(name.strip() for name in text.split(",")) if text is not None else ()


@click.command()
@PROFILE
@click.option("--train", "train_dir", type=FOLDER, required=True, help="Split folder to train on.")
@click.option(
    "--val", "val_dir", type=FOLDER, required=True, help="Split folder that selects the best epoch."
)
@click.option(
    "--out",
    type=FOLDER,
    required=True,
    help="Folder for model.safetensors, last.safetensors and metrics.jsonl.",
)
@click.option(
    "--threshold-set", type=FOLDER, help="Split folder that, with --val, selects the score threshold."
)
@EXTRA
@MAP
@click.option(
    "--negatives",
    type=FOLDER,
    multiple=True,
    help="Folder of photographs without any object of the classes; repeatable.",
)
@click.option(
    "--exif",
    type=click.Choice(["stored", "upright"]),
    help="What annotations refer to where an EXIF orientation leaves both possible.  [default: profile's]",
)
@click.option(
    "--allow-empty-classes", is_flag=True, help="Train even if a class has no object in the training images."
)
def train(
    profile: Path,
    train_dir: Path,
    val_dir: Path,
    out: Path,
    threshold_set: Path | None,
    extra: tuple[str, ...],
    mapping: tuple[str, ...],
    negatives: tuple[Path, ...],
    exif: ExifReading | None,
    allow_empty_classes: bool,
) -> None:
    """Fine-tune Mask R-CNN on a rendered split.

    --extra adds other COCO sets to the training images. --negatives adds photographs without objects, which
    need no annotations; [train] negatives_share of the profile is their share of the training views.
    """
    from pipeline.config import read_profile
    from pipeline.data.combine import add_extra_sets
    from pipeline.training.command import train as run

    settings = add_extra_sets(read_profile(profile), extra, mapping, exif)
    folders = (*settings.train.negatives, *map(str, negatives))
    settings = replace(settings, train=replace(settings.train, negatives=folders))
    run(settings, train_dir, val_dir, out, allow_empty_classes, threshold_set)


@click.command()
@click.argument("model", type=FILE, required=False)
@click.option("--annotations", type=FILE, help="COCO instances file.")
@click.option("--images", type=FOLDER, help="Folder of its images.")
@click.option(
    "--set",
    "named",
    multiple=True,
    metavar="NAME=FILE:IMAGES",
    help="A COCO set with figures of its own, and its name; repeatable.",
)
@click.option("--predictions", type=FILE, help="COCO results to evaluate instead of a MODEL.")
@click.option("--out", type=FOLDER, help="Folder for metrics.json and, with a MODEL, predictions.json.")
@profile_option("The run's TOML file, for its [evaluate] table.", required=False)
@click.option(
    "--bootstrap",
    type=click.IntRange(min=0),
    help="Resamples for the 95 % intervals; 0: no intervals.  [default: the profile's, or 200]",
)
@EXTRA
@MAP
@EXIF
@click.option(
    "--baseline",
    type=click.Choice(["coco", "start"]),
    help="Compare with the general COCO model, or with the weights that training started from.",
)
@SCHEDULER
def evaluate(
    model: Path | None,
    annotations: Path | None,
    images: Path | None,
    named: tuple[str, ...],
    predictions: Path | None,
    out: Path | None,
    profile: Path | None,
    bootstrap: int | None,
    extra: tuple[str, ...],
    mapping: tuple[str, ...],
    exif: ExifReading,
    baseline: str | None,
    scheduler: str | None,
) -> None:
    """Print COCO AP of a model or of COCO results.

    AP is of the set of --annotations, or of the first --set; --extra adds images to it. Recall, precision and
    false alarms at the model's threshold are of each set.
    """
    from pipeline.config import EvaluateConfig, read_profile
    from pipeline.data.combine import parse_named_sets
    from pipeline.evaluation.evaluate import evaluate as run
    from pipeline.evaluation.evaluate import evaluate_results
    from pipeline.reporting.pages import write_evaluation_page

    if bootstrap is None:
        bootstrap = (read_profile(profile).evaluate if profile else EvaluateConfig()).bootstrap
    sets = parse_named_sets(annotations, images, extra, named, mapping, exif)
    if predictions is not None:
        if model is not None or baseline is not None:
            raise UserError("--predictions replaces a model: leave MODEL and --baseline out")
        if len(sets) > 1:
            raise UserError("--predictions are of one set: give --annotations or one --set")
        evaluate_results(predictions, sets[0], out, bootstrap)
        return
    if model is None or (annotations is not None and images is None):
        raise UserError("give a MODEL and the folder of its --images, or --predictions")
    run(model, sets, out, bootstrap, baseline, scheduler)
    if out is not None:
        write_evaluation_page(out)


@click.command()
@PATHS
@click.option("--for", "tool", type=click.Choice(TOOLS), required=True, help="The annotation tool.")
@click.option("--out", type=FOLDER, required=True, help="A new folder for images, labels and review.csv.")
@CLASSES
@THRESHOLD
def prelabel(
    paths: tuple[Path, ...],
    tool: str,
    out: Path,
    classes: str | None,
    threshold: float | None,
) -> None:
    """Write detections as labels to correct.

    The result is what CVAT, Label Studio or a COCO editor imports, the least certain image first. Read the
    corrected labels with 'labels'. Without a MODEL, the general warehouse detector is used (see 'predict').
    """
    from pipeline.inference.segmenter import split_model
    from pipeline.labelling.prelabel import prelabel as run

    model, images, names = split_model(paths, split_names(classes))
    run(model, images, tool, out, threshold, names)


@click.command()
@click.argument("model", type=FILE)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["onnx", "html", "safetensors"]),
    default="onnx",
    show_default=True,
    help="The file format; html is a page for browsers; safetensors, a smaller checkpoint, needs --int8.",
)
@click.option(
    "--out", type=FILE, required=True, help="The file to write, named *.onnx, *.html or *.safetensors."
)
@click.option(
    "--runtime",
    type=FILE,
    help="For --format html: the file that 'npm pack onnxruntime-web@1.30.0' writes.",
)
@click.option(
    "--int8",
    is_flag=True,
    help="Store the weights in 8 bits, if AP50 drops by at most 0.02 (a checkpoint's by 0.005).",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Compare on these images too (at most 20 of them); with --int8 the folder of --annotations.",
)
@click.option("--annotations", type=FILE, help="COCO file on which --int8 is measured.")
def export(
    model: Path,
    file_format: str,
    out: Path,
    int8: bool,
    images: tuple[Path, ...],
    annotations: Path | None,
    runtime: Path | None,
) -> None:
    """Write an ONNX file, a page for browsers, a checkpoint.

    An .onnx file is written only if its detections are those of the checkpoint. An .html file is a page with
    that model in it, which runs in a browser without a server or a network. A .safetensors file is a
    checkpoint, with 8-bit weights and less than a third of the size.
    """
    from pipeline.export.command import export_model

    export_model(model, out, images, int8, annotations, file_format, runtime)


@click.command()
@PROFILE
@click.argument("run_dir", type=FOLDER)
def report(profile: Path, run_dir: Path) -> None:
    """Write the HTML report and the model card of a run.

    Writes report.html, report.json and model_card.md to RUN_DIR.
    """
    from pipeline.config import read_profile
    from pipeline.reporting.report import write_report

    write_report(read_profile(profile), run_dir)
