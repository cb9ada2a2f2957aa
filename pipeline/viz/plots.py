"""Plot training, evaluation and dataset statistics with matplotlib.

pyplot is not used, because it has global state. The same input gives the same bytes: SVG ids have a fixed
salt, and no date or version is written.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from pipeline.viz.overlays import SHAPES, readable

COLOURS = ("#0079a8", "#a97c00", "#c2277b", "#238636", "#bf5b12", "#6f42c1")
"""Colours of classes, or of datasets, on white; the first hues of ``overlays.PALETTE``, darker."""
_INK, _GRID = "#3a4049", "#dedcd6"
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9,
    "text.parse_math": False,  # a class may have a dollar sign in its name
    "axes.titlesize": 9,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _INK,
    "axes.titlecolor": _INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.hashsalt": "transpalette",
}
_PNG_DPI = 110
_PANEL_COLUMNS = 4
_PANEL_SIZE = (3.5, 2.5)
"""Width and height of a panel of the statistics, in inches."""
_LONGEST_FLAT_LABEL = 3
"""Number of characters of a bin's edge up to which its label is horizontal."""
_MARKER_LIMIT = 40
"""Number of epochs up to which each epoch gets a marker."""


@dataclass(frozen=True)
class Histogram:
    """The distribution of one measure in one or two datasets."""

    label: str
    """Name of the measure with its unit."""
    edges: tuple[float, ...]
    """Edges of the N bins, N + 1."""
    counts: tuple[tuple[int, ...], ...]
    """For each dataset the N counts; () if it does not have the class."""


@dataclass(frozen=True)
class PositionMap:
    """The distribution of object positions in the images of one dataset."""

    dataset: int
    """Index of the dataset."""
    counts: tuple[tuple[int, ...], ...]
    """Number of objects in each cell of a grid over the image: rows from the top."""


@dataclass(frozen=True)
class ClassPanels:
    """All plots of one class."""

    title: str
    panels: tuple[Histogram | PositionMap, ...]


def to_svg(figure: Figure) -> bytes:
    """Write a figure as SVG."""
    stream = io.BytesIO()
    with rc_context(_STYLE):
        metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(stream, format="svg", metadata=metadata)
    return stream.getvalue()


def to_png(figure: Figure) -> bytes:
    """Write a figure as PNG."""
    stream = io.BytesIO()
    with rc_context(_STYLE):
        figure.savefig(stream, format="png", dpi=_PNG_DPI, metadata={"Software": None})
    return stream.getvalue()


@rc_context(_STYLE)
def plot_training(epochs: list[dict[str, Any]], class_names: Sequence[str]) -> Figure | None:
    """Plot the training loss (left axis) and each class's validation mask AP50 (right axis) by epoch.

    Args:
        epochs: the lines of metrics.jsonl.
        class_names: the classes, in the order of their colours.

    Returns:
        The figure; None if no epoch is recorded.
    """
    if not epochs:
        return None
    figure = Figure(figsize=(7.6, 3.6), layout="constrained")
    loss_axes = figure.subplots()
    ap_axes = loss_axes.twinx()
    numbers = [e["epoch"] for e in epochs]
    marker = "o" if len(epochs) <= _MARKER_LIMIT else ""
    loss = [e["losses"]["loss"] for e in epochs]
    loss_axes.plot(numbers, loss, "--", color=_INK, marker=marker, markersize=3, label="training loss")
    for number, name in enumerate(class_names):
        ap50 = [e["val"]["classes"][name]["segm"]["AP50"] for e in epochs]
        values = [np.nan if value is None else value for value in ap50]
        label = f"{readable(name)}: validation mask AP50"
        ap_axes.plot(numbers, values, color=_colour(number), marker=marker, markersize=3, label=label)
    best = [e["epoch"] for e in epochs if e.get("best")]
    if best:
        loss_axes.axvline(
            best[-1], color=_INK, linestyle=":", linewidth=1.2, label=f"best epoch ({best[-1]})"
        )
    loss_axes.set(xlabel="epoch", ylabel="training loss")
    loss_axes.set_ylim(0, 1.05 * max(*loss, 1e-9))
    loss_axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
    ap_axes.set(ylabel="validation mask AP50", ylim=(0, 1.02))
    ap_axes.grid(False)
    _hide_spines(loss_axes, ap_axes)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@rc_context(_STYLE)
