"""``python -m pipeline.bench``: measure time and memory of every part and of its reference.

Writes bench.json and PERFORMANCE.md to the ``--out`` folder and prints the table of targets. ``--only``
measures some parts again; the others keep the figures of an earlier run. Each part records its own machine
and date.
"""

from __future__ import annotations

import importlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

import click

from blender.contract import UserError, write_atomic
from pipeline.bench.machine import BackgroundLoad, limit_cores, machine_info
from pipeline.bench.options import BenchOptions
from pipeline.bench.report.page import page, targets_table
from pipeline.cli.group import FILE, FOLDER, PROFILE, Group
from pipeline.config import read_profile

MODULES = {
    "render": "rendering",
    "train": "training",
    "accuracy": "accuracy",
    "inference": "inference",
    "evaluate": "coco_files",
}
"""Part -> the module of ``pipeline.bench.parts`` that measures it."""

FORMAT = 2
"""Version of the format of bench.json. Increase it whenever figures are renamed."""


@click.group(
    cls=Group,
    invoke_without_command=True,
    subcommand_metavar="",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@PROFILE
@click.option("--people", type=FOLDER, required=True, help="Folder with the posed body meshes.")
@click.option(
    "--out", type=FOLDER, default=Path("build/bench"), show_default=True, help="Folder for the results."
)
@click.option(
    "--only", default="render,train,inference,evaluate", show_default=True, help="Parts to measure."
)
@click.option("--cores", default=2, show_default=True, help="Number of cores to use; 0: all.")
@click.option("--frames", default=8, show_default=True, help="Frames that are timed by stage.")
@click.option(
    "--until", default=1000, show_default=True, help="Frames to render before frames are timed again."
)
@click.option(
    "--images", type=int, help="Images for training and inference.  [default: 16, or all there are]"
)
@click.option(
    "--rounds",
    "epochs",
    default=12,
    show_default=True,
    help="Epochs (passes over the images) of the profile's recipe.",
)
@click.option(
    "--masks", default="1000,5000", show_default=True, help="Masks in the converted and evaluated sets."
)
@click.option(
    "--annotations", default=50_000, show_default=True, help="Annotations in the file that is validated."
)
@click.option("--model", type=FILE, help="Trained model for inference.  [default: the initial model]")
@click.option("--accuracy", is_flag=True, help="Also compare the accuracy of both recipes; takes an hour.")
@click.option("--seeds", default="0,1", show_default=True, help="Seeds of the trainings for --accuracy.")
@click.option(
    "--accuracy-images", type=int, help="Training images for --accuracy.  [default: 40, or all there are]"
)
@click.option(
    "--accuracy-rounds",
    "accuracy_epochs",
    default=12,
    show_default=True,
    help="Epochs (passes over the images) for --accuracy.",
)
@click.option(
    "--publish", type=FOLDER, help="Folder for a copy of the results: performance.json and PERFORMANCE.md."
)
def main(
    profile: Path,
    people: Path,
    out: Path,
    only: str,
    cores: int,
    frames: int,
    until: int,
    images: int | None,
    epochs: int,
    masks: str,
    annotations: int,
    model: Path | None,
    accuracy: bool,
    seeds: str,
    accuracy_images: int | None,
    accuracy_epochs: int,
    publish: Path | None,
) -> None:
    """Measure speed and memory of every part and of its reference; write bench.json and PERFORMANCE.md."""
    splits = read_profile(profile).splits
    train_images, val_images = splits.get("train", 0), splits.get("val", 0)
    options = BenchOptions(
        profile=profile,
        people=people,
        out=out,
        frames=frames,
        until=until,
        images=min(16, train_images) if images is None else images,
        epochs=epochs,
        masks=_numbers("--masks", masks),
        annotations=annotations,
        model=model,
        seeds=_numbers("--seeds", seeds),
        accuracy_images=min(40, train_images, val_images) if accuracy_images is None else accuracy_images,
        accuracy_epochs=accuracy_epochs,
    )
    _check(options, cores)
    parts = _part_names(f"{only},accuracy" if accuracy else only)
    run(options, parts, limit_cores(cores), publish)


def run(options: BenchOptions, parts: list[str], cores: int, publish: Path | None) -> None:
    """Measure the parts one after the other; the results are written after each part.

    Args:
        options: the options of the run.
        parts: names of the parts.
        cores: number of cores in use.
        publish: folder for a copy of the results; None: no copy.
    """
    file = options.out / "bench.json"
    results = _read_earlier_results(file)
    for name in parts:
        start, background = time.monotonic(), BackgroundLoad()
        click.echo(f"bench: {name}", err=True)
        # Imported here for start-up time: some parts import torch.
        part = importlib.import_module(f"pipeline.bench.parts.{MODULES[name]}")
        figures = part.measure(options)
        results["parts"][name] = {
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "profile": read_profile(options.profile).name,
            "machine": machine_info(cores),
            "background_load_cores": background.cores(),
            "seconds": round(time.monotonic() - start, 1),
            "figures": round_figures(figures),
        }
        write_atomic(file, json.dumps(results, indent=1).encode())
        write_atomic(options.out / "PERFORMANCE.md", page(results).encode())
    click.echo("\n".join(targets_table(results)))
    click.echo(f"bench: {file}, {options.out / 'PERFORMANCE.md'}")
    if publish is not None:
        publish.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, publish / "performance.json")
        shutil.copyfile(options.out / "PERFORMANCE.md", publish / "PERFORMANCE.md")


def round_figures(value: Any) -> Any:
    """Round all floats to five significant digits, because no clock is more accurate."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: round_figures(item) for name, item in value.items()}
    return [round_figures(item) for item in value] if isinstance(value, list) else value


def _read_earlier_results(file: Path) -> dict[str, Any]:
    """Read the results of an earlier run; empty if there are none or they have another format."""
    empty: dict[str, Any] = {"format": FORMAT, "parts": {}}
    try:
        results = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return empty
    return results if isinstance(results, dict) and results.get("format") == FORMAT else empty


def _part_names(only: str) -> list[str]:
    names = list(dict.fromkeys(name for name in only.split(",") if name))
    for name in names:
        if name not in MODULES:
            raise UserError(f"--only {name}: unknown; known: {', '.join(MODULES)}")
    return names


def _numbers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise UserError(f"{option} {text}: expected integers, such as 1,2") from None


def _check(options: BenchOptions, cores: int) -> None:
    """Check options that would otherwise fail only after minutes."""
    minimum = {
        "--frames": (options.frames, 2),
        "--images": (options.images, 2),
        "--rounds": (options.epochs, 1),
        "--masks": (min(options.masks), 2),
        "--annotations": (options.annotations, 10),
        "--accuracy-images": (options.accuracy_images, 2),
        "--accuracy-rounds": (options.accuracy_epochs, 1),
        "--cores": (cores, 0),
    }
    for option, (value, bound) in minimum.items():
        if value < bound:
            raise UserError(f"{option} must be at least {bound}")
    if options.model is not None and not options.model.is_file():
        raise UserError(f"{options.model}: no such model; train it first (make train), or leave out --model")
    if not options.people.is_dir():
        raise UserError(f"{options.people}: no such folder; create the body meshes first (make people)")


if __name__ == "__main__":
    main()
