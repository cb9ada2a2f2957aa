"""The ``transpalette`` command. Each verb imports its module only when it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from blender.contract import UserError, mistakes_in_a_line

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
EXTRA = click.option("--extra", multiple=True, metavar="FILE:IMAGES", help="One more COCO set; repeatable.")
MAP = click.option("--map", "mapping", multiple=True, metavar="CATEGORY=CLASS", help="What a category means.")
SCHEDULER = click.option("--scheduler", metavar="ADDRESS", help="Let this Dask scheduler's workers do it.")
PROFILE = click.option("--profile", type=FILE, required=True, help="The TOML file that describes the run.")


class Group(click.Group):
    """Ends a user's mistake in one line and exit status 2; our own faults keep their traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb."""
        result = None
        with mistakes_in_a_line():
            result = super().invoke(ctx)
        return result


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="transpalette")
def main() -> None:
    """From nothing to a fine-tuned instance segmenter: people, coco, train, evaluate, report."""


@main.command()
@PROFILE
def check(profile: Path) -> None:
    """Check the pipeline's tables of a profile before any work is done."""
    from pipeline.config import read_profile

    read_profile(profile)


@main.command()
@click.option("--out", type=FOLDER, default=Path("build"), show_default=True, help="Where results will go.")
def doctor(out: Path) -> None:
    """Say what this machine has and lacks: versions, cores, GPU, libraries, weights, disk."""
    from pipeline.doctor import report

    sys.exit(0 if report(out) else 1)


@main.command()
@PROFILE
@click.option("--out", type=FOLDER, required=True, help="Folder of the .npz bodies.")
@SCHEDULER
def people(profile: Path, out: Path, scheduler: str | None) -> None:
    """Bake posed adult bodies with anny."""
    from pipeline.people.bake import bake_people

    bake_people(profile, out, scheduler)


@main.command()
@click.argument("shards", nargs=-1, required=True, metavar="SHARD_DIR...")
@click.option("--out", required=True, help="The whole split's folder; like the shards, it may be a URL.")
@click.option("--partial", is_flag=True, help="Merge although frames are missing.")
def merge(shards: tuple[str, ...], out: str, partial: bool) -> None:
    """Join shards of one split, rendered apart (render --shard i/n), and check every file."""
    from pipeline.data.shards import merge_shards

    merge_shards(shards, out, partial)


@main.command()
@PROFILE
@click.argument("split_dir", type=FOLDER)
@SCHEDULER
def coco(profile: Path, split_dir: Path, scheduler: str | None) -> None:
    """Write SPLIT_DIR/annotations.json from a rendered split's masks and records."""
    from pipeline.config import read_profile
    from pipeline.data.convert import convert_split

    convert_split(split_dir, read_profile(profile).coco, scheduler)


@main.command()
@click.argument("file", type=FILE)
@click.option("--images", type=FOLDER, help="Check the image files too.")
@click.option("--fix", type=FILE, metavar="OUT", help="Write a repaired copy and say what was changed.")
def validate(file: Path, images: Path | None, fix: Path | None) -> None:
    """Check a COCO instance file, anybody's: name every fault, its place and its cure."""
    from pipeline.data.validation.check import validate_file

    sys.exit(2 if validate_file(file, images, fix) else 0)


@main.command()
@click.argument("split_dir", type=FOLDER)
@click.option("--to", required=True, help="coco-polygons, yolo-seg or imagefolder (Hugging Face).")
@click.option("--out", type=FOLDER, required=True, help="A folder for the result alone.")
def convert(split_dir: Path, to: str, out: Path) -> None:
    """Write a split (images/ and annotations.json) in another tool's format."""
    from pipeline.data.formats import convert_to_format

    convert_to_format(split_dir, to, out)


@main.command()
@click.argument("split_dir", type=FOLDER)
@click.option("--out", type=FILE, required=True, help="The PNG to write.")
@click.option("--count", default=12, show_default=True, help="Frames on the sheet.")
@click.option("--columns", default=4, show_default=True)
@click.option("--width", default=420, show_default=True, help="Of a frame on the sheet, in pixels.")
@click.option(
    "--show",
    default="masks,boxes,keypoints,names,visible",
    show_default=True,
    metavar="PARTS",
    help="Of masks, boxes, keypoints, names, ids, visible (share that is seen); '' for the bare pictures.",
)
def preview(split_dir: Path, out: Path, count: int, columns: int, width: int, show: str) -> None:
    """Draw a contact sheet of a split (images/ and annotations.json) with its masks."""
    from pipeline.viz.contact_sheet import write_contact_sheet

    parts = [part for part in show.split(",") if part]
    write_contact_sheet(split_dir, out, count, columns, width, parts)


@main.command()
@click.argument("sets", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="SET [SET]")
@click.option("--out", type=FOLDER, required=True, help="Gets stats.json and stats.png.")
def stats(sets: tuple[Path, ...], out: Path) -> None:
    """Count classes, sizes, distances, visibility and positions; two SETs (COCO files or splits) compare."""
    from pipeline.reporting.dataset_stats import write_stats

    write_stats(sets, out)


@main.command()
@click.argument("splits", type=FOLDER, nargs=-1, required=True, metavar="SPLIT_DIR...")
@click.option("--out", type=FILE, required=True, help="The Markdown file to write.")
def card(splits: tuple[Path, ...], out: Path) -> None:
    """Write the data set's card: what is in the splits, and what made them."""
    from pipeline.reporting.dataset_card import write_card

    write_card(splits, out)


