"""``python -m pipeline.bench.study``: render, train and evaluate variants of a profile; write a table."""

from __future__ import annotations

from pathlib import Path

import click

from blender.contract import UserError, exit_on_user_error
from blender.contract.shipped import find_shipped
from pipeline.bench.study.runner import LabelledSet, run
from pipeline.cli.group import FILE, FOLDER


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("study", type=FILE)
@click.option(
    "--out", type=FOLDER, required=True, help="Folder for renders, models, study.json and study.md."
)
@click.option(
    "--annotations", type=FILE, help="COCO file of photographs to evaluate on, beside the test split."
)
@click.option("--images", type=FOLDER, help="Folder of these photographs.")
def main(study: Path, out: Path, annotations: Path | None, images: Path | None) -> None:
    """Render, train and evaluate each variant of STUDY; write a table."""
    with exit_on_user_error():
        if (annotations is None) != (images is None):
            raise UserError("--annotations and --images must be given together")
        photographs = [LabelledSet("photographs", annotations, images)] if annotations and images else []
        run(find_shipped("studies", study), out, photographs)


if __name__ == "__main__":
    main()
