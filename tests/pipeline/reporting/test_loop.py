"""The section of the report about the rounds of ``improve``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.reporting import loop
from pipeline.reporting.report import write_report
from pipeline.viz.contact_sheet import contact_sheet
from tests.pipeline.reporting.conftest import PROFILE
from tests.pipeline.reporting.test_report import Page

CELL = {"side": "recall", "gap": 0.4, "strength": 0.21, "source": "choose"}
MISTAKEN = {"kind": "forklift", "variant": "reach_truck", "taken": 4, "count": 9, "strength": 0.1}


def write_loop(run_dir: Path) -> dict[str, Any]:
    """Write a loop of one round with the figures of the run's evaluation; return its weak slice."""
    metrics = json.loads((run_dir / "evaluation" / "metrics.json").read_bytes())
    row = next(row for row in metrics["factors"] if row["recall"])
    cell = CELL | {"class_name": row["class"], "factor": row["factor"], "bin": row["bin"]}
    gained = {"gain": {"AP50": 0.031}, "gain_interval": {"AP50": [0.002, 0.06]}}
    gain = {"over": 0, "overall": {"bbox": gained, "segm": gained}}
    for number, weak, of_round, reason in (
        (0, [cell, cell | {"source": "site"}], None, ""),
        (1, [], gain, "nothing is surely weak"),
    ):
        folder = run_dir / "improve" / f"round-{number:02d}"
        folder.mkdir(parents=True)
        table = metrics | {"gain": of_round, "weak": weak, "mistaken": [MISTAKEN] if weak else []}
        (folder / "metrics.json").write_text(json.dumps(table))
        decision = {"round": number, "best": number, "reason": reason, "budget": None}
        (folder / "decision.json").write_text(json.dumps(decision))
    patch = '"scene"."layouts"."dock" = 4.5\n"scene"."camera"."lenses"."wide"."fov" = [85, 115]\n'
    (folder / "patch.toml").write_text(patch)
    frames = {"frames": [0, 1, 2, 3], "weak": {"0": {}, "1": {"a": 2}, "2": {"a": 1}, "3": {"a": 3}}}
    (folder / "frames.json").write_text(json.dumps(frames | {"split": "improve_01", "proposals": 40}))
    shutil.copytree(run_dir / "test", folder / "renders")
    return row


def test_the_rounds_are_shown(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_report(PROFILE, run_dir)
    assert "Rounds of improvement" not in (run_dir / "report.html").read_text()
    row = write_loop(run_dir)
    write_report(PROFILE, run_dir)
    text = (run_dir / "report.html").read_text()
    Page(text)
    assert "Rounds of improvement" in text and "ends: nothing is surely weak" in text
    assert "+0.031" in text and "+0.002 to +0.060" in text
    assert f"{row['bin']}: recall" in text and "(site)" in text
    assert "forklift, reach truck: taken for a class: 4 of 9" in text
    assert "scene.layouts.dock" in text and "lenses.wide.fov" not in text
    rounds = json.loads((run_dir / "report.json").read_bytes())["rounds"]
    assert [entry["number"] for entry in rounds] == [0, 1] and rounds[1]["frames"] == 4
    assert rounds[1]["weak"][0]["before"]["value"] == row["recall"]["value"]
    capsys.readouterr()
    write_report(PROFILE, run_dir)
    assert "up to date" in capsys.readouterr().out


def test_typical_frames_are_those_with_most_objects_in_weak_slices(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_loop(run_dir)
    drawn: list[list[int]] = []

    def record(*arguments: Any, frames: list[int]) -> Any:
        drawn.append(frames)
        return contact_sheet(arguments[0], arguments[1], arguments[2], frames=frames)

    monkeypatch.setattr(loop, "contact_sheet", record)
    assert loop.draw_rounds(run_dir)[0].startswith("data:image/jpeg")
    assert drawn == [[1, 2, 3]]
