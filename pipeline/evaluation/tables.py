"""Average precision, and where it is lost, for the terminal."""

from __future__ import annotations

from typing import Any

from pipeline.evaluation.metrics import HEADLINE


def format_evaluation(metrics: dict[str, Any]) -> str:
    """Lay out what ``evaluate`` says: notes, the comparison, the weakest factors, and last the table."""
    ignored = sum(table["ignored"] for table in metrics["classes"].values())
    heading = f"{metrics['images']} images, {ignored} ignore regions, {metrics['predictions']} predictions"
    intervals = "; brackets: 95 % interval" if metrics["bootstrap"] else ""
    notes = [f"note: {note}" for note in metrics["notes"]]
    parts = [format_worth(metrics), format_weakest(metrics), format_table(metrics)]
    return "\n".join([f"{heading}{intervals}", *notes, *filter(None, parts)])


def format_worth(metrics: dict[str, Any]) -> str:
    """Lay out the comparison with the baseline, a line a class: is it better, and by how much?"""
    table = metrics["baseline"]
    if table is None:
        return ""
    lines = []
    if table["fallback"]:
        lines.append(f"note: the general model can't be had ({table['fallback']}); compared with the start")
    name = "COCO's general model" if table["kind"] == "coco" else "the start"
    for class_name, scores in table["classes"].items():
        ap, segm = number(scores["segm"]["AP"]), scores["segm"]
        gain = number(segm["gain"]["AP"], segm["gain_interval"]["AP"])
        lines.append(f"better than {name}? {class_name}: {scores['verdict']}, its mask AP {ap}, gain {gain}")
    return "\n".join(lines)


def format_table(metrics: dict[str, Any]) -> str:
    """Lay out what ``evaluate`` writes to metrics.json: one line a class, and one for all of them.

    n/a: no object to measure with. Brackets: 95 % interval, where there is one.
    """
    rows = [_row(name, metrics["classes"][name]) for name in metrics["class_names"]]
    objects = sum(scores["objects"] for scores in metrics["classes"].values())
    rows.append(_row("overall", metrics["overall"] | {"objects": objects}))
    header = ["class", "objects", "box AP", "AP50", "AP75", "mask AP", "AP50", "AP75"]
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]
    lines = [_line(header, widths), "-" * (sum(widths) + 2 * len(widths) - 2)]
    lines += [_line(row, widths) for row in rows]
    lines.insert(-1, lines[1])
    return "\n".join(lines)


def format_weakest(metrics: dict[str, Any], most: int = 3) -> str:
    """Lay out the scene factors where the model is certainly weaker than elsewhere, a line each."""
    lines = []
    for row in [row for row in metrics["factors"] if row["weakness"] > 0][:most]:
        sides = [(name, row[name]) for name in ("recall", "precision") if row[name] is not None]
        name, side = max(sides, key=lambda s: s[1]["gap_interval"][0])
        lines.append(
            f"weak: {row['class']}, {row['factor']} {row['bin']}: {name} {side['value']:.2f}, elsewhere "
            f"{side['rest']:.2f} ({side['count']} {'objects' if name == 'recall' else 'detections'})"
        )
    return "\n".join(lines)


def number(value: float | None, interval: list[float] | None = None) -> str:
    """A metric with three decimals, and its interval if there is one."""
    if value is None:
        return "n/a"
    return f"{value:.3f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")


def _row(name: str, scores: dict[str, Any]) -> list[str]:
    cells = [name, str(scores["objects"])]
    for iou_type in ("bbox", "segm"):
        table = scores[iou_type]
        cells += [number(table[m], table.get("AP50_interval") if m == "AP50" else None) for m in HEADLINE]
    return cells


def _line(cells: list[str], widths: list[int]) -> str:
    first, *rest = zip(cells, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)])
