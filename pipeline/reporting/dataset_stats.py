"""Statistics of one COCO dataset, or of two to compare: counts, sizes, distances, visibility, positions.

Any valid COCO file can be used. ``distance`` and ``visible_fraction`` are fields of Transpalette's renders;
annotations without them are left out of their histograms.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from blender.contract import UserError, canonical_json, print_note, write_atomic
from pipeline.common.stages import prepare_output_dir
from pipeline.data.coco_io import count_without_mask
from pipeline.data.validation.check import load_validated_coco
from pipeline.data.values import has_mask
from pipeline.viz.overlays import readable
from pipeline.viz.plots import ClassPanels, Histogram, PositionMap, plot_statistics, to_png

Annotation = dict[str, Any]
Image = dict[str, Any]

GRID = (12, 16)
"""Rows and columns of the map of object positions."""


@dataclass(frozen=True)
class Measure:
    """A quantity of each object, and the bins of its histogram."""

    label: str
    """Name with unit."""
    read: Callable[[Annotation, Image], float | None]
    edges: tuple[float, ...]
    """Edges of the bins. Values beyond the ends are counted in the first or last bin."""


def _read_field(key: str) -> Callable[[Annotation, Image], float | None]:
    """Build the function that reads a number from an annotation; None if the annotation lacks it."""
    return lambda a, image: float(a[key]) if key in a else None


_TENTHS = tuple(round(n / 10, 1) for n in range(11))
MEASURES: dict[str, Measure] = {
    "width": Measure(
        "box width (share of image width)",
        lambda a, image: a["bbox"][2] / image["width"],
        (0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1),
    ),
    "area": Measure(
        "mask area (share of image area)",
        lambda a, image: a["area"] / (image["width"] * image["height"]) if has_mask(a) else None,
        (0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1),
    ),
    "distance": Measure("distance (m)", _read_field("distance"), (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20)),
    "visible_fraction": Measure("visible fraction", _read_field("visible_fraction"), _TENTHS),
    "x": Measure(
        "box centre from left (share of width)",
        lambda a, image: (a["bbox"][0] + a["bbox"][2] / 2) / image["width"],
        _TENTHS,
    ),
    "y": Measure(
        "box centre from top (share of height)",
        lambda a, image: (a["bbox"][1] + a["bbox"][3] / 2) / image["height"],
        _TENTHS,
    ),
}


def write_stats(sets: tuple[Path, ...], out: Path) -> None:
    """Write stats.json and stats.png about one or two datasets to ``out``.

    Args:
        sets: COCO files, or split folders with an annotations.json.
        out: the folder.

    Raises:
        UserError: there are more than two sets, or a set is missing or invalid.
    """
    if not 1 <= len(sets) <= 2:
        raise UserError("give one set, or two to compare: COCO files or split folders")
    paths = [path / "annotations.json" if path.is_dir() else path for path in sets]
    notes: list[str] = []
    statistics = [dataset_statistics(load_validated_coco(path, notes)) for path in paths]
    names = [path.parent.name if path.name == "annotations.json" else path.stem for path in paths]
    names = names if len(set(names)) == len(names) else [f"{name} {n}" for n, name in enumerate(names, 1)]
    prepare_output_dir(out)
    tables = [{"name": name} | table for name, table in zip(names, statistics, strict=True)]
    write_atomic(out / "stats.png", to_png(plot_statistics(names, class_panels(statistics))))
    write_atomic(out / "stats.json", canonical_json({"sets": tables}))
    for table in tables:
        click.echo(f"stats: {table['name']}: {table['images']} images, {_count_text(table)}")
        if table["without_mask"]:
            print_note(
                f"{table['name']}: {table['without_mask']} objects have a box and no mask: they are left out "
                "of the mask areas"
            )
    for note in notes:
        print_note(note)
    click.echo(f"stats: {out / 'stats.png'}, {out / 'stats.json'}")


def dataset_statistics(dataset: dict[str, Any]) -> dict[str, Any]:
    """Count the images, objects and ignore regions of a valid COCO file, and each class's histograms.

    Returns:
        ``images``, ``empty`` (images without an object), ``without_mask`` (objects without a mask), ``edges``
        by measure, and ``classes`` by name with ``objects``, ``ignored``, ``histograms`` and ``medians`` by
        measure, and ``position``: counts on a grid over the image (rows from the top).
    """
    images = {image["id"]: image for image in dataset["images"]}
    by_category: defaultdict[int, list[Annotation]] = defaultdict(list)
    for a in dataset["annotations"]:
        by_category[a["category_id"]].append(a)
    with_objects = {a["image_id"] for a in dataset["annotations"] if not a["iscrowd"]}
    return {
        "images": len(images),
        "empty": len(images) - len(with_objects),
        "without_mask": count_without_mask(dataset["annotations"])[0],
        "edges": {name: list(measure.edges) for name, measure in MEASURES.items()},
        "classes": {
            c["name"]: _class_statistics(by_category[c["id"]], images) for c in dataset["categories"]
        },
    }


def _class_statistics(annotations: list[Annotation], images: dict[int, Image]) -> dict[str, Any]:
    """Compute the statistics of one class."""
    objects = [a for a in annotations if not a["iscrowd"]]
    values = {
        name: [value for a in objects if (value := measure.read(a, images[a["image_id"]])) is not None]
        for name, measure in MEASURES.items()
    }
    return {
        "objects": len(objects),
        "ignored": len(annotations) - len(objects),
        "histograms": {name: _histogram(values[name], MEASURES[name].edges) for name in MEASURES},
        "medians": {name: round(float(np.median(v)), 6) if v else None for name, v in values.items()},
        "position": _position_counts(values["x"], values["y"]),
    }


def _histogram(values: list[float], edges: tuple[float, ...]) -> list[int]:
    return [int(n) for n in np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]]


def _position_counts(x: list[float], y: list[float]) -> list[list[int]]:
    """Count box centres (shares of width and height) on ``GRID``."""
    counts = np.histogram2d(np.clip(y, 0, 1), np.clip(x, 0, 1), bins=GRID, range=((0, 1), (0, 1)))[0]
    return [[int(n) for n in row] for row in counts]


def class_panels(statistics: list[dict[str, Any]]) -> list[ClassPanels]:
    """Build the plots of each class that has objects in one of the datasets.

    Args:
        statistics: the statistics of each dataset, from ``dataset_statistics``.
    """
    panels = []
    for name in dict.fromkeys(name for table in statistics for name in table["classes"]):
        tables = [table["classes"].get(name) for table in statistics]
        if not any(table and table["objects"] for table in tables):
            continue
        objects = " and ".join(str(table["objects"] if table else 0) for table in tables)
        histograms = [
            Histogram(
                measure.label, measure.edges, tuple(tuple(t["histograms"][key]) if t else () for t in tables)
            )
            for key, measure in MEASURES.items()
        ]
        maps = [PositionMap(n, tuple(map(tuple, t["position"]))) for n, t in enumerate(tables) if t]
        panels.append(ClassPanels(f"{readable(name)}: {objects} objects", (*histograms, *maps)))
    return panels


def _count_text(table: dict[str, Any]) -> str:
    """Format the number of objects of each class, and that of the ignore regions."""
    parts = [f"{entry['objects']} {readable(name)}" for name, entry in table["classes"].items()]
    ignored = sum(entry["ignored"] for entry in table["classes"].values())
    return ", ".join(parts or ["no class"]) + (f", {ignored} ignored" if ignored else "")
