"""Format an evaluation for the terminal: notes, comparison, weak slices, table of average precision."""

from __future__ import annotations

import itertools
from typing import Any

from pipeline.evaluation.metrics import HEADLINE
from pipeline.viz.overlays import SHAPES

_VERDICTS = {"yes": "better", "no": "worse", "undecided": "no significant difference"}


def format_evaluation(metrics: dict[str, Any]) -> str:
    """Format metrics.json: heading, notes, comparison with the baseline, weakest slices, table of AP."""
    ignored = sum(table["ignored"] for table in metrics["classes"].values())
    heading = f"{metrics['images']} images, {ignored} ignore regions, {metrics['predictions']} predictions"
    brackets = "; brackets: 95 % interval" if metrics["bootstrap"] else ""
    notes = [f"note: {note}" for note in metrics["notes"]]
    parts = [format_comparison(metrics), format_weakest_slices(metrics), format_table(metrics)]
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
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]
    lines = [_line(header, widths), "-" * (sum(widths) + 2 * len(widths) - 2)]
    lines += [_line(row, widths) for row in rows]
    lines.insert(-1, lines[1])
    return "\n".join(lines)


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


def _line(cells: list[str], widths: list[int]) -> str:
    """Align the first cell to the left and the others to the right."""
    first, *rest = zip(cells, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)])
