"""What is in a COCO set, as JSON and as pictures; two sets side by side.

Any sound COCO file will do. ``distance`` and ``visible_fraction`` are this program's own fields: where
an annotation lacks them, it does not count in their histograms.
"""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from blender.contract import UserError, canonical_json, write_atomic
from pipeline.common.stages import prepare_output_dir
from pipeline.data.validation.check import load_validated_coco
from pipeline.data.values import is_number
from pipeline.viz.histograms import Panel, draw_page
from pipeline.viz.overlays import readable

Annotation = dict[str, Any]
Image = dict[str, Any]

GRID = (12, 16)
"""Rows and columns of the map of where objects are."""


@dataclass(frozen=True)
class Measure:
    """One number of every object, and the bins it is counted in."""

    title: str
    read: Callable[[Annotation, Image], float | None]
    edges: tuple[float, ...]
    """The last bin takes what is beyond it, the first what is before it."""


def _own(key: str) -> Callable[[Annotation, Image], float | None]:
    return lambda a, image: float(a[key]) if is_number(a.get(key)) else None


MEASURES: dict[str, Measure] = {
    "width": Measure(
        "width, share of the image's",
        lambda a, image: a["bbox"][2] / image["width"],
        (0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1),
    ),
    "area": Measure(
        "mask, share of the image's area",
        lambda a, image: a["area"] / (image["width"] * image["height"]),
        (0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1),
    ),
    "distance": Measure("distance, m", _own("distance"), (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20)),
    "visible_fraction": Measure(
        "visible fraction", _own("visible_fraction"), tuple(round(n / 10, 1) for n in range(11))
    ),
    "x": Measure(
        "centre from left to right",
        lambda a, image: (a["bbox"][0] + a["bbox"][2] / 2) / image["width"],
        tuple(round(n / 10, 1) for n in range(11)),
    ),
    "y": Measure(
        "centre from top to bottom",
        lambda a, image: (a["bbox"][1] + a["bbox"][3] / 2) / image["height"],
        tuple(round(n / 10, 1) for n in range(11)),
    ),
}


def write_stats(sets: tuple[Path, ...], out: Path) -> None:
    """Write ``out``/stats.json and stats.png about one set or two: COCO files, or split folders.

    Raises:
        UserError: more than two sets, or a faulty one.
    """
    if not 1 <= len(sets) <= 2:
        raise UserError("give one set, or two to be compared: COCO files or split folders")
    paths = [path / "annotations.json" if path.is_dir() else path for path in sets]
    statistics = [set_statistics(load_validated_coco(path)) for path in paths]
    names = [path.parent.name if path.name == "annotations.json" else path.stem for path in paths]
    names = names if len(set(names)) == len(names) else [f"{name} {n}" for n, name in enumerate(names, 1)]
    prepare_output_dir(out)
    stream = io.BytesIO()
    draw_page(names, panels(statistics)).save(stream, format="PNG")
    tables = [{"name": name} | table for name, table in zip(names, statistics, strict=True)]
    write_atomic(out / "stats.png", stream.getvalue())
    write_atomic(out / "stats.json", canonical_json({"sets": tables}))
    for table in tables:
        click.echo(f"stats: {table['name']}: {table['images']} images, {_counts(table)}")
    click.echo(f"stats: {out / 'stats.png'}, {out / 'stats.json'}")


def set_statistics(dataset: dict[str, Any]) -> dict[str, Any]:
    """Count a sound COCO file: images, objects, ignore regions, and each class's histograms.

    Returns:
        ``images``, ``empty`` (images without an object), ``edges`` by measure, and ``classes`` by name
        with ``objects``, ``ignored``, ``histograms`` and ``medians`` by measure, and ``position``, counts
        on a grid over the image (rows from the top).
    """
    images = {image["id"]: image for image in dataset["images"]}
    mine: defaultdict[int, list[Annotation]] = defaultdict(list)
    for a in dataset["annotations"]:
        mine[a["category_id"]].append(a)
    with_objects = {a["image_id"] for a in dataset["annotations"] if not a["iscrowd"]}
    return {
        "images": len(images),
        "empty": len(images) - len(with_objects),
        "edges": {name: list(measure.edges) for name, measure in MEASURES.items()},
        "classes": {c["name"]: _class_statistics(mine[c["id"]], images) for c in dataset["categories"]},
    }


def _class_statistics(annotations: list[Annotation], images: dict[int, Image]) -> dict[str, Any]:
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
        "position": _position(values["x"], values["y"]),
    }


def _histogram(values: list[float], edges: tuple[float, ...]) -> list[int]:
    return [int(n) for n in np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]]


def _position(x: list[float], y: list[float]) -> list[list[int]]:
    counts = np.histogram2d(np.clip(y, 0, 1), np.clip(x, 0, 1), bins=GRID, range=((0, 1), (0, 1)))[0]
    return [[int(n) for n in row] for row in counts]


def panels(statistics: list[dict[str, Any]]) -> list[list[Panel]]:
    """A row of charts for each class that any of the sets has objects of."""
    classes = dict.fromkeys(name for table in statistics for name in table["classes"])
    rows = []
    for name in classes:
        tables = [table["classes"].get(name) for table in statistics]
        if not any(table and table["objects"] for table in tables):
            continue
        objects = " and ".join(str(table["objects"] if table else 0) for table in tables)
        row = [
            Panel(
                f"{objects} {readable(name)}: {measure.title}",
                tuple(tuple(t["histograms"][key]) if t else () for t in tables),
                labels=tuple(f"{edge:g}" for edge in measure.edges),
            )
            for key, measure in MEASURES.items()
        ]
        maps = tuple(tuple(map(tuple, t["position"])) if t else () for t in tables)
        rows.append([*row, Panel(f"{readable(name)}: where in the image", (), maps=maps)])
    return rows


def _counts(table: dict[str, Any]) -> str:
    parts = Counter({name: entry["objects"] for name, entry in table["classes"].items()})
    return ", ".join(f"{number} {readable(name)}" for name, number in parts.items()) or "no class"
