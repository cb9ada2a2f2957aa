"""A small run for the tests of the report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import CocoConfig, ExtraSet, Profile
from pipeline.data.combine import NamedSet
from pipeline.data.convert import convert_split
from pipeline.evaluation.evaluate import evaluate
from pipeline.reporting.report import MODEL_FILE
from tests.helpers.synthetic import CATEGORIES, write_split, write_tiny_model

FALLBACK = "no network: put <maskrcnn> & co. there"
PROFILE = Profile(name="tiny & small", seed=5, classes=CATEGORIES, splits={"train": 4, "val": 3, "test": 4})


def epoch(number: int, ap: float | None, best: bool) -> dict[str, Any]:
    table = {
        "bbox": dict.fromkeys(("AP", "AP50", "AP75"), ap),
        "segm": dict.fromkeys(("AP", "AP50", "AP75"), ap),
    }
    return {
        "epoch": number,
        "losses": {"loss": 3.0 / number},
        "val": {"classes": dict.fromkeys(CATEGORIES, table), "overall": table},
        "best": best,
        "seconds": 30.0 * number,
    }


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with three splits, a model and its evaluation, made once: copy it."""
    run = tmp_path_factory.mktemp("finished") / "tiny"
    for seed, (name, frames) in enumerate(PROFILE.splits.items()):
        write_split(run / name, frames=frames, seed=seed)
        convert_split(run / name, CocoConfig())
    start = {"kind": "embedded", "source": "EfficientNet <b>", "fallback": FALLBACK}
    write_tiny_model(run / MODEL_FILE, start=start)
    lines = [json.dumps(epoch(n, 0.3 * n, n < 3)) for n in (1, 2, 3)]
    (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    evaluate(run / MODEL_FILE, sets_of(run, "test"), run / "evaluation", 10)
    return run


@pytest.fixture
def run_dir(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return shutil.copytree(finished_run, tmp_path / "tiny")


def sets_of(run: Path, *splits: str) -> tuple[NamedSet]:
    """One set of all splits, named by the first."""
    files = tuple(ExtraSet(str(run / s / "annotations.json"), str(run / s / "images")) for s in splits)
    return (NamedSet(splits[0], files),)


def add_baseline(run_dir: Path, kind: str, fallback: str) -> dict[str, Any]:
    """Add a comparison to the evaluation: better for pedestrians, undecided for trucks."""
    path = run_dir / "evaluation" / "metrics.json"
    metrics: dict[str, Any] = json.loads(path.read_bytes())

    def table(verdict: str) -> dict[str, Any]:
        values = dict.fromkeys(("AP", "AP50"), 0.25)
        sides = values | {"gain": values, "gain_interval": {"AP": [0.1, 0.4], "AP50": None}}
        return {"verdict": verdict, "bbox": sides, "segm": sides}

    metrics["baseline"] = {
        "kind": kind,
        "source": "weights.pth <1>",
        "fallback": fallback,
        "known_classes": ["pedestrian"],
        "classes": {"pedestrian": table("yes"), "pallet_truck": table("undecided")},
        "overall": table("no"),
    }
    path.write_text(json.dumps(metrics))
    return metrics
