"""Text of an evaluation for the terminal: notes, comparison, weak slices, table of average precision."""

from __future__ import annotations

from typing import Any

from pipeline.evaluation.metrics import HEADLINE

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
    """Format the comparison with the baseline, a line for each class; "" without a baseline."""
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
        segm = table["segm"]
        gain = number(segm["gain"]["AP"], segm["gain_interval"]["AP"])
        lines.append(
            f"compared with {name}: {class_name}: {_VERDICTS[table['verdict']]}; "
            f"its mask AP {number(segm['AP'])}, gain {gain}"
        )
    return "\n".join(lines)


def format_table(metrics: dict[str, Any]) -> str:
    """Format box and mask AP of metrics.json: a line for each class, and one for all of them.

    n/a: the class has no object. Brackets: 95 % interval, if there is one.
    """
    rows = [_row(name, metrics["classes"][name]) for name in metrics["class_names"]]
    objects = sum(table["objects"] for table in metrics["classes"].values())
    rows.append(_row("overall", metrics["overall"] | {"objects": objects}))
    header = ["class", "objects", "box AP", "AP50", "AP75", "mask AP", "AP50", "AP75"]
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]
    lines = [_line(header, widths), "-" * (sum(widths) + 2 * len(widths) - 2)]
    lines += [_line(row, widths) for row in rows]
    lines.insert(-1, lines[1])
    return "\n".join(lines)


def format_weakest_slices(metrics: dict[str, Any], count: int = 3) -> str:
    """Format at most ``count`` slices that are significantly weaker than the rest, a line each."""
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
    """Format a metric with three decimals, and its interval if there is one."""
    if value is None:
        return "n/a"
    return f"{value:.3f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")


def _row(name: str, table: dict[str, Any]) -> list[str]:
    """The cells of one class."""
    cells = [name, str(table["objects"])]
    for iou_type in ("bbox", "segm"):
        figures = table[iou_type]
        cells += [number(figures[m], figures.get("AP50_interval") if m == "AP50" else None) for m in HEADLINE]
    return cells


def _line(cells: list[str], widths: list[int]) -> str:
    """Align the first cell to the left and the others to the right."""
    first, *rest = zip(cells, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)])
