"""The section of the report about a loop (``transpalette improve``): what each round rendered and changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from blender.contract import read_toml
from pipeline.improving.choice import describe_cell, describe_mistaken
from pipeline.improving.loop import DECISION, METRICS
from pipeline.improving.measure import weakness_of
from pipeline.improving.rounds import FRAMES, PATCH, RENDERS
from pipeline.improving.settings import CHOOSE, FOLDER
from pipeline.improving.weakness import WeakCell
from pipeline.reporting.pages import read_json
from pipeline.viz.contact_sheet import contact_sheet
from pipeline.viz.crops import data_uri

TYPICAL = 3
"""Number of new frames that are shown of each round: those with the most objects in weak slices."""


def loop_files(run_dir: Path) -> list[Path]:
    """Return the files of the loop that the report depends on; none if there is no loop."""
    names = (METRICS, DECISION, FRAMES, PATCH)
    rounds = sorted((run_dir / FOLDER).glob("round-*"))
    finished = [folder for folder in rounds if (folder / DECISION).is_file()]
    return [folder / name for folder in finished for name in names if (folder / name).is_file()]


def collect_rounds(run_dir: Path) -> list[dict[str, Any]]:
    """Collect the figures of each finished round as JSON values, the start first; [] without a loop.

    Returns:
        For each round ``number``, ``ap50`` and ``ap50_interval`` on the choosing split, ``iou_type``,
        ``gain``, ``gain_interval`` and ``over`` (the round that the gain is over), ``reason`` (why the loop
        ended, or ""), ``best`` (the best round so far), ``frames`` (number of new frames), ``weak``: what was
        weak before, with recall or precision before and after, and ``weights``: what the patch changed.
    """
    folders = sorted({path.parent for path in loop_files(run_dir)})
    metrics = [read_json(folder / METRICS) for folder in folders]
    decisions = [read_json(folder / DECISION) for folder in folders]
    rounds = []
    for number, (folder, of_round) in enumerate(zip(folders, metrics, strict=True)):
        iou_type, gain = of_round["iou_type"], of_round["gain"]
        overall = of_round["overall"][iou_type]
        entry: dict[str, Any] = {
            "number": number,
            "iou_type": iou_type,
            "ap50": overall["AP50"],
            "ap50_interval": overall.get("AP50_interval"),
            "gain": None,
            "gain_interval": None,
            "over": None,
            "reason": decisions[number]["reason"],
            "best": decisions[number]["best"],
            "frames": 0,
            "weak": [],
            "weights": [],
        }
        if gain:
            table = gain["overall"][iou_type]
            before = metrics[gain["over"]]
            entry |= {
                "gain": table["gain"]["AP50"],
                "gain_interval": table["gain_interval"]["AP50"],
                "over": gain["over"],
                "frames": len(read_json(folder / FRAMES)["frames"]),
                "weak": list(_changes(before, of_round)),
                "weights": [
                    {"key": key, "value": value} for key, value in _leaves(read_toml(folder / PATCH))
                ],
            }
        rounds.append(entry)
    return rounds


def draw_rounds(run_dir: Path) -> list[str]:
    """Draw typical new frames of each finished round after the start: images as data: URIs."""
    folders = sorted({path.parent for path in loop_files(run_dir) if path.name == FRAMES})
    pictures = []
    for folder in folders:
        chosen = read_json(folder / FRAMES)
        order = sorted(chosen["frames"], key=lambda frame: (-sum(chosen["weak"][str(frame)].values()), frame))
        sheet = contact_sheet(folder / RENDERS, TYPICAL, TYPICAL, frames=sorted(order[:TYPICAL]))
        pictures.append(data_uri(sheet))
    return pictures


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what was weak before a round, with its recall or precision before and after."""
    cells, mistaken = weakness_of(dict(before))
    for cell in cells:
        sides = [_find(metrics, cell) for metrics in (before, after)]
        of_photographs = cell.source != CHOOSE
        yield {
            "name": describe_cell(cell) + (f" ({cell.source})" if of_photographs else ""),
            "lower_bound": cell.strength,
            "before": None if of_photographs else sides[0],
            "after": None if of_photographs else sides[1],
        }
    for entry in mistaken:
        text = f"{describe_mistaken(entry)}: {entry.taken} of {entry.count}"
        yield {"name": text, "lower_bound": entry.strength, "before": None, "after": None}


def _find(metrics: Mapping[str, Any], cell: WeakCell) -> Any:
    """Return ``value``, ``interval`` and ``count`` of a slice in the factor table; None if it has none."""
    for row in metrics["factors"]:
        if (row["class"], row["factor"], row["bin"]) == (cell.class_name, cell.factor, cell.bin):
            part = row[cell.side]
            return None if part is None else {key: part[key] for key in ("value", "interval", "count")}
    return None


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted key and the value of each entry of nested tables, except what is only repeated."""
    for key, value in table.items():
        name = f"{prefix}.{key}" if prefix else key
        if isinstance(value, dict):
            yield from _leaves(value, name)
        elif not (".camera." in name and key != "weight"):
            yield name, value