@main.command()
@PROFILE
@click.option("--train", "train_dir", type=FOLDER, required=True, help="Split folder to learn from.")
@click.option("--val", "val_dir", type=FOLDER, required=True, help="Split folder that picks the best epoch.")
@click.option(
    "--out", type=FOLDER, required=True, help="Gets model.safetensors, last.safetensors, metrics.jsonl."
)
@EXTRA
@MAP
def train(
    profile: Path, train_dir: Path, val_dir: Path, out: Path, extra: tuple[str, ...], mapping: tuple[str, ...]
) -> None:
    """Fine-tune Mask R-CNN on a rendered split, and on any COCO sets beside it."""
    from pipeline.config import read_profile
    from pipeline.data.combine import add_extra_sets
    from pipeline.training.command import train as run

    run(add_extra_sets(read_profile(profile), extra, mapping), train_dir, val_dir, out)


@main.command()
@click.argument("model", type=FILE, required=False)
@click.option("--annotations", type=FILE, required=True, help="COCO instances file.")
@click.option("--images", type=FOLDER, help="Folder of the images it names.")
@click.option("--predictions", type=FILE, help="COCO results to judge, in place of a MODEL and --images.")
@click.option("--out", type=FOLDER, help="Gets metrics.json and, of a MODEL, predictions.json.")
@click.option("--profile", type=FILE, help="The run's TOML file, for the [evaluate] table.")
@click.option(
    "--bootstrap",
    type=click.IntRange(min=0),
    help="Resamples for 95 % intervals; 0: none.  [default: the profile's, or 200]",
)
@EXTRA
@MAP
@click.option(
    "--baseline", type=click.Choice(["coco", "start"]), help="Compare: the general COCO model, or the start."
)
@SCHEDULER
def evaluate(
    model: Path | None,
    annotations: Path,
    images: Path | None,
    predictions: Path | None,
    out: Path | None,
    profile: Path | None,
    bootstrap: int | None,
    extra: tuple[str, ...],
    mapping: tuple[str, ...],
    baseline: str | None,
    scheduler: str | None,
) -> None:
    """Print COCO box and mask AP of MODEL, or of predictions, on any COCO file and images, or several."""
    from pipeline.config import EvaluateConfig, read_profile
    from pipeline.data.combine import parse_coco_sets
    from pipeline.evaluation.evaluate import evaluate as run
    from pipeline.evaluation.evaluate import evaluate_predictions

    if bootstrap is None:
        bootstrap = (read_profile(profile).evaluate if profile else EvaluateConfig()).bootstrap
    sets = parse_coco_sets(annotations, images or Path(), extra, mapping)
    if predictions is not None:
        if model is not None or baseline is not None:
            raise UserError("--predictions are judged as they are: leave MODEL and --baseline out")
        evaluate_predictions(predictions, out, bootstrap, sets)
        return
    if model is None or images is None:
        raise UserError("give a MODEL and the --images to try it on, or --predictions")
    run(model, annotations, images, out, bootstrap, sets, baseline, scheduler)


@main.command()
@click.argument("model", type=FILE)
@click.argument("images", type=click.Path(path_type=Path), nargs=-1, metavar="IMAGE...")
@click.option("--out", type=FOLDER, required=True, help="Gets drawings, predictions.json, predictions.csv.")
@click.option("--threshold", type=click.FloatRange(0, 1), default=None, help="Least score drawn and written.")
@click.option("--camera", type=click.IntRange(0), help="Look through the camera of this number until Ctrl-C.")
@click.option("--frames", type=click.IntRange(1), help="At most so many of each video or camera.")
def predict(
    model: Path,
    images: tuple[Path, ...],
    out: Path,
    threshold: float | None,
    camera: int | None,
    frames: int | None,
) -> None:
    """Find the objects in IMAGE... (files, folders, 'patterns*', videos); draw the masks, write COCO results.

    MODEL is a checkpoint (model.safetensors), or an .onnx file of 'export'.
    """
    from pipeline.inference.predict import predict_images

    predict_images(model, images, out, threshold, camera, frames)


@main.command()
@click.argument("model", type=FILE)
@click.option("--format", "to", type=click.Choice(["onnx"]), default="onnx", show_default=True)
@click.option("--out", type=FILE, required=True, help="The file to write: *.onnx.")
@click.option("--int8", is_flag=True, help="Store the weights in 8 bits, if they lose little AP50.")
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Compare on these pictures too (at most 20 of them); with --int8 the folder of --annotations.",
)
@click.option("--annotations", type=FILE, help="COCO file on which --int8 is measured.")
def export(
    model: Path, to: str, out: Path, int8: bool, images: tuple[Path, ...], annotations: Path | None
) -> None:
    """Write MODEL, a checkpoint, as one .onnx file, if its detections stay the same."""
    from pipeline.export.export import export_model

    export_model(model, out, images, int8, annotations)


@main.command()
@PROFILE
@click.argument("run_dir", type=FOLDER)
def report(profile: Path, run_dir: Path) -> None:
    """Write RUN_DIR/report.html and report.json: one page that says what was made and how good it is."""
    from pipeline.config import read_profile
    from pipeline.reporting.report import write_report

    write_report(read_profile(profile), run_dir)