def plot_precision_recall(metrics: dict[str, Any]) -> Figure:
    """Plot each class's precision by recall at IoU 0.5, of masks, or of boxes where there are no masks.

    Args:
        metrics: the content of metrics.json.
    """
    figure, axes = _square_axes("recall", f"precision ({SHAPES[metrics['iou_type']]} IoU 0.5)")
    for number, name in enumerate(metrics["class_names"]):
        curve = metrics["precision_recall"][name][metrics["iou_type"]] or []
        recall = np.linspace(0, 1, 101)[: len(curve)]
        axes.plot(recall, curve, color=_colour(number), label=readable(name))
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@rc_context(_STYLE)
def plot_reliability(metrics: dict[str, Any]) -> Figure:
    """Plot the precision of detections by their score, with 95 % intervals: a reliability diagram.

    Args:
        metrics: the content of metrics.json.
    """
    figure, axes = _square_axes("score", f"precision ({SHAPES[metrics['iou_type']]} IoU 0.5)")
    axes.plot([0, 1], [0, 1], ":", color=_INK, linewidth=1.2, label="perfect calibration")
    bins = metrics["calibration"]["bins"]
    scores, precision = [b["score"] for b in bins], [b["precision"] for b in bins]
    below = [max(0.0, b["precision"] - b["interval"][0]) for b in bins]
    above = [max(0.0, b["interval"][1] - b["precision"]) for b in bins]
    axes.errorbar(
        scores, precision, (below, above),
        color=COLOURS[0], marker="o", markersize=4, elinewidth=1, capsize=2,
        label="precision, 95 % interval",
    )  # fmt: skip
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@rc_context(_STYLE)
def plot_statistics(dataset_names: Sequence[str], classes: Sequence[ClassPanels]) -> Figure:
    """Plot the panels of each class below its title, under a legend of the datasets.

    Histograms show shares of the objects, so that datasets of different sizes can be compared.
    """
    most = max((len(c.panels) for c in classes), default=1)
    columns = min(_PANEL_COLUMNS, most)
    rows = [-(-len(c.panels) // columns) for c in classes]
    size = (columns * _PANEL_SIZE[0], 0.5 + sum(rows) * _PANEL_SIZE[1] + 0.4 * len(rows))
    figure = Figure(figsize=size, layout="constrained")
    parts = figure.subfigures(max(1, len(classes)), 1, squeeze=False, height_ratios=rows or None)[:, 0]
    for part, of_class, count in zip(parts, classes, rows, strict=False):
        part.suptitle(of_class.title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        axes = part.subplots(count, columns, squeeze=False).ravel()
        for place, panel in zip(axes, of_class.panels, strict=False):
            if isinstance(panel, Histogram):
                _draw_histogram(place, panel)
            else:
                _draw_position_map(place, panel, dataset_names[panel.dataset])
        for place in axes[len(of_class.panels) :]:
            place.set_axis_off()
    handles = [Patch(color=_colour(number), label=name) for number, name in enumerate(dataset_names)]
    figure.legend(handles=handles, loc="outside upper left", ncols=2)
    return figure


def _draw_histogram(axes: Axes, panel: Histogram) -> None:
    """Draw the share of objects in each bin; all bins are drawn with the same width."""
    bins = len(panel.edges) - 1
    width = 0.86 / max(1, len(panel.counts))
    for number, counts in enumerate(panel.counts):
        if sum(counts):
            left = np.arange(bins) + 0.07 + number * width
            axes.bar(left, np.array(counts) / sum(counts), width, align="edge", color=_colour(number))
    if not any(map(sum, panel.counts)):
        axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", va="center")
    axes.set_xlim(0, bins)
    labels = [f"{edge:g}" for edge in panel.edges]
    crowded = max(map(len, labels)) > _LONGEST_FLAT_LABEL
    axes.set_xticks(range(bins + 1), labels, fontsize=7, rotation=45 if crowded else 0)
    axes.tick_params(axis="y", labelsize=7)
    axes.margins(y=0.08)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(False, axis="x")
    axes.set(xlabel=panel.label, ylabel="share of objects")
    _hide_spines(axes)


def _draw_position_map(axes: Axes, panel: PositionMap, name: str) -> None:
    """Draw the number of objects in each cell of the image."""
    counts = np.array(panel.counts, float)
    colours = LinearSegmentedColormap.from_list("", ["#f3f2ee", _colour(panel.dataset)])
    image = axes.imshow(counts, cmap=colours, vmin=0, vmax=max(1.0, counts.max(initial=0)))
    axes.figure.colorbar(image, ax=axes, label="objects", ticks=MaxNLocator(nbins=4, integer=True))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    axes.set(xlabel=f"position in the image: {name}")


def _square_axes(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    """Make a figure whose axes range from 0 to 1."""
    figure = Figure(figsize=(5.2, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel=x_label, ylabel=y_label)
    _hide_spines(axes)
    return figure, axes


def _hide_spines(*all_axes: Axes) -> None:
    """Leave only the bottom line of the frame."""
    for axes in all_axes:
        for side in ("top", "left", "right"):
            axes.spines[side].set_visible(False)


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]
