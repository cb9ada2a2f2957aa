"""``python -m pipeline.bench.distances``: errors of estimated distances on rendered frames, as a table.

It compares two methods with the distances in the frames. ``analytic`` takes the ray through the foot or,
for objects that the edge of the picture cuts off, the typical size of the class; ``model`` is the distance
model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from blender.contract import exit_on_user_error
from pipeline.bench.report.markdown import table
from pipeline.cli.group import FILE
from pipeline.data.coco_io import read_coco
from pipeline.evaluation.matching import evaluate_detections
from pipeline.evaluation.results.load import load_results
from pipeline.metres.estimate import OTHER, load_distance_model
from pipeline.metres.fit import RenderedObjects, rendered_objects, select_frames

BINS = ((0.0, 3.0), (3.0, 6.0), (6.0, 10.0), (10.0, 1e9))
"""Metres."""
HEADER = ("objects", "distance", "number", "analytic", "model", "within 10 %", "in 90 % interval")


def detected(dataset: dict[str, Any], predictions: Path) -> dict[str, Any]:
    """Return a dataset of the objects that are detected, with the masks of the detections."""
    results = load_results(predictions, dataset).detections
    matches = evaluate_detections(dataset, results, boxes=False).matches
    pairs = zip(dataset["annotations"], matches.detection_of.tolist(), strict=True)
    annotations = [
        a | {"segmentation": results[n]["segmentation"], "bbox": results[n]["bbox"]}
        for a, n in pairs
        if n >= 0 and not a["iscrowd"]
    ]
    return dataset | {"annotations": annotations}


def error_rows(objects: RenderedObjects) -> list[list[str]]:
    """Return the rows of the table: groups of visibility, each by distance."""
    model, logs, inputs = load_distance_model(), objects.logs, objects.inputs[0]
    low, median, high = model.quantiles(inputs, objects.names).T
    sizes = np.array([model.sizes.get(name, model.sizes[OTHER]) for name in objects.names])
    analytic = np.where(inputs[:, -4:].any(1), sizes - inputs[:, 3], inputs[:, 0])
    errors = {name: np.abs(np.exp(values - logs) - 1) for name, values in (("a", analytic), ("m", median))}
    inside = (low <= logs) & (logs <= high)
    visible = np.array([a["visible_fraction"] for a in objects.annotations])
    truncated, metres = np.array([a["truncated"] for a in objects.annotations], bool), np.exp(logs)
    groups = {
        "whole": ~truncated & (visible >= 0.9),
        "partly hidden": ~truncated & (visible < 0.9) & (visible >= 0.5),
        "more than half hidden": ~truncated & (visible < 0.5),
        "cut by the edge": truncated,
    }
    spans = [("any", np.full(len(logs), True))]
    for start, end in BINS:
        label = f"from {start:g} m" if end > 1e6 else f"{start:g} to {end:g} m"
        spans.append((label, (metres >= start) & (metres < end)))
    rows = []
    for group, members in groups.items():
        for label, span in spans:
            chosen = members & span
            if chosen.any():
                medians = [f"{100 * np.median(errors[key][chosen]):.1f} %" for key in ("a", "m")]
                close = f"{100 * (errors['m'][chosen] <= 0.1).mean():.0f} %"
                covered = f"{100 * inside[chosen].mean():.0f} %"
                rows.append([group, label, str(chosen.sum()), *medians, close, covered])
    return rows


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("annotations", type=FILE)
@click.option("--predictions", type=FILE, help="COCO results to measure in place of the true masks.")
@click.option(
    "--frames", default=":", metavar="A:B", help="Images of the file; B is excluded.  [default: all]"
)
@click.option("--class", "names", multiple=True, help="Only objects of this class; repeatable.")
def main(annotations: Path, predictions: Path | None, frames: str, names: tuple[str, ...]) -> None:
    """Print a table of errors on ANNOTATIONS, the COCO file of a rendered split."""
    with exit_on_user_error():
        dataset = select_frames(read_coco(annotations), frames)
        ids = {image["id"] for image in dataset["images"]}
        kept = {c["id"] for c in dataset["categories"] if not names or c["name"] in names}
        objects = [a for a in dataset["annotations"] if a["image_id"] in ids and a["category_id"] in kept]
        dataset |= {"annotations": objects}
        dataset = detected(dataset, predictions) if predictions else dataset
        click.echo("\n".join(table(HEADER, error_rows(rendered_objects(dataset)))))


if __name__ == "__main__":
    main()
