"""The table of a study in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import mean
from typing import Any

from pipeline.bench.report.markdown import table
from pipeline.bench.study.profiles import Study

IOU_TYPES = ("bbox", "segm")
"""IoU types whose AP50 is shown."""


def page(
    study: Study,
    rows: Mapping[str, list[dict[str, Any]]],
    sets: list[str],
    costs: Mapping[str, Mapping[str, float]] | None = None,
) -> list[str]:
    """Format the table: for each variant the means over its seeds, plus or minus half their range.

    Args:
        study: the study.
        rows: variant -> the figures of each seed, from ``measure_variant``.
        sets: names of the evaluated sets.
        costs: variant -> the rendering time, from ``measure_rendering``; None or empty: not measured.
    """
    classes = list(next(iter(rows.values()))[0][sets[0]])
    columns = [(set_name, class_name) for set_name in sets for class_name in classes]
    header = ["", "seeds"]
    if costs:
        header += ["seconds per frame", "relative to Cycles alone"]
    with_worst = any("improve" in changes for changes in study.variants.values())
    if with_worst:
        header.append("worst slices, recall")
    header += ["training, s", *(f"{set_name}: {name}, box / mask AP50" for set_name, name in columns)]
    lines = []
    for variant, of_seeds in rows.items():
        cells = [variant, str(len(of_seeds))]
        if costs:
            cells += [f"{costs[variant]['seconds']:.2f}", f"{costs[variant]['ratio']:.2f}"]
        if with_worst:
            cells.append(_mean_and_range(row.get("worst") for row in of_seeds))
        cells.append(f"{mean(row['seconds'] for row in of_seeds):.0f}")
        for set_name, name in columns:
            values = ([row[set_name][name][iou_type] for row in of_seeds] for iou_type in IOU_TYPES)
            cells.append(" / ".join(map(_mean_and_range, values)))
        lines.append(cells)
    return [f"### {study.title}", "", *table(header, lines)]


def _mean_and_range(figures: Iterable[float | None]) -> str:
    """Format the figures of several seeds; None was not measured, for example masks of boxes."""
    values = [value for value in figures if value is not None]
    if not values:
        return "n/a"
    text = f"{mean(values):.3f}"
    return text if len(values) == 1 else f"{text} ±{(max(values) - min(values)) / 2:.3f}"
