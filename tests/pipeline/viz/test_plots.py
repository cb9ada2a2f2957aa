"""Plots: they show the figures they are given, label their axes, and have the same bytes each time."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from pipeline.viz.plots import (
    ClassPanels,
    Histogram,
    PositionMap,
    plot_precision_recall,
    plot_reliability,
    plot_statistics,
    plot_training,
    to_png,
    to_svg,
)

CLASSES = ("pedestrian", "pallet_truck")


def epoch(number: int, ap50: float | None, best: bool) -> dict[str, Any]:
    table = {"classes": {name: {"segm": {"AP50": ap50}} for name in CLASSES}}
    return {"epoch": number, "losses": {"loss": 3.0 / number}, "val": table, "best": best}


METRICS: dict[str, Any] = {
    "class_names": list(CLASSES),
    "iou_type": "segm",
    "precision_recall": {
        "pedestrian": {"segm": [1 - n / 100 for n in range(101)]},
        "pallet_truck": {"segm": None},
    },
    "calibration": {
        "bins": [
            {"score": 0.25, "precision": 0.5, "count": 4, "interval": [0.2, 0.8]},
            {"score": 0.95, "precision": 1.0, "count": 9, "interval": [0.7, 1.0]},
        ]
    },
}


def training_figure(epochs: list[dict[str, Any]]) -> Figure:
    figure = plot_training(epochs, CLASSES)
    assert figure is not None
    return figure


def statistics_figure() -> Figure:
    histogram = Histogram("distance (m)", (0, 1, 2), ((10, 30), ()))
    positions = PositionMap(0, ((0, 4), (1, 0)))
    return plot_statistics(["train", "val"], [ClassPanels("pedestrian: 40 objects", (histogram, positions))])


def points(line: Line2D) -> list[list[float]]:
    return [[float(v) for v in point] for point in np.asarray(line.get_xydata())]


def labels(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_training_plot_has_loss_on_the_left_axis_and_ap50_on_the_right_one() -> None:
    figure = training_figure([epoch(1, None, True), epoch(2, 0.5, True), epoch(3, 0.25, False)])
    loss_axes, ap_axes = figure.axes
    assert loss_axes.get_xlabel() == "epoch" and loss_axes.get_ylabel() == "training loss"
    assert ap_axes.get_ylabel() == "validation mask AP50"
    assert points(loss_axes.lines[0]) == [[1, 3.0], [2, 1.5], [3, 1.0]]
    first, *rest = points(ap_axes.lines[0])
    assert np.isnan(first[1]) and rest == [[2, 0.5], [3, 0.25]]
    assert labels(figure) == [
        "training loss",
        "best epoch (2)",
        "pedestrian: validation mask AP50",
        "pallet truck: validation mask AP50",
    ]


def test_training_plot_of_zero_one_and_many_epochs() -> None:
    assert plot_training([], CLASSES) is None
    assert len(training_figure([epoch(1, None, False)]).axes[0].lines) == 1
    many = training_figure([epoch(n, 0.5, n == 70) for n in range(1, 101)])
    many.draw_without_rendering()
    ticks = many.axes[0].get_xticks()
    assert len(ticks) <= 14 and all(tick == int(tick) for tick in ticks)


def test_precision_recall_plot_has_a_curve_for_each_class() -> None:
    figure = plot_precision_recall(METRICS)
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("recall", "precision (mask IoU 0.5)")
    assert [len(points(line)) for line in axes.lines] == [101, 0], "a class without objects has no curve"
    assert points(axes.lines[0])[50] == [0.5, 0.5]
    assert labels(figure) == ["pedestrian", "pallet truck"]


def test_reliability_plot_has_precision_by_score_and_the_diagonal() -> None:
    figure = plot_reliability(METRICS)
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("score", "precision (mask IoU 0.5)")
    assert points(axes.lines[0]) == [[0, 0], [1, 1]]
    assert points(axes.lines[1]) == [[0.25, 0.5], [0.95, 1.0]]
    assert labels(figure) == ["perfect calibration", "precision, 95 % interval"]


def test_histogram_bars_are_as_high_as_their_shares() -> None:
    figure = statistics_figure()
    histogram = next(axes for axes in figure.axes if axes.get_xlabel() == "distance (m)")
    assert [bar.get_height() for bar in histogram.patches if isinstance(bar, Rectangle)] == [0.25, 0.75]
    assert [text.get_text() for text in histogram.get_xticklabels()] == ["0", "1", "2"]
    assert histogram.get_ylabel() == "share of objects"
    assert labels(figure) == ["train", "val"]


def test_position_map_has_the_count_of_each_cell() -> None:
    axes = next(a for a in statistics_figure().axes if a.get_xlabel() == "position in the image: train")
    assert np.asarray(axes.images[0].get_array()).tolist() == [[0, 4], [1, 0]]


def test_a_histogram_without_values_says_so() -> None:
    panel = ClassPanels("a", (Histogram("distance (m)", (0, 1), ((0,),)),))
    (axes,) = plot_statistics(["train"], [panel]).axes
    assert [text.get_text() for text in axes.texts] == ["no values"]
    assert to_png(plot_statistics(["empty"], [])), "a dataset without objects has a page without plots"


@pytest.mark.parametrize("write", [to_svg, to_png])
def test_the_same_figures_give_the_same_bytes(write: Any) -> None:
    for make in (
        lambda: training_figure([epoch(1, 0.5, True)]),
        lambda: plot_reliability(METRICS),
        statistics_figure,
    ):
        data = write(make())
        assert data == write(make())
        assert not re.search(rb"dc:date|Matplotlib v", data)
