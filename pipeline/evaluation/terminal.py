"""Format an evaluation for the terminal: notes, comparison, weak slices, table of sets, table of AP."""

from __future__ import annotations

import itertools
from typing import Any

from pipeline.evaluation.metrics import HEADLINE
from pipeline.evaluation.sets.figures import AT_THRESHOLD
from pipeline.viz.overlays import SHAPES

_VERDICTS = {"yes": "better", "no": "worse", "undecided": "no significant difference"}


def format_evaluation(metrics: dict[str, Any]) -> str:
    """Format metrics.json: heading, notes, comparison with the baseline, weakest slices, the two tables."""
    ignored = sum(table["ignored"] for table in metrics["classes"].values())
    heading = f"{metrics['images']} images, {ignored} ignore regions, {metrics['predictions']} predictions"
    brackets = "; brackets: 95 % interval" if metrics["bootstrap"] else ""
    notes = [f"note: {note}" for note in metrics["notes"]]
    parts = [format_comparison(metrics), format_weakest_slices(metrics), format_sets(metrics["sets"])]
    parts.append(format_table(metrics))
    return "\n".join([f"{heading}{brackets}", *notes, *filter(None, parts)])


def format_comparison(metrics: dict[str, Any]) -> str:
    """Format the comparison with the baseline, one line per class; "" without a baseline."""
    baseline = metrics["baseline"]
    if baseline is None:
        return ""
    lines = []
    if baseline["fallback"]:
        lines.append(
            f"note: COCO's general model is not available ({baseline['fallback']}); "
            "the baseline is the network before training"
        )
    name = "COCO's general model" if baseline["kind"] == "coco" else "the network before training"
    for class_name, table in baseline["classes"].items():
        figures = table[metrics["iou_type"]]
        gain = number(figures["gain"]["AP"], figures["gain_interval"]["AP"])
        lines.append(
            f"compared with {name}: {class_name}: {_VERDICTS[table['verdict']]}; "
            f"its {SHAPES[metrics['iou_type']]} AP {number(figures['AP'])}, gain {gain}"
        )
    return "\n".join(lines)


def format_table(metrics: dict[str, Any]) -> str:
    """Format the box and mask AP that were measured: a line per class, and a line for the mean.

    n/a: the class has no object. Brackets: 95 % interval, if it was computed.
    """
    measured = metrics["measured"]
    rows = [_row(name, metrics["classes"][name], measured) for name in metrics["class_names"]]
    objects = sum(table["objects"] for table in metrics["classes"].values())
    rows.append(_row("overall", metrics["overall"] | {"objects": objects}, measured))
    columns = [[f"{SHAPES[iou_type]} AP", "AP50", "AP75"] for iou_type in measured]
    header = ["class", "objects", *itertools.chain(*columns)]
    lines = _align([header, *rows])
    lines.insert(-1, lines[1])
    return "\n".join(lines)


def format_sets(sets: list[dict[str, Any]]) -> str:
    """Format the figures of each set at the score threshold: a line per set and class.

    n/a: the class has no object, or no detection reaches the threshold.
    """
    header = [
        "set",
        "class",
        "images",
        "objects",
        "box AP50",
        "recall",
        "precision",
        "false alarms per image",
    ]
    rows = []
    for figures in sets:
        for name in figures["class_names"]:
            table = figures["classes"][name]
            box = table["bbox"]
            cells = [figures["name"], name, str(figures["images"]), str(table["objects"])]
            cells.append(number(box["AP50"], box.get("AP50_interval")))
            cells += [number(table[key], table.get(f"{key}_interval")) for key in AT_THRESHOLD]
            rows.append(cells)
    return "\n".join([f"at score {sets[0]['threshold']:.2f}, boxes at IoU 0.5:", *_align([header, *rows])])


def format_weakest_slices(metrics: dict[str, Any], count: int = 3) -> str:
    """Format at most ``count`` slices that are significantly weaker than the rest, one line each."""
    lines = []
    for row in [row for row in metrics["factors"] if row["gap_lower_bound"] > 0][:count]:
        sides = [(name, row[name]) for name in ("recall", "precision") if row[name] is not None]
        name, side = max(sides, key=lambda s: s[1]["gap_interval"][0])
        unit = "objects" if name == "recall" else "detections"
        lines.append(
            f"weak: {row['class']}, {row['factor']} {row['bin']}: {name} {side['value']:.2f}, "
            f"rest of the class {side['rest']:.2f} ({side['count']} {unit})"
        )
    return "\n".join(lines)


def number(value: float | None, interval: list[float] | None = None) -> str:
    """Format a metric with three decimals and, if given, its interval."""
    if value is None:
        return "n/a"
    return f"{value:.3f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")


def _row(name: str, table: dict[str, Any], measured: list[str]) -> list[str]:
    """Format the cells of one class."""
    cells = [name, str(table["objects"])]
    for iou_type in measured:
        figures = table[iou_type]
        cells += [number(figures[m], figures.get("AP50_interval") if m == "AP50" else None) for m in HEADLINE]
    return cells


def _align(rows: list[list[str]]) -> list[str]:
    """Align the columns: the first to the left, the others to the right; a line below the first row."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    header, *lines = (_line(row, widths) for row in rows)
    return [header, "-" * len(header), *lines]


def _line(cells: list[str], widths: list[int]) -> str:
    """Align the first cell to the left and the others to the right."""
    first, *rest = zip(cells, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)])
